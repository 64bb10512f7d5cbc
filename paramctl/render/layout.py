"""A table -> its text, laid out by Rich, or, where it is long, by code that looks the same.

Rich takes a third of a millisecond for a row. A long table takes its head and its totals from Rich and lines its rows
up by itself; a row that it cannot (wide characters, spaces at the end) it leaves to Rich.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, zip_longest
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from paramctl.render.fitting import fit, is_ascii, is_narrow, lines_of
from paramctl.render.table import GAP, Cell, Column, Span, TableData, rich_table

LONG = 200
"""The number of rows from which a table is lined up without Rich."""
_AT_ONCE = 1000
"""How many of its rows are one piece of text."""


def table_text(data: TableData, console: Console) -> Iterator[str]:
    """Yield the text of a table, with ANSI codes where the console has colours, in pieces that end in a newline."""
    fitted = fit(data, console.width)
    yield from _laid_out(fitted.table, fitted.widths, console)
    note = fitted.note()
    if note is not None:
        yield captured(console, note)


def _laid_out(data: TableData, widths: Sequence[int], console: Console) -> Iterator[str]:
    room = sum(widths) + len(GAP) * len(widths)
    if len(data) < LONG:
        yield captured(console, rich_table(data, widths), room)
        return
    yield captured(console, rich_table(data.emptied(), widths), room)
    yield from _body(data, widths, console, room)
    if data.has_totals:
        yield captured(console, rich_table(data.emptied(totals=True), widths, header=False), room)


def captured(console: Console, renderable: RenderableType, width: int | None = None) -> str:
    """Return what a console would print, in another width than its own if one is given."""
    own = console.width
    console.width = own if width is None else width
    try:
        with console.capture() as capture:
            console.print(renderable)
        return capture.get()
    finally:
        console.width = own


def _body(data: TableData, widths: Sequence[int], console: Console, room: int) -> Iterator[str]:
    """Yield the lines of every row."""
    codes = _Codes(console)
    columns = list(zip(data.columns, widths, strict=True))
    rows: Iterator[str]

    def in_several_lines(row: Sequence[Cell]) -> str:
        lines: list[list[Any]] = [
            [_text(spans, *column, codes) for spans, column in zip(line, columns, strict=True)]
            for line in zip_longest(*map(lines_of, row), fillvalue=())
        ]
        if any(None in line for line in lines):
            return captured(console, rich_table(data.emptied(cells=row), widths, header=False), room).removesuffix("\n")
        return "\n".join(map(GAP.join, lines))

    if all(map(is_ascii, data.columns)):
        rows = map(GAP.join(_form(*column) for column in columns).__mod__, data.rows())
    else:
        lines = zip(*(_texts(*column, codes) for column in columns), strict=True)
        pairs = zip(data.rows(), lines, strict=True)
        rows = (in_several_lines(row) if None in line else GAP.join(line) for row, line in pairs)
    while piece := list(islice(rows, _AT_ONCE)):
        yield "\n".join(piece) + "\n"


def _form(column: Column, width: int) -> str:
    return f"%{'' if column.justify == 'right' else '-'}{width}s"


def _texts(column: Column, width: int, codes: _Codes) -> Iterator[str | None]:
    """Yield each cell as wide as its column; None for one that takes several lines, or that only Rich can set."""
    if is_ascii(column):  # none is too wide: it would have been broken
        return map(_form(column, width).__mod__, column.cells)
    return (_text(((cell, ""),) if isinstance(cell, str) else cell, column, width, codes) for cell in column.cells)


def _text(spans: Iterable[Span], column: Column, width: int, codes: _Codes) -> str | None:
    """Return a line of a cell as wide as its column; None for what only Rich can set: wide characters, a space last."""
    text = drawn = ""
    for piece, style in spans:
        text += piece
        drawn += codes[style] % piece if style and piece else piece
    if "\n" in text or text.endswith(" ") or not is_narrow(text):
        return None
    space = " " * (width - len(text))
    return space + drawn if column.justify == "right" else drawn + space


class _Codes(dict[str, str]):
    """The form of a text in each style, with the ANSI codes that Rich would write around it."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def __missing__(self, style: str) -> str:
        self[style] = captured(self._console, Text("%s", style), 2).rstrip("\n")
        return self[style]
