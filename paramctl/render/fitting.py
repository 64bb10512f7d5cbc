"""A table -> the same table in a width: a column that may be left out is, and lines that are too long are broken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from rich.cells import cell_len

from paramctl.render.table import GAP, Cell, Column, Span, TableData, plain

_READABLE: Final = 14
"""A column that breaks its lines gets as much, if leaving others out helps."""
_LEAST: Final = 12
"""The least width that a column's lines are broken to."""
_BREAKS: Final = (" ", "(,:/", ".=", "_-")
"""The characters behind which a line is broken, best ones first."""
_HANG: Final = "  "
"""What stands before the rest of a broken line."""


def fit(data: TableData, width: int) -> tuple[TableData, list[int]]:
    """Return the table as it fits a width, and the widths of its columns.

    Numbers are never cut: where they alone do not fit, the table is wider.
    """
    widest = [widest_line(column) for column in data.columns]
    if _needed(data, widest, _READABLE) > width:
        kept = [i for i, column in enumerate(data.columns) if not column.optional]
        data, widest = TableData(tuple(data.columns[i] for i in kept)), [widest[i] for i in kept]
    widths = _widths(data, widest, max(width, _needed(data, widest, _LEAST)))
    pairs = zip(data.columns, widest, widths, strict=True)
    return TableData(
        tuple(_broken_column(column, room) if most > room else column for column, most, room in pairs)
    ), widths


def widest_line(column: Column) -> int:
    """Return the width of the widest line in a column, in cells of a terminal."""
    widths = map(len, column.cells) if is_ascii(column) else map(_width, column.cells)
    return max(_width(column.header), _width(column.total), *widths, 0)


def is_ascii(column: Column) -> bool:
    """Tell whether every cell is one line of ASCII without styles: of all at once, since there may be millions.

    A space at its end counts as something else, since Rich strips it where a column is set to the right.
    """
    try:
        text = "\n".join([*column.cells, ""])  # type: ignore[list-item]
    except TypeError:
        return False
    return text.isascii() and text.count("\n") == len(column.cells) and " \n" not in text


def is_narrow(text: str) -> bool:
    """Tell whether every character of a text takes one cell of a terminal."""
    return text.isascii() or all(cell_len(each) == 1 for each in text if each != "\n")


def broken(cell: Cell, width: int) -> Cell:
    """Break the lines of a cell that are longer than a width; a cell with wide characters is left to Rich."""
    if not is_narrow(plain(cell)):
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


def _needed(data: TableData, widest: Sequence[int], least: int) -> int:
    """Return the width of a table whose breaking columns are at most `least` wide."""
    pairs = zip(data.columns, widest, strict=True)
    return sum(min(most, least) if column.folds else most for column, most in pairs) + len(GAP) * (len(widest) - 1)


def _widths(data: TableData, widest: Sequence[int], room: int) -> list[int]:
    """Return the widths of the columns: the longest of those that break their lines give way first."""
    longest = max((most for column, most in zip(data.columns, widest, strict=True) if column.folds), default=0)
    while longest > _LEAST and _needed(data, widest, longest) > room:
        longest -= 1
    return [min(most, longest) if column.folds else most for column, most in zip(data.columns, widest, strict=True)]


def _broken_column(column: Column, width: int) -> Column:
    return replace(column, cells=[broken(cell, width) for cell in column.cells])


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
    """Return the place at or before `limit` where a line is best broken, and not too early."""
    earliest = start + (limit - start) // 3
    for marks in _BREAKS:
        for place in range(limit, earliest, -1):
            if text[place - 1] in marks or (marks == " " and text[place] == " "):
                return place
    return limit
