from __future__ import annotations

from paramctl.records import Histogram, Statistics
from paramctl.render.cells import name_cells, repeated, statistics_columns
from paramctl.render.table import plain

STATS = {"mean": 0.0, "std": 1.0, "min": -1.0, "max": 1.0, "norm": 2.0, "zeros": 0, "nan": 0, "inf": 0}


def stats(**changes):
    return Statistics(**STATS | changes)


def test_of_a_name_what_the_row_above_has_too_is_dimmed():
    cells = name_cells([["h.0.attn.weight"], ["h.0.attn.bias"], ["h.1.attn.weight"]], styled=True)
    assert cells == [
        (("h.0.attn.weight", ""),),
        (("h.0.attn.", "dim"), ("bias", "")),
        (("h.", "dim"), ("1.attn.weight", "")),
    ]


def test_aliases_stand_below_their_name_and_many_are_counted():
    (cell,) = name_cells([["a", *(f"b{i}" for i in range(10))]], styled=True)
    lines = plain(cell).split("\n")
    assert lines[:2] == ["a", "= b0"]
    assert lines[-1] == "= … 2 more names"
    assert name_cells([["a", "b"]], styled=False) == ["a\n= b"]


def test_the_text_is_the_same_with_and_without_styles():
    names = [["h.0.w", "x"], ["h.0.b"], ["h.0.b.c"], ["h\x1b"]]
    assert list(map(plain, name_cells(names, styled=True))) == name_cells(names, styled=False)


def test_repetition_is_dimmed():
    assert repeated(["Linear", "Linear", "ReLU", "", ""], styled=True) == [
        "Linear",
        (("Linear", "dim"),),
        "ReLU",
        "",
        "",
    ]
    assert repeated(["Linear", "Linear"], styled=False) == ["Linear", "Linear"]


def test_zeros_have_a_column_only_where_a_tensor_has_some_and_others():
    def headers(*measured):
        return [column.header for column in statistics_columns(measured)]

    assert headers(stats()) == ["mean", "std", "min", "max", "norm"]
    assert headers(stats(min=0.0, max=0.0, zeros=5)) == ["mean", "std", "min", "max", "norm"]
    assert headers(stats(zeros=5)) == ["mean", "std", "min", "max", "norm", "zeros"]
    assert headers(stats(nan=1), stats(inf=2)) == ["mean", "std", "min", "max", "norm", "nan", "inf"]


def test_a_histogram_stands_between_min_and_max_where_there_is_one():
    histogram = Histogram(edges=(-1.0, 0.0, 1.0), counts=(1, 8))
    columns = statistics_columns([stats(histogram=histogram), stats(), None])
    assert [column.header for column in columns] == ["mean", "std", "min", "histogram", "max", "norm"]
    assert list(columns[3].cells) == ["▂█", (("–", "dim"),), (("–", "dim"),)]


def test_what_was_not_measured_is_a_dash_and_nan_is_marked():
    *_, nan = statistics_columns([None, stats(nan=3), stats()])
    assert list(nan.cells) == [(("–", "dim"),), (("3", "red"),), "0"]


def test_what_has_no_finite_element_has_no_norm_either():
    columns = statistics_columns([stats(mean=None, std=None, min=None, max=None, norm=0.0, nan=3)])
    assert [list(column.cells) for column in columns[:5]] == [[(("–", "dim"),)]] * 5
