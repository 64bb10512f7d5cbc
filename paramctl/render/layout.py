"""A table -> its text, laid out by Rich, or, where it is long, by code that looks the same.

Rich takes a third of a millisecond for a row. A long table takes its head and its totals from Rich and lines its rows
up by itself; a row that it cannot (wide characters, spaces at the end) it leaves to Rich.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice, zip_longest

from rich.console import Console, RenderableType
from rich.text import Text

from paramctl.render.fitting import fit, is_ascii, is_narrow, lines_of
from paramctl.render.table import GAP, Cell, Column, Span, TableData, plain, rich_table

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
    pairs = list(zip(data.columns, widths, strict=True))
    if all(map(is_ascii, data.columns)):  # none is too wide for its column: it would have been broken
        form = GAP.join(f"%{'' if column.justify == 'right' else '-'}{width}s" for column, width in pairs) + "\n"
        texts = map(form.__mod__, data.rows())
        while piece := "".join(islice(texts, _AT_ONCE)):
            yield piece
        return
    render = _span_renderer(console)
    for row in data.rows():
        lines = _row_lines(row, data.columns, widths)
        if lines is None:
            yield captured(console, rich_table(data.emptied(cells=row), widths, header=False), room)
        else:
            yield "".join("".join(map(render, line)) + "\n" for line in lines)


def _span_renderer(console: Console) -> Callable[[Span], str]:
    """Return a function that writes a span with the ANSI codes that Rich would use."""
    around: dict[str, tuple[str, str]] = {"": ("", "")}

    def render(span: Span) -> str:
        text, style = span
        if style not in around:
            before, _, after = captured(console, Text("x", style)).partition("x")
            around[style] = (before, after.rstrip("\n"))
        before, after = around[style]
        return f"{before}{text}{after}"

    return render


def _row_lines(row: Sequence[Cell], columns: Sequence[Column], widths: Sequence[int]) -> list[list[Span]] | None:
    """Line a row up, one list of spans for each line of text; None where only Rich knows how."""
    cells = [_cell_lines(cell, width) for cell, width in zip(row, widths, strict=True)]
    if None in cells:
        return None
    lines = []
    for pieces in zip_longest(*(each or [] for each in cells), fillvalue=()):
        spans: list[Span] = []
        for piece, column, width in zip(pieces, columns, widths, strict=True):
            if spans:
                spans.append((GAP, ""))
            space = (" " * (width - len(plain(tuple(piece)))), "")
            spans += [space, *piece] if column.justify == "right" else [*piece, space]
        lines.append([span for span in spans if span[0]])
    return lines


def _cell_lines(cell: Cell, width: int) -> list[list[Span]] | None:
    text = plain(cell)
    if not is_narrow(text) or any(len(line) > width or line.endswith(" ") for line in text.split("\n")):
        return None
    return lines_of(cell)
