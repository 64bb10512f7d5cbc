"""The cells that several tables share: names whose repetition is dimmed, and statistics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from paramctl.records import Statistics
from paramctl.render import text
from paramctl.render.sketch import sketch
from paramctl.render.table import Cell, Column, Span, plain

DIM: Final = "dim"
WRONG: Final = "red"
SHARED: Final = "cyan"
"""What the colours mean: repeated or nothing new; needs a look; one tensor under several names."""

NOTHING: Final[Cell] = (("–", DIM),)
"""What stands where there is no number."""

_MOST_ALIASES = 8


def name_cells(names: Iterable[Sequence[str]], *, styled: bool) -> list[Cell]:
    """Return a cell for each parameter's names: the first, and the aliases below it.

    Of the first name, what the row above has too is dimmed; without styles there is nothing to find out.
    """
    if not styled:
        return [text.escape(each[0]) if len(each) == 1 else plain(_with_aliases(each[0], each[1:])) for each in names]
    return list(_dimmed_names(names))


def _dimmed_names(names: Iterable[Sequence[str]]) -> Iterator[Cell]:
    above = ""
    for name, *aliases in names:
        while not name.startswith(above):
            above = above[: above.rfind(".", 0, -1) + 1]
        prefix: tuple[Span, ...] = ((text.escape(above), DIM),) if above else ()
        yield prefix + _with_aliases(name[len(above) :], aliases)
        above = name[: name.rfind(".") + 1]


def _with_aliases(name: str, aliases: Sequence[str]) -> tuple[Span, ...]:
    return ((text.escape(name), ""), *other_names(aliases)) if aliases else ((text.escape(name), ""),)


def other_names(names: Sequence[str]) -> Iterator[Span]:
    """Yield a line for each of the first names of what is the same, and a last one that counts the others."""
    yield from ((f"\n= {text.escape(name)}", SHARED) for name in names[:_MOST_ALIASES])
    if len(names) > _MOST_ALIASES:
        yield f"\n= … {len(names) - _MOST_ALIASES:,} more names", SHARED


def repeated(cells: Sequence[str], *, styled: bool) -> Sequence[Cell]:
    """Return the cells of a column; with styles, one that is as the one above is dimmed."""
    if not styled:
        return cells
    above = ["", *cells]
    return [((cell, DIM),) if cell and cell == before else cell for cell, before in zip(cells, above, strict=False)]


def statistics_columns(measured: Sequence[Statistics | None], *, norm: bool = True) -> list[Column]:
    """Return the columns for statistics; zeros, NaN and infinities are counted where there is anything to say.

    Between min and max stand the histograms that reach from the one to the other, where there are any.
    """
    known = [each for each in measured if each is not None]
    moments = ["mean", "std", "min", "max", *["norm"] * norm]
    counts = ["zeros"] * any(each.zeros and (each.min, each.max) != (0, 0) for each in known)
    counts += [name for name in ("nan", "inf") if any(getattr(each, name) for each in known)]
    columns = [
        Column(name, [_moment(each, name) for each in measured], "right", optional=2 * (name in {"min", "max"}))
        for name in moments
    ]
    if any(each.histogram is not None for each in known):
        columns.insert(3, Column("histogram", [_sketch(each) for each in measured], optional=4))
    return columns + [Column(name, [_count(each, name) for each in measured], "right") for name in counts]


def _moment(stats: Statistics | None, name: str) -> Cell:
    """Write a statistic; of what has no finite element none is defined, the norm of nothing included."""
    return NOTHING if stats is None or stats.mean is None else text.number(getattr(stats, name))


def _sketch(stats: Statistics | None) -> Cell:
    return (sketch(stats) if stats else "") or NOTHING


def _count(stats: Statistics | None, name: str) -> Cell:
    if stats is None:
        return NOTHING
    count = getattr(stats, name)
    return ((text.grouped(count), WRONG),) if count and name != "zeros" else text.grouped(count)
