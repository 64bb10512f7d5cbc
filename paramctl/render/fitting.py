"""A table -> the same table in a width: a column that may be left out is, and lines that are too long are broken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from rich.cells import cell_len
from rich.text import Text

from paramctl.render.table import GAP, Cell, Column, Span, TableData, plain

_READABLE: Final = 14
"""A column that breaks its lines gets as much, if leaving others out helps."""
_LEAST: Final = 12
"""The least width that a column's lines are broken to."""
_BREAKS: Final = (" ", "(,:/", ".=", "_-")
"""The characters behind which a line is broken, best ones first."""
_HANG: Final = "  "
"""What stands before the rest of a broken line."""


_Measured: TypeAlias = tuple[Column, int]
"""A column and the width of its widest line."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A table as it fits a width, the widths of its columns, and the headers of the columns that had no room."""

    table: TableData
    widths: list[int]
    left_out: tuple[str, ...] = ()

    def note(self) -> Text | None:
        """Return the line below the table that says what was left out."""
        return Text(f"left out for want of space: {', '.join(self.left_out)}", "dim") if self.left_out else None


def fit(data: TableData, width: int) -> Fitted:
    """Fit a table into a width.

    Numbers are never cut: where they alone do not fit, the table is wider.
    """
    kept: list[_Measured] = [(column, widest_line(column)) for column in data.columns]
    left_out: list[str] = []
    for turn in sorted({column.optional for column in data.columns} - {0}):
        if _needed(kept, _READABLE) <= width:
            break
        left_out += [column.header for column, _ in kept if column.optional == turn]
        kept = [(column, widest) for column, widest in kept if column.optional != turn]
    kept = [_redrawn(column, widest, _needed(kept, _LEAST) - width) for column, widest in kept]
    widths = _widths(kept, max(width, _needed(kept, _LEAST)))
    columns = [
        _broken_column(column, room) if widest > room else column
        for (column, widest), room in zip(kept, widths, strict=True)
    ]
    return Fitted(TableData(tuple(_guided(column, columns) for column in columns)), widths, tuple(left_out))


def widest_line(column: Column) -> int:
    """Return the width of the widest line in a column, in cells of a terminal."""
    widths = map(len, column.cells) if is_ascii(column) else map(_width, column.cells)
    return max(_width(column.header), _width(column.total), *widths, 0)


def is_ascii(column: Column) -> bool:
    """Tell whether every cell is one line of ASCII without styles: of all at once, since there may be millions.

    A space at its end counts as something else, since Rich strips it where a column is set to the right.
    """
    try:
        text = "\n".join([*column.cells, ""])  # type: ignore[list-item]  # a styled one raises
    except TypeError:
        return False
    return text.isascii() and text.count("\n") == len(column.cells) and " \n" not in text


def is_narrow(text: str) -> bool:
    """Tell whether every character of a text takes one cell of a terminal."""
    return text.isascii() or all(cell_len(each) == 1 for each in text if each != "\n")


def broken(cell: Cell, width: int) -> Cell:
    """Break the lines of a cell that are longer than a width; a cell with wide characters is left to Rich."""
    text = plain(cell)
    if ("\n" not in text and len(text) <= width) or not is_narrow(text):
        return cell
    lines = [piece for line in lines_of(cell) for piece in _broken_line(line, width)]
    if isinstance(cell, str):
        return "\n".join(plain(tuple(line)) for line in lines)
    joined: list[Span] = []
    for line in lines:
        joined += [("\n", ""), *line] if joined else line
    return tuple(joined)


def lines_of(cell: Cell) -> list[list[Span]]:
    """Split a cell at its newlines."""
    lines: list[list[Span]] = [[]]
    for text, style in [(cell, "")] if isinstance(cell, str) else cell:
        first, *others = text.split("\n")
        lines[-1].append((first, style))
        lines.extend([(other, style)] for other in others)
    return lines


def _width(cell: Cell) -> int:
    text = plain(cell)
    if text.isascii() and "\n" not in text:
        return len(text)
    return max(map(cell_len, text.split("\n")))


def _needed(columns: Sequence[_Measured], least: int) -> int:
    """Return the width of a table whose breaking columns are at most `least` wide, where they can be."""
    return sum(_narrowed(column, widest, least) for column, widest in columns) + len(GAP) * (len(columns) - 1)


def _redrawn(column: Column, widest: int, missing: int) -> _Measured:
    """Return a picture in a width from which what is missing has gone; any other column as it is."""
    if column.drawn is None or missing <= 0:
        return column, widest
    redrawn = column.drawn(widest - missing)
    return redrawn, widest_line(redrawn)


def _narrowed(column: Column, widest: int, limit: int) -> int:
    return min(widest, max(limit, column.least)) if column.folds else widest


def _widths(columns: Sequence[_Measured], room: int) -> list[int]:
    """Return the widths of the columns: the longest of those that break their lines give way first."""
    longest = max((widest for column, widest in columns if column.folds), default=0)
    while longest > _LEAST and _needed(columns, longest) > room:
        longest -= 1
    return [_narrowed(column, widest, longest) for column, widest in columns]


def _broken_column(column: Column, width: int) -> Column:
    return replace(column, cells=[broken(cell, width) for cell in column.cells])


def _guided(column: Column, columns: Sequence[Column]) -> Column:
    """Return the column with its guides beside the further lines of the other columns' cells."""
    if not column.guides:
        return column
    heights = (max(len(lines_of(cell)) for cell in row) for row in zip(*(each.cells for each in columns), strict=True))
    rows = zip(column.cells, column.guides, heights, strict=True)
    return replace(column, cells=[_lengthened(cell, guide, height) for cell, guide, height in rows])


def _lengthened(cell: Cell, guide: str, height: int) -> Cell:
    missing = height - len(lines_of(cell))
    if missing <= 0 or not guide:
        return cell
    spans = ((cell, ""),) if isinstance(cell, str) else cell
    return (*spans, (f"\n{guide}" * missing, "dim"))


def _broken_line(line: list[Span], width: int) -> Iterator[list[Span]]:
    text = plain(tuple(line))
    for start, end in _cuts(text, width):
        piece = [] if start == 0 else [(_HANG, "")]
        offset = 0
        for span, style in line:
            part = span[max(start - offset, 0) : max(end - offset, 0)]
            offset += len(span)
            if part:
                piece.append((part, style))
        yield piece or [("", "")]


def _cuts(text: str, width: int) -> Iterator[tuple[int, int]]:
    """Yield the start and the end of every line that a text is broken into."""
    start, room = 0, width
    while len(text) - start > room:
        end = _best_break(text, start, start + room)
        yield start, start + len(text[start:end].rstrip(" "))
        start = end + len(text[end:]) - len(text[end:].lstrip(" "))
        room = width - len(_HANG)
    yield start, len(text)


def _best_break(text: str, start: int, limit: int) -> int:
    """Return the place at or before `limit` where a line is best broken, and not too early.

    That is behind a mark or, failing all, before a word of a name ``WrittenLikeThis``.
    """
    earliest = start + (limit - start) // 3
    for marks in _BREAKS:
        for place in range(limit, earliest, -1):
            if text[place - 1] in marks or (marks == " " and text[place] == " "):
                return place
    words = (each for each in range(limit, earliest, -1) if text[each - 1].islower() and text[each].isupper())
    return next(words, limit)
