from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from paramctl.render.fitting import Fitted, broken, fit
from paramctl.render.table import Column, TableData, plain


def test_a_name_is_broken_behind_a_dot_and_its_rest_is_indented():
    assert broken("layer1.0.layers.conv1.weight", 27) == "layer1.0.layers.conv1.\n  weight"
    assert broken("bn.num_batches_tracked", 14) == "bn.num_\n  batches_\n  tracked"


def test_a_type_is_broken_before_a_word_where_there_is_no_mark():
    assert broken("NonDynamicallyQuantizableLinear", 20) == "NonDynamically\n  QuantizableLinear"


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
TYPE = Column("type", ["MultiheadAttention"], optional=1)
NUMBER = Column("elements", ["1,769,472"], "right")


def test_a_table_that_fits_is_left_alone():
    data = table(NAME, TYPE, NUMBER)
    assert fit(data, 80) == Fitted(data, [34, 18, 9])


def test_names_are_broken_before_a_column_is_left_out():
    fitted = fit(table(NAME, TYPE, NUMBER), 60)
    assert fitted.widths == [29, 18, 9]
    assert fitted.note() is None
    assert fitted.table.columns[0].cells == ["transformer.h.0.attn.c_attn.\n  weight"]


def test_an_optional_column_is_left_out_before_names_become_unreadable():
    fitted = fit(table(NAME, TYPE, NUMBER), 44)
    assert [column.header for column in fitted.table.columns] == ["name", "elements"]
    assert fitted.widths == [33, 9]
    assert str(fitted.note()) == "left out for want of space: type"


def test_columns_are_left_out_in_turns_and_those_of_a_turn_together():
    before, low, high = (Column(header, ["-0.000878"], "right") for header in ("before", "min", "max"))
    data = table(NAME, replace(before, optional=1), replace(low, optional=2), replace(high, optional=2), NUMBER)
    assert fit(data, 60).left_out == ()
    assert fit(data, 50).left_out == ("before",)
    assert fit(data, 40).left_out == ("before", "min", "max")


def test_a_column_that_keeps_its_least_width_leaves_the_breaking_to_another():
    module = Column("module", ["a/very/long/path.yaml.in.here", "├ encoder_with_a_name"], folds=True, least=21)
    kind = Column("type", ["Sequential", "3 × NonDynamicallyQuantizableLinear"], folds=True)
    fitted = fit(table(module, kind), 44)
    assert fitted.table.columns[0].cells == ["a/very/long/\n  path.yaml.in.here", "├ encoder_with_a_name"]
    assert fitted.table.columns[1].cells[1] == "3 × NonDynamically\n  QuantizableLinear"


def test_guides_go_on_beside_what_is_broken():
    module = Column("module", ["├ a", "└ b"], guides=["│ │", ""])
    kind = Column("type", ["12 × TransformerEncoderLayer"] * 2, folds=True)
    fitted = fit(table(module, kind), 24)
    assert fitted.table.columns[1].cells[0] == "12 × Transformer\n  EncoderLayer"
    assert [plain(cell) for cell in fitted.table.columns[0].cells] == ["├ a\n│ │", "└ b"]


def test_numbers_are_never_cut():
    assert fit(table(NAME, NUMBER, NUMBER, NUMBER), 10).widths == [12, 9, 9, 9]


def test_the_longer_of_two_columns_gives_way_first():
    rule = Column("rule", ["zeros"], folds=True)
    assert fit(table(NAME, rule, NUMBER), 40).widths == [22, 5, 9]
