"""The cells that several tables share: names whose repetition is dimmed, and statistics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from paramctl.records import Statistics
from paramctl.render import text
from paramctl.render.table import Cell, Column, Span

DIM: Final = "dim"
WRONG: Final = "red"
SHARED: Final = "cyan"
"""What the colours mean: repeated or nothing new; needs a look; one tensor under several names."""

_MOST_ALIASES = 8


def name_cells(names: Iterable[Sequence[str]]) -> Iterator[Cell]:
    """Yield a cell for each parameter's names: of the first, what the row above has too is dimmed; then the aliases."""
    above: list[str] = []
    for name, *aliases in names:
        parts = name.split(".")
        common = 0
        while common < min(len(parts), len(above)) - 1 and parts[common] == above[common]:
            common += 1
        above = parts
        prefix = "".join(f"{part}." for part in parts[:common])
        spans: list[Span] = [(text.escape(prefix), DIM)] if prefix else []
        spans.append((text.escape(".".join(parts[common:])), ""))
        spans += [(f"\n= {text.escape(alias)}", SHARED) for alias in aliases[:_MOST_ALIASES]]
        if len(aliases) > _MOST_ALIASES:
            spans.append((f"\n= … {len(aliases) - _MOST_ALIASES:,} more names", SHARED))
        yield tuple(spans)


def repeated(cells: Iterable[str]) -> Iterator[Cell]:
    """Yield the cells of a column; one that is as the one above is dimmed."""
    above = None
    for cell in cells:
        yield ((cell, DIM),) if cell == above and cell else cell
        above = cell


class StatisticsColumns:
    """The columns for statistics; zeros, NaN and infinities are counted where there is anything to say."""

    def __init__(self, measured: Sequence[Statistics | None], *, norm: bool = True) -> None:
        """Choose the columns for all rows together."""
        self.norm = norm
        known = [each for each in measured if each is not None]
        self.counts = ["zeros"] if any(each.zeros and (each.min, each.max) != (0, 0) for each in known) else []
        self.counts += [name for name in ("nan", "inf") if any(getattr(each, name) for each in known)]

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns."""
        names = ("mean", "std", "min", "max", *(("norm",) if self.norm else ()), *self.counts)
        return tuple(Column(name, "right") for name in names)

    def cells(self, stats: Statistics | None) -> tuple[Cell, ...]:
        """Return the cells of one row; dashes where there is nothing to measure."""
        if stats is None:
            return ((("–", DIM),),) * len(self.columns)
        moments = [stats.mean, stats.std, stats.min, stats.max, *([stats.norm] if self.norm else [])]
        return (*map(text.number, moments), *(self._count(stats, name) for name in self.counts))

    @staticmethod
    def _count(stats: Statistics, name: str) -> Cell:
        count = getattr(stats, name)
        if name != "zeros" and count:
            return ((text.grouped(count), WRONG),)
        return text.grouped(count)
