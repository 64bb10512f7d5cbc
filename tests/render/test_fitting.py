from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from paramctl.render.fitting import broken, fit
from paramctl.render.table import Column, TableData, plain


def test_a_name_is_broken_behind_a_dot_and_its_rest_is_indented():
    assert broken("layer1.0.layers.conv1.weight", 27) == "layer1.0.layers.conv1.\n  weight"
    assert broken("bn.num_batches_tracked", 14) == "bn.num_\n  batches_\n  tracked"


def test_a_rule_is_broken_at_its_spaces_first():
    assert broken("normal(std=0.02) → add(value=1)", 20) == "normal(std=0.02) →\n  add(value=1)"
    assert broken("kaiming_normal(nonlinearity=relu)", 20) == "kaiming_normal(\n  nonlinearity=relu)"


def test_an_alias_keeps_its_sign_and_its_first_part_together():
    assert broken("= transformer.wte.weight", 20) == "= transformer.wte.\n  weight"


def test_what_has_no_place_to_break_is_cut():
    assert broken("a" * 25, 12) == f"{'a' * 12}\n  {'a' * 10}\n  {'a' * 3}"


def test_wide_characters_are_left_alone():
    assert broken("漢" * 20, 12) == "漢" * 20


@given(st.text("ab. (=,→_\n", max_size=60), st.integers(12, 30))
def test_no_line_is_too_long_and_nothing_but_spaces_is_lost(text, width):
    lines = broken(text, width).split("\n")
    assert max(map(len, lines)) <= width
    assert "".join(lines).replace(" ", "") == text.replace(" ", "").replace("\n", "")


@given(st.lists(st.text("ab. (=,_\n", min_size=1, max_size=20), max_size=4), st.integers(12, 30))
def test_styles_stay_with_their_text(texts, width):
    styles = ["dim", "", "cyan", "red"]
    spans = tuple(zip(texts, styles, strict=False))
    result = broken(spans, width)
    assert plain(result) == broken("".join(texts), width)
    for text, style in spans:
        kept = "".join(part for part, own in result if own == style)
        if style:
            assert kept.replace(" ", "").replace("\n", "") == text.replace(" ", "").replace("\n", "")


def table(*columns):
    return TableData(tuple(columns))


NAME = Column("name", ["transformer.h.0.attn.c_attn.weight"], folds=True)
TYPE = Column("type", ["MultiheadAttention"], optional=True)
NUMBER = Column("elements", ["1,769,472"], "right")


def test_a_table_that_fits_is_left_alone():
    data = table(NAME, TYPE, NUMBER)
    assert fit(data, 80) == (data, [34, 18, 9])


def test_names_are_broken_before_a_column_is_left_out():
    fitted, widths = fit(table(NAME, TYPE, NUMBER), 60)
    assert widths == [29, 18, 9]
    assert fitted.columns[0].cells == ["transformer.h.0.attn.c_attn.\n  weight"]


def test_an_optional_column_is_left_out_before_names_become_unreadable():
    fitted, widths = fit(table(NAME, TYPE, NUMBER), 44)
    assert [column.header for column in fitted.columns] == ["name", "elements"]
    assert widths == [33, 9]


def test_numbers_are_never_cut():
    _, widths = fit(table(NAME, NUMBER, NUMBER, NUMBER), 10)
    assert widths == [12, 9, 9, 9]


def test_the_longer_of_two_columns_gives_way_first():
    rule = Column("rule", ["zeros"], folds=True)
    assert fit(table(NAME, rule, NUMBER), 40)[1] == [22, 5, 9]
