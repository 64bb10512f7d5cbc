"""Elements -> how many lie in each bin, counted block by block in bins that merge without loss."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from operator import add
from typing import Final

import torch

from paramctl.records import FLOATING_DTYPES, Histogram, Precision
from paramctl.tensors.collect import dtype_name
from paramctl.tensors.scratch import Scratch

MOST_BINS: Final = 32
"""The bins of a histogram; more than half as many, if the dtype has so many numbers between min and max."""
_LEAST_EXPONENT: Final = -126
"""Numbers are scaled by powers of two; of a higher one than 2^126 float32 has none."""


@dataclass(frozen=True, slots=True)
class Grid:
    """How closely the numbers of a dtype lie.

    Attributes:
        digits: the binary digits behind the first one.
        finest: the exponent of the power of two that no two numbers are closer than.

    """

    digits: int
    finest: int

    def spacing(self, magnitude: float) -> int:
        """Return the exponent of the distance from one number to the next at a magnitude."""
        return max(math.frexp(magnitude)[1] - 1 - self.digits, self.finest) if magnitude else self.finest


@cache
def grid_of(dtype: torch.dtype) -> Grid:
    """Return the grid of a dtype's elements; that of their magnitudes, in float64, where they are complex."""
    if dtype.is_complex:
        return grid_of(torch.float64)
    if not dtype.is_floating_point:
        return Grid(digits=52, finest=0)
    known = torch.finfo(dtype)
    precision = FLOATING_DTYPES.get(dtype_name(dtype), Precision(known.eps, known.smallest_normal * known.eps))
    return Grid(digits=-_exponent(precision.epsilon), finest=_exponent(precision.smallest))


def _exponent(power_of_two: float) -> int:
    return math.frexp(power_of_two)[1] - 1


@dataclass(frozen=True, slots=True)
class Bins:
    """The counts of some finite elements in bins whose width is a power of two, and whose edges are its multiples.

    The width is the least that takes `MOST_BINS` bins, so it follows from the extremes alone, and that of a part is the
    same or a smaller power of two: its bins lie inside those of the whole. So merging loses nothing, and no order of
    blocks, nor their size, changes a count.

    Attributes:
        grid: how closely the elements lie; no bin is narrower.
        least, largest: the extremes.
        exponent: that of the width.
        first: the lower edge of the first bin, in widths; `least` lies in that bin, `largest` in the last one.
        counts: the elements of each bin, lower edges included.

    """

    grid: Grid
    least: float = math.inf
    largest: float = -math.inf
    exponent: int = 0
    first: int = 0
    counts: tuple[int, ...] = ()

    @classmethod
    def count(cls, block: torch.Tensor, least: float, largest: float, grid: Grid, scratch: Scratch) -> Bins:
        """Count the elements of a vector of finite float32 or float64 with these extremes."""
        if block.numel() == 0:
            return cls(grid)
        exponent = _width(least, largest, grid)
        first, last = _index(least, exponent), _index(largest, exponent)
        if first == last:
            return cls(grid, least, largest, exponent, first, (block.numel(),))
        counts = torch.bincount(_numbers(block, exponent, first, scratch), minlength=last - first + 1)
        return cls(grid, least, largest, exponent, first, tuple(counts.tolist()))

    def merged(self, other: Bins) -> Bins:
        """Merge the counts of two disjoint sets of elements of one dtype."""
        if not self.counts or not other.counts:
            return self if self.counts else other
        least, largest = min(self.least, other.least), max(self.largest, other.largest)
        exponent = _width(least, largest, self.grid)
        first = _index(least, exponent)
        size = _index(largest, exponent) - first + 1
        counts = map(add, self._widened(exponent, first, size), other._widened(exponent, first, size))
        return Bins(self.grid, least, largest, exponent, first, tuple(counts))

    def _widened(self, exponent: int, first: int, size: int) -> Sequence[int]:
        """Return the counts in bins of another width, the same or more, from another first one."""
        shift = exponent - self.exponent
        if shift == 0:
            before = self.first - first
            return (*[0] * before, *self.counts, *[0] * (size - before - len(self.counts)))
        counts = [0] * size
        for index, count in enumerate(self.counts, self.first):
            counts[(index >> shift) - first] += count
        return counts

    def histogram(self) -> Histogram:
        """Return the histogram; of equal elements it is one bin without a width."""
        counts = list(self.counts)
        if not counts:
            return Histogram(edges=(), counts=())
        if self.least == self.largest:
            return Histogram(edges=(self.least, self.largest), counts=self.counts)
        if _closes(self.least, self.largest, self.exponent, self.grid):
            last = counts.pop()
            counts[-1] += last
        edges = (_edge(index, self.exponent) for index in range(self.first, self.first + len(counts) + 1))
        return Histogram(edges=tuple(edges), counts=tuple(counts))


def _width(least: float, largest: float, grid: Grid) -> int:
    """Return the exponent of the least width with which `MOST_BINS` bins reach from one number to another."""
    finest = grid.spacing(max(-least, largest))
    if least == largest:
        return finest
    span = largest - least
    span_exponent = math.frexp(span)[1] if math.isfinite(span) else sys.float_info.max_exp + 1
    exponent = max(finest, span_exponent - MOST_BINS.bit_length())
    while _bins_between(least, largest, exponent, grid) > MOST_BINS:
        exponent += 1
    return exponent


def _bins_between(least: float, largest: float, exponent: int, grid: Grid) -> int:
    closes = _closes(least, largest, exponent, grid)
    return _index(largest, exponent) - _index(least, exponent) + (not closes)


def _closes(least: float, largest: float, exponent: int, grid: Grid) -> bool:
    """Tell whether the largest number is counted in the bin that ends with it, and needs none of its own.

    Where bins are no wider than numbers are apart, each is for one number.
    """
    on_an_edge = least < largest and math.fmod(largest, math.ldexp(1.0, exponent)) == 0
    return on_an_edge and exponent > grid.spacing(max(-least, largest))


def _index(value: float, exponent: int) -> int:
    """Return how many widths of 2^exponent lie below a number: exactly, where a float would vanish or overflow."""
    return math.floor(value) >> exponent if exponent > 0 else math.floor(math.ldexp(value, -exponent))


def _edge(index: int, exponent: int) -> float:
    """Return a bin's edge; beyond the largest float there is none."""
    try:
        return math.ldexp(index, exponent)
    except OverflowError:
        return math.copysign(sys.float_info.max, index)


def _numbers(block: torch.Tensor, exponent: int, first: int, scratch: Scratch) -> torch.Tensor:
    """Return for each element the number of its bin: exactly, since every step but `floor` is exact."""
    if exponent < _LEAST_EXPONENT:
        block, exponent = block.double() * 2.0**512, exponent + 512
    if exponent > 0:
        block = block.floor()  # of what is scaled down nothing may vanish: a little below 0 is in the bin below it
    scaled = torch.mul(block, 2.0**-exponent, out=scratch.vector("scaled", block.numel(), block.dtype))
    # By way of int8, to which torch converts six times as fast as to uint8.
    return scratch.vector("numbers", block.numel(), torch.int8).copy_(scaled.floor_().sub_(first)).view(torch.uint8)
