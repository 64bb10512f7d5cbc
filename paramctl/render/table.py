"""A table as plain columns, and as Rich's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from rich import box
from rich.table import Table
from rich.text import Text

Span: TypeAlias = tuple[str, str]
"""A piece of text and the name of its style; "" is plain."""
Cell: TypeAlias = str | tuple[Span, ...]

GAP = "  "
"""What stands between two columns."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        header: what stands above it.
        cells: its cells, one for each row.
        justify: the side that they are set to.
        folds: whether they are broken where space is short; numbers are not.
        least: the least width that they are broken to, where that is more than for any column.
        optional: the turn in which the column is left out where space is still short; 0 for never.
        total: what stands below it.
        guides: what stands, for each row, in the lines that a cell is shorter than the others of its row.
        drawn: draws the column in some width, where it is a picture; more where that is too little.
    """

    header: str
    cells: Sequence[Cell]
    justify: Literal["left", "right"] = "left"
    folds: bool = False
    least: int = 0
    optional: int = 0
    total: str = ""
    guides: Sequence[str] = ()
    drawn: Callable[[int], Column] | None = None


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


def abridged(data: TableData, most: int = 200) -> TableData:
    """Return the table with about `most` rows: of a longer one the first and the last, and a row of dots between."""
    if len(data) <= most:
        return data
    edge = most // 2
    dots = [f"… {len(data) - 2 * edge:,} more", *[""] * (len(data.columns) - 1)]
    return TableData(
        tuple(
            replace(
                column,
                cells=[*column.cells[:edge], dot, *column.cells[-edge:]],
                guides=[*column.guides[:edge], "", *column.guides[-edge:]] if column.guides else (),
            )
            for column, dot in zip(data.columns, dots, strict=True)
        )
    )


def rich_table(data: TableData, widths: Sequence[int], *, header: bool = True) -> Table:
    """Return the table for Rich to lay out in columns of these widths."""
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
    for column, width in zip(data.columns, widths, strict=True):
        table.add_column(
            column.header,
            column.total,
            justify=column.justify,
            overflow="fold" if column.folds else "ellipsis",
            no_wrap=not column.folds,
            width=width,
        )
    for row in data.rows():
        table.add_row(*map(_text, row))
    return table


def _text(cell: Cell) -> Text:
    return Text(cell) if isinstance(cell, str) else Text.assemble(*cell)
