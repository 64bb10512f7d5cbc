"""A table laid out by Rich, or, where it is long, by code that looks the same.

Rich takes a third of a millisecond for a row. A long table takes its head, its totals and its column widths from Rich,
and lines its rows up by itself; a row that it cannot (wide characters, spaces to break at) it leaves to Rich.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
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
    """A column of a table.

    Attributes:
        header: what stands above it.
        cells: its cells, one for each row.
        justify: the side that they are set to.
        folds: whether they are folded where space is short; numbers are not.
        total: what stands below it.
    """

    header: str
    cells: Sequence[Cell]
    justify: Literal["left", "right"] = "left"
    folds: bool = False
    total: str = ""


@dataclass(frozen=True, slots=True)
class TableData:
    """The columns of a table without their layout, all of them of one length."""

    columns: tuple[Column, ...]

    @property
    def has_totals(self) -> bool:
        """Whether a row of totals is set apart below."""
        return any(column.total for column in self.columns)

    def __len__(self) -> int:
        return len(self.columns[0].cells)

    def rows(self) -> Iterator[tuple[Cell, ...]]:
        """Yield the cells of each row."""
        return zip(*(column.cells for column in self.columns), strict=True)

    def emptied(self, *, totals: bool = False, cells: Sequence[Cell] = ()) -> TableData:
        """Return the table without its rows, or with one row of these cells."""
        held = [[cell] for cell in cells] if cells else [[] for _ in self.columns]
        pairs = zip(self.columns, held, strict=True)
        return TableData(
            tuple(replace(column, cells=each, total=column.total if totals else "") for column, each in pairs)
        )


def plain(cell: Cell) -> str:
    """Return the text of a cell without its styles."""
    return cell if isinstance(cell, str) else "".join([text for text, _ in cell])


def abridged(data: TableData, most: int = LONG) -> TableData:
    """Return the table with about `most` rows: of a longer one the first and the last, and a row of dots between."""
    if len(data) <= most:
        return data
    edge = most // 2
    dots = [f"… {len(data) - 2 * edge:,} more", *[""] * (len(data.columns) - 1)]
    return TableData(
        tuple(
            replace(column, cells=[*column.cells[:edge], dot, *column.cells[-edge:]])
            for column, dot in zip(data.columns, dots, strict=True)
        )
    )


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
        show_footer=data.has_totals,
    )
    for i, column in enumerate(data.columns):
        table.add_column(
            column.header,
            column.total,
            justify=column.justify,
            overflow="fold" if column.folds else "ellipsis",
            no_wrap=not column.folds,
            width=widths[i] if widths else None,
        )
    for row in data.rows():
        table.add_row(*map(_text, row))
    return table


def table_text(data: TableData, console: Console) -> Iterator[str]:
    """Yield the text of a table, with ANSI codes where the console has colours, in pieces that end in a newline.

    Numbers are never cut: where the console is too narrow for them, the table is wider than the console.
    """
    widest = [_widest(column) for column in data.columns]
    room = max(console.width, _least_width(data, widest))
    if len(data) < LONG:
        yield captured(console, rich_table(data), room)
        return
    widths = _column_widths(data, widest, console, room)
    yield captured(console, rich_table(data.emptied(), widths=widths), room)
    yield from _body(data, widths, console, room)
    if data.has_totals:
        yield captured(console, rich_table(data.emptied(totals=True), header=False, widths=widths), room)


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


def _least_width(data: TableData, widest: Sequence[int]) -> int:
    pairs = zip(data.columns, widest, strict=True)
    least = [min(width, _FOLDED) if column.folds else width for column, width in pairs]
    return sum(least) + len(_GAP) * (len(least) - 1)


def _text(cell: Cell) -> Text:
    return Text(cell) if isinstance(cell, str) else Text.assemble(*cell)


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
    table = rich_table(data.emptied(totals=True))
    table.add_row(*probes)
    captured(console, table, room)
    return [probe.given for probe in probes]


def _body(data: TableData, widths: Sequence[int], console: Console, room: int) -> Iterator[str]:
    """Yield the lines of every row."""
    pairs = list(zip(data.columns, widths, strict=True))
    if all(_is_plain(column) and _widest(column) <= width for column, width in pairs):
        line = _GAP.join(f"{{:{'>' if column.justify == 'right' else '<'}{width}}}" for column, width in pairs) + "\n"
        yield from (line.format(*row) for row in data.rows())
        return
    render = _span_renderer(console)
    for row in data.rows():
        lines = _row_lines(row, data.columns, widths)
        if lines is None:
            yield captured(console, rich_table(data.emptied(cells=row), header=False, widths=widths), room)
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


def _widest(column: Column) -> int:
    widths = map(len, column.cells) if _is_plain(column) else map(_width, column.cells)
    return max(_width(column.header), _width(column.total), *widths, 0)


def _is_plain(column: Column) -> bool:
    """Tell whether every cell is a line of ASCII without styles: of all at once, since there may be millions.

    A space at its end is not plain, since Rich strips it where a column is set to the right.
    """
    try:
        text = "\n".join([*column.cells, ""])  # type: ignore[list-item]
    except TypeError:
        return False
    return text.isascii() and text.count("\n") == len(column.cells) and " \n" not in text


def _width(cell: Cell) -> int:
    text = plain(cell)
    if text.isascii() and "\n" not in text:
        return len(text)
    return max(map(cell_len, text.split("\n")))


def _is_simple(text: str, width: int) -> bool:
    return len(text) <= width and text.isascii() and "\n" not in text and not text.endswith(" ")


def _row_lines(row: Sequence[Cell], columns: Sequence[Column], widths: Sequence[int]) -> list[list[Span]] | None:
    """Line a row up, one list of spans for each line of text; None where only Rich knows how."""
    folded = [_fold(*each) for each in zip(row, columns, widths, strict=True)]
    if None in folded:
        return None
    lines = []
    for pieces in zip_longest(*(each or [] for each in folded), fillvalue=()):
        spans: list[Span] = []
        for piece, column, width in zip(pieces, columns, widths, strict=True):
            if spans:
                spans.append((_GAP, ""))
            space = (" " * (width - len(plain(tuple(piece)))), "")
            spans += [space, *piece] if column.justify == "right" else [*piece, space]
        lines.append([span for span in spans if span[0]])
    return lines


def _fold(cell: Cell, column: Column, width: int) -> list[list[Span]] | None:
    """Break a cell at its newlines, and where a line without a space is too long."""
    if isinstance(cell, str):
        cell = ((cell, ""),)
    if _is_simple(plain(cell), width):
        return [list(cell)]
    if width < 1 or not plain(cell).isascii():
        return None
    lines: list[list[Span]] = [[]]
    for text, style in cell:
        first, *others = text.split("\n")
        lines[-1].append((first, style))
        lines.extend([(other, style)] for other in others)
    folded = []
    for line in lines:
        length = sum(len(text) for text, _ in line)
        if length > width and (not column.folds or any(" " in text for text, _ in line)):
            return None
        if line and line[-1][0].endswith(" "):
            return None
        folded += _cut(line, width)
    return folded


def _cut(line: list[Span], width: int) -> list[list[Span]]:
    """Cut the spans of one line into lines of at most `width`."""
    cut: list[list[Span]] = [[]]
    room = width
    for span, style in line:
        text = span
        while len(text) > room:
            if room:
                cut[-1].append((text[:room], style))
            text, room = text[room:], width
            cut.append([])
        if text:
            cut[-1].append((text, style))
            room -= len(text)
    return cut
