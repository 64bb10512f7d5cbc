"""Mean, std, extremes, norm and counts of a tensor in one pass over blocks that fit a core's cache, on all cores."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Final

import torch
from torch.linalg import vector_norm

from paramctl.records import Statistics
from paramctl.tensors.histograms import Bins, grid_of
from paramctl.tensors.scratch import Scratch
from paramctl.tensors.threads import available_threads, share_out

BLOCK: Final = 2**19
"""Elements of a block.

So few that torch's float32 sum of them is right to 1e-6, and that block and scratch stay in cache; so many that threads
seldom meet: one that finds Python's lock taken sleeps for longer than an operation on a small block takes.
"""
ROW = 2**8
"""Elements whose squares torch's norm adds up in float32 without losing digits: sixteen to each lane of a register."""
_UNTHREADED = 2**12
"""Up to so many elements, torch itself works on one thread."""
_FEW = 2**14
"""Up to so many elements one call for all is faster than several for parts of the work."""
SMALL = 2**10
"""Up to so many elements float64 costs nothing."""
_TINY = 64
"""Up to so many elements Python's own arithmetic is faster than the calls of torch's operations."""
SAFE = (1e-15, 1e15)
"""Magnitudes whose squares keep their precision in float32, also when a block of them is summed up."""
CANCELLATION = 2.0
"""Where the squares exceed the squared deviations by this factor, their difference loses digits."""

MEASURED: Final = frozenset(
    {
        *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
        *(torch.float8_e4m3fn, torch.float8_e4m3fnuz, torch.float8_e5m2, torch.float8_e5m2fnuz, torch.float8_e8m0fnu),
        *(torch.int8, torch.int16, torch.int32, torch.int64),
        *(torch.uint8, torch.uint16, torch.uint32, torch.uint64),
        torch.bool,
        *(torch.complex32, torch.complex64, torch.complex128),
    }
)
"""The dtypes whose elements are measured. The others (sub-byte, bits, packed, quantized) torch converts to none."""


@dataclass(frozen=True, slots=True)
class Partial:
    """The sums of some elements: of the finite ones the number, mean, squared deviations, extremes and squares.

    `bins` counts the finite ones by their size, where that was asked for.
    """

    finite: int = 0
    mean: float = 0.0
    deviations: float = 0.0
    least: float = math.inf
    largest: float = -math.inf
    squares: float = 0.0
    zeros: int = 0
    nan: int = 0
    inf: int = 0
    bins: Bins | None = None

    def merged(self, other: Partial) -> Partial:
        """Merge two disjoint sets of elements (Chan, Golub & LeVeque 1979, Updating formulae …)."""
        total = self.finite + other.finite
        share = other.finite / total if total else 0.0
        gap = other.mean - self.mean if self.finite else 0.0
        return Partial(
            finite=total,
            mean=self.mean + gap * share if self.finite else other.mean,
            deviations=self.deviations + other.deviations + gap * (gap * share * self.finite),
            least=min(self.least, other.least),
            largest=max(self.largest, other.largest),
            squares=self.squares + other.squares,
            zeros=self.zeros + other.zeros,
            nan=self.nan + other.nan,
            inf=self.inf + other.inf,
            bins=self.bins.merged(other.bins) if self.bins and other.bins else self.bins or other.bins,
        )

    def statistics(self) -> Statistics:
        """Return what the sums tell."""
        known = self.finite > 0
        return Statistics(
            mean=self.mean if known else None,
            std=math.sqrt(self.deviations / self.finite) if known else None,
            min=self.least if known else None,
            max=self.largest if known else None,
            norm=math.sqrt(self.squares),
            zeros=self.zeros,
            nan=self.nan,
            inf=self.inf,
            histogram=None if self.bins is None else self.bins.histogram(),
        )


def measure(tensor: torch.Tensor, *, threads: int | None = None, hist: bool = False) -> Statistics | None:
    """Return the statistics of a tensor; of complex elements, those of their magnitudes.

    The result does not depend on the number of threads: blocks are merged in order.

    Args:
        tensor: a tensor with values; a sparse one is measured with its zeros.
        threads: how many threads measure blocks; None for as many as there are cores for this process.
        hist: whether the elements are counted by their size, too.

    Returns:
        None where torch has no arithmetic for the dtype, see `MEASURED`.

    """
    if tensor.dtype not in MEASURED:
        return None
    flat = _flat(tensor.detach())
    if flat.numel() <= _UNTHREADED:
        return measure_block(flat, Scratch(), hist=hist).statistics()
    blocks = -(-flat.numel() // BLOCK)
    workers = min(threads or available_threads(), blocks)

    def measuring() -> Callable[[torch.Tensor], Partial]:
        return partial(measure_block, scratch=Scratch(), hist=hist)

    return merged(share_out(torch.split(flat, BLOCK), workers, measuring)).statistics()


def measure_in_turn(tensor: torch.Tensor, scratch: Scratch | None = None, *, hist: bool = False) -> Statistics:
    """Return the statistics of a tensor as `measure` does, block after block on torch's own threads.

    That is for a tensor that is in cache, between operations of torch's: its threads are awake then, and would fight
    with others for the cores. The last bits may depend on their number.

    Args:
        tensor: a tensor with values, of a dtype in `MEASURED`.
        scratch: what blocks are worked on in; None for memory of its own.
        hist: whether the elements are counted by their size, too.

    """
    held = scratch or Scratch()
    blocks = torch.split(_flat(tensor.detach()), BLOCK)
    return merged(measure_block(block, held, hist=hist) for block in blocks).statistics()


def measure_blocks(elements: torch.Tensor, scratch: Scratch, *, hist: bool = False) -> Iterator[Partial]:
    """Yield the sums of each block of a vector of a dtype in `MEASURED`, of which no gradient is taken."""
    return (measure_block(block, scratch, hist=hist) for block in torch.split(elements, BLOCK))


def measure_block(block: torch.Tensor, scratch: Scratch, *, hist: bool = False) -> Partial:
    """Return the sums of one block: a vector of a dtype in `MEASURED`, of which no gradient is taken."""
    wide = _as_float(block, scratch)
    sums = _measure(wide, scratch)
    if not hist:
        return sums
    finite = wide if sums.finite == wide.numel() else wide[wide.isfinite()]
    return replace(sums, bins=Bins.count(finite, sums.least, sums.largest, grid_of(block.dtype), scratch))


def merged(partials: Iterable[Partial]) -> Partial:
    """Merge the sums of disjoint sets of elements, in order."""
    return reduce(Partial.merged, partials, Partial())


def _flat(tensor: torch.Tensor) -> torch.Tensor:
    """Return all elements as a vector, in memory order: what was merely transposed is not copied."""
    if tensor.layout is not torch.strided:
        return tensor.to_dense().view(-1)
    if tensor.is_contiguous():
        return tensor.view(-1)
    order = sorted(range(tensor.ndim), key=tensor.stride, reverse=True)
    return tensor.permute(order).reshape(-1)


def _as_float(block: torch.Tensor, scratch: Scratch) -> torch.Tensor:
    """Return a block on the CPU as float32 or float64, which hold every element of it."""
    if block.dtype in {torch.float32, torch.float64}:
        return block.cpu()
    if block.dtype.is_complex:
        return block.to(torch.complex128).abs().cpu()
    wide = torch.float32 if block.dtype.is_floating_point else torch.float64
    return scratch.vector("widened", block.numel(), wide).copy_(block)


def _measure(block: torch.Tensor, scratch: Scratch) -> Partial:
    total = block.numel()
    if total == 0:
        return Partial()
    if total <= _TINY and block.dtype == torch.float32:
        return _measure_list(block.tolist())
    is_quick = block.dtype == torch.float32 and total > SMALL
    # First what takes longest to work out: while a block comes from memory, that costs nothing.
    squares = _sum_of_squares(block) if is_quick else 0.0
    least, largest = block.amin().item(), block.amax().item()
    if not (math.isfinite(least) and math.isfinite(largest)):
        return _with_the_others(block, scratch)
    if least == largest:
        return _constant(least, total)
    magnitude = max(-least, largest)
    zeros = 0 if least > 0 or largest < 0 else _count_zeros(block, scratch)
    if is_quick and SAFE[0] <= magnitude <= SAFE[1]:
        mean = block.sum().item() / total
        deviations = squares - total * mean * mean
        if squares <= CANCELLATION * deviations:
            return Partial(total, mean, deviations, least, largest, squares, zeros)
    mean, deviations, squares = _precise_sums(block, scratch)
    return Partial(total, mean, deviations, least, largest, squares, zeros)


def _sum_of_squares(block: torch.Tensor) -> float:
    """Return the sum of squares of a float32 vector: in float32 within short rows, in float64 over them."""
    if block.numel() <= _FEW:
        return _squared_norm(block)
    rows = block.unfold(0, ROW, ROW)
    squares = _squared_norm(vector_norm(rows, dim=1))
    rest = block.numel() - rows.numel()
    return squares + _squared_norm(block[-rest:]) if rest else squares


def _squared_norm(vector: torch.Tensor) -> float:
    norm: float = vector_norm(vector, dtype=torch.float64).item()
    return norm * norm


def _precise_sums(block: torch.Tensor, scratch: Scratch) -> tuple[float, float, float]:
    """Return the mean, the sum of squared deviations from it and the sum of squares, in float64 and in two passes."""
    memory = scratch.vector("wide", block.numel(), torch.float64)
    wide = block if block.dtype == torch.float64 else memory.copy_(block)
    mean = wide.mean().item()
    squares = wide.dot(wide).item()
    gaps = torch.sub(wide, mean, out=memory)
    return mean, gaps.dot(gaps).item(), squares


def _count_zeros(block: torch.Tensor, scratch: Scratch) -> int:
    total = block.numel()
    if total <= _FEW:
        return total - int(torch.count_nonzero(block))
    nonzero = scratch.vector("nonzero", total, torch.bool).copy_(block).view(torch.uint8)
    # Counting takes ten times as long as finding out that there is nothing to count.
    return 0 if nonzero.amin().item() else total - int(nonzero.sum(dtype=torch.int32))


def _constant(value: float, total: int) -> Partial:
    return Partial(total, value, 0.0, value, value, total * value * value, 0 if value else total)


def _with_the_others(block: torch.Tensor, scratch: Scratch) -> Partial:
    """Measure the finite elements of a block and count the others."""
    finite = block[block.isfinite()]
    nan = int(block.isnan().sum())
    others = Partial(nan=nan, inf=block.numel() - finite.numel() - nan)
    return _measure(finite, scratch).merged(others)


def _measure_list(values: list[float]) -> Partial:
    """Measure a few elements of float32, whose sums and squares Python's floats hold."""
    finite = [value for value in values if math.isfinite(value)]
    nan = sum(map(math.isnan, values)) if len(finite) < len(values) else 0
    others = Partial(nan=nan, inf=len(values) - len(finite) - nan)
    if not finite:
        return others
    mean = math.fsum(finite) / len(finite)
    return Partial(
        finite=len(finite),
        mean=mean,
        deviations=math.fsum([(value - mean) * (value - mean) for value in finite]),
        least=min(finite),
        largest=max(finite),
        squares=math.fsum([value * value for value in finite]),
        zeros=finite.count(0.0),
        nan=others.nan,
        inf=others.inf,
    )
