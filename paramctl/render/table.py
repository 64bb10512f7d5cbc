"""A table laid out by Rich, or, where it is long, by code that looks the same.

Rich takes a third of a millisecond for a row. A long table takes its head, its totals and its column widths from Rich,
and lines its rows up by itself; a row that it cannot (wide characters, spaces to break at) it leaves to Rich.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal, TypeAlias

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

Span: TypeAlias = tuple[str, str]
"""A piece of text and the name of its style; "" is plain."""
Cell: TypeAlias = str | tuple[Span, ...]

LONG = 200
"""The number of rows from which a table is lined up without Rich."""
_GAP = "  "
_FOLDED = 12
"""The least width that a column is folded to."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its header, the side its cells are set to, and whether it is folded where space is short."""

    header: str
    justify: Literal["left", "right"] = "left"
    folds: bool = False


@dataclass(frozen=True, slots=True)
class TableData:
    """The cells of a table without their layout; `totals` is a last row, set apart."""

    columns: tuple[Column, ...]
    rows: Sequence[tuple[Cell, ...]]
    totals: tuple[str, ...] | None = None


def plain(cell: Cell) -> str:
    """Return the text of a cell without its styles."""
    return cell if isinstance(cell, str) else "".join(text for text, _ in cell)


def abridged(data: TableData, most: int = LONG) -> TableData:
    """Return the table with about `most` rows: of a longer one the first and the last, and a row of dots between."""
    if len(data.rows) <= most:
        return data
    edge = most // 2
    dots = (f"… {len(data.rows) - 2 * edge:,} more", *("",) * (len(data.columns) - 1))
    return TableData(data.columns, [*data.rows[:edge], dots, *data.rows[-edge:]], data.totals)


def rich_table(data: TableData, *, header: bool = True, widths: Sequence[int] | None = None) -> Table:
    """Return the table for Rich to lay out; `widths` fixes those of the columns."""
    table = Table(
        box=box.SIMPLE,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold",
        footer_style="bold",
        show_header=header,
        show_footer=data.totals is not None,
    )
    for i, column in enumerate(data.columns):
        table.add_column(
            column.header,
            data.totals[i] if data.totals else "",
            justify=column.justify,
            overflow="fold" if column.folds else "ellipsis",
            no_wrap=not column.folds,
            min_width=_FOLDED if column.folds else None,
            width=widths[i] if widths else None,
        )
    for row in data.rows:
        table.add_row(*map(_text, row))
    return table


def table_text(data: TableData, console: Console) -> Iterator[str]:
    """Yield the text of a table, with ANSI codes where the console has colours, in pieces that end in a newline.

    Numbers are never cut: where the console is too narrow for them, the table is wider than the console.
    """
    widest = _widest(data)
    room = max(console.width, _least_width(data, widest))
    if len(data.rows) < LONG:
        yield captured(console, rich_table(data), room)
        return
    widths = _column_widths(data, widest, console, room)
    yield captured(console, rich_table(TableData(data.columns, ()), widths=widths), room)
    codes = _StyleCodes(console)
    for row in data.rows:
        lines = _row_lines(row, data.columns, widths)
        if lines is None:
            yield captured(console, rich_table(TableData(data.columns, [row]), header=False, widths=widths), room)
        else:
            yield "".join("".join(map(codes.render, line)) + "\n" for line in lines)
    if data.totals is not None:
        yield captured(console, rich_table(TableData(data.columns, (), data.totals), header=False, widths=widths), room)


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


def _widest(data: TableData) -> list[int]:
    """Return the width of each column's widest cell, header and total included."""
    edges = [tuple(column.header for column in data.columns), data.totals or ("",) * len(data.columns)]
    return [max(map(_width, column)) for column in zip(*edges, *data.rows, strict=True)]


def _least_width(data: TableData, widest: Sequence[int]) -> int:
    least = [min(width, _FOLDED) if column.folds else width for column, width in zip(data.columns, widest, strict=True)]
    return sum(least) + len(_GAP) * (len(least) - 1)


def _text(cell: Cell) -> Text:
    return Text(cell) if isinstance(cell, str) else Text.assemble(*cell)


class _StyleCodes:
    """Writes spans with the ANSI codes that Rich would use."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._around: dict[str, tuple[str, str]] = {"": ("", "")}

    def render(self, span: Span) -> str:
        text, style = span
        if style not in self._around:
            with self._console.capture() as capture:
                self._console.print(Text("x", style), end="")
            before, _, after = capture.get().partition("x")
            self._around[style] = (before, after)
        before, after = self._around[style]
        return f"{before}{text}{after}"


class _Probe:
    """Stands for all cells of a column: as wide as the widest, it notes the width that Rich gives the column."""

    def __init__(self, widest: int) -> None:
        self.widest = widest
        self.given = 0

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(self.widest, self.widest)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.given = options.max_width
        yield Text("")


def _column_widths(data: TableData, widest: Sequence[int], console: Console, room: int) -> list[int]:
    """Ask Rich for the widths, with one row that is as wide as all rows together."""
    probes = [_Probe(width) for width in widest]
    table = rich_table(TableData(data.columns, (), data.totals))
    table.add_row(*probes)
    captured(console, table, room)
    return [probe.given for probe in probes]


def _width(cell: Cell) -> int:
    text = plain(cell)
    if text.isascii() and "\n" not in text:
        return len(text)
    return max(map(cell_len, text.split("\n")))


def _row_lines(row: tuple[Cell, ...], columns: tuple[Column, ...], widths: list[int]) -> list[list[Span]] | None:
    """Line a row up, one list of spans for each line of text; None where only Rich knows how."""
    spans: list[Span] = []
    for cell, column, width in zip(row, columns, widths, strict=True):
        text = plain(cell)
        if len(text) > width or not text.isascii() or "\n" in text:
            return _folded_lines(row, columns, widths)
        if spans:
            spans.append((_GAP, ""))
        _append_justified(spans, cell, column, width - len(text))
    return [spans]


def _append_justified(spans: list[Span], cell: Cell, column: Column, room: int) -> None:
    if room and column.justify == "right":
        spans.append((" " * room, ""))
    if isinstance(cell, str):
        spans.append((cell, ""))
    else:
        spans.extend(cell)
    if room and column.justify == "left":
        spans.append((" " * room, ""))


def _folded_lines(row: tuple[Cell, ...], columns: tuple[Column, ...], widths: list[int]) -> list[list[Span]] | None:
    """Line up a row of which a cell takes several lines."""
    folded = [_fold(*each) for each in zip(row, columns, widths, strict=True)]
    if None in folded:
        return None
    lines = []
    for pieces in zip_longest(*(each or [] for each in folded), fillvalue=()):
        spans: list[Span] = []
        for piece, column, width in zip(pieces, columns, widths, strict=True):
            if spans:
                spans.append((_GAP, ""))
            _append_justified(spans, tuple(piece), column, width - len(plain(tuple(piece))))
        lines.append(spans)
    return lines


def _fold(cell: Cell, column: Column, width: int) -> list[list[Span]] | None:
    """Break a cell at its newlines, and where a line without a space is too long."""
    if width < 1:
        return None
    lines: list[list[Span]] = [[]]
    for text, style in ((cell, ""),) if isinstance(cell, str) else cell:
        if not text.isascii():
            return None
        first, *others = text.split("\n")
        lines[-1].append((first, style))
        lines.extend([(other, style)] for other in others)
    folded = []
    for line in lines:
        length = sum(len(text) for text, _ in line)
        if length > width and (not column.folds or any(" " in text for text, _ in line)):
            return None
        folded += _cut(line, width)
    return folded


def _cut(line: list[Span], width: int) -> list[list[Span]]:
    """Cut the spans of one line into lines of at most `width`."""
    cut: list[list[Span]] = [[]]
    room = width
    for text, style in line:
        while len(text) > room:
            if room:
                cut[-1].append((text[:room], style))
            text, room = text[room:], width  # noqa: PLW2901  the rest goes on
            cut.append([])
        if text:
            cut[-1].append((text, style))
            room -= len(text)
    return cut
