"""A long table looks as Rich lays it out, byte for byte."""

from __future__ import annotations

import io
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from paramctl.render.fitting import fit
from paramctl.render.layout import LONG, captured, table_text
from paramctl.render.table import GAP, Column, TableData, abridged, rich_table


def console(width, *, color):
    return Console(
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        file=io.StringIO(),
        highlight=False,
        legacy_windows=False,
        _environ={},
    )


def parameters(rows, *, styled):
    """The kinds of cells that a listing has, some of them awkward."""
    draw = random.Random(0)
    names, types, shapes, numels = [], [], [], []
    for i in range(rows):
        prefix, last = f"transformer.h.{i}." * draw.randint(1, 3), draw.choice(["weight", "bias"])
        spans = [(prefix, "dim"), (last, "")]
        if i % 7 == 0:
            spans.append((f"\n= head.{i}.weight", "cyan"))
        if i % 50 == 0:
            spans[0] = ("naïve." + prefix, "dim")
        if i % 61 == 0:
            spans[0] = ("two words " + prefix, "dim")
        names.append(tuple(spans) if styled else "".join(text for text, _ in spans))
        types.append((("Linear", "dim"),) if styled and i % 2 else "Embedding")
        shapes.append(f"[{i}, 768]")
        numels.append(f"{i**3:,}")
    return TableData(
        (
            Column("name", names, folds=True, total=f"{rows} parameters"),
            Column("type", types),
            Column("shape", shapes),
            Column("elements", numels, "right", total="1,234"),
        )
    )


def by_rich(data, target):
    fitted = fit(data, target.width)
    return captured(target, rich_table(fitted.table, fitted.widths), sum(fitted.widths) + len(GAP) * len(fitted.widths))


@pytest.mark.parametrize("width", [1_000_000, 200, 80, 60, 40, 10])
@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("styled", [False, True])
def test_both_layouts_of_the_same_500_rows_are_equal(width, color, styled):
    data = parameters(500, styled=styled)
    target = console(width, color=color)
    assert "".join(table_text(data, target)) == by_rich(data, target)


def test_both_layouts_of_plain_rows_are_equal():
    columns = (
        Column("name", [f"{i}.weight" for i in range(500)], folds=True, total="500 parameters"),
        Column("elements", [f"{i:,}" for i in range(500)], "right", total="1"),
    )
    target = console(1_000_000, color=False)
    assert "".join(table_text(TableData(columns), target)) == by_rich(TableData(columns), target)


CELL = st.text(st.sampled_from("ab.0 é漢\n"), max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=4), st.integers(15, 60))
def test_both_layouts_are_equal_whatever_the_cells_hold(rows, width):
    first, second, third = zip(*rows, *[("0.weight", "Linear", "12")] * LONG, strict=True)
    data = TableData((Column("name", first, folds=True), Column("x", second), Column("n", third, "right", total="3")))
    target = console(width, color=False)
    assert "".join(table_text(data, target)) == by_rich(data, target)


@pytest.mark.parametrize("justify", ["left", "right"])
def test_both_layouts_treat_a_space_at_the_end_of_a_cell_alike(justify):
    cells = ["b ", "c d ", " e", "é", (("f ", "dim"),), (("", "dim"), ("g", "")), *["123456"] * LONG]
    data = TableData((Column("name", [str(i) for i in range(len(cells))]), Column("n", cells, justify, total="3")))
    target = console(60, color=True)
    assert "".join(table_text(data, target)) == by_rich(data, target)


def test_a_long_table_comes_in_pieces():
    data = TableData((Column("name", [f"{i}.weight" for i in range(10_000)], folds=True),))
    head, *pieces = table_text(data, console(80, color=False))
    assert head.startswith("name")
    assert len(pieces) >= 10
    assert [line.rstrip() for piece in pieces for line in piece.splitlines()] == [f"{i}.weight" for i in range(10_000)]


def test_numbers_are_never_cut():
    data = TableData((Column("name", ["a" * 50], folds=True), Column("elements", ["1,234,567,890"], "right")))
    assert "1,234,567,890" in "".join(table_text(data, console(10, color=False)))


@pytest.mark.parametrize("rows", [1, LONG])
def test_what_was_left_out_is_said_below(rows):
    data = TableData((Column("name", ["a" * 30] * rows), Column("type", ["b" * 30] * rows, optional=1)))
    lines = "".join(table_text(data, console(40, color=False))).splitlines()
    assert lines[-1] == "left out for want of space: type"


def test_an_abridged_table_shows_its_ends_and_counts_the_rest():
    data = TableData((Column("n", [str(i) for i in range(1000)]), Column("m", ["x"] * 1000)))
    short = abridged(data, 10)
    assert list(short.columns[0].cells) == ["0", "1", "2", "3", "4", "… 990 more", "995", "996", "997", "998", "999"]
    assert short.columns[1].cells[5] == ""
    assert abridged(data, 1000) is data


def test_an_abridged_table_keeps_its_guides_beside_their_rows():
    names = Column("n", [str(i) for i in range(100)], guides=[f"|{i}" for i in range(100)])
    assert list(abridged(TableData((names,)), 4).columns[0].guides) == ["|0", "|1", "", "|98", "|99"]
