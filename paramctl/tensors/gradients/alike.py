"""Statistics of many small tensors at once: a call of torch's takes longer than its work on a few thousand numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import NamedTuple

import torch
from torch.linalg import vector_norm

from paramctl.records import Statistics
from paramctl.tensors.scratch import Scratch
from paramctl.tensors.statistics import CANCELLATION, ROW, SAFE, SMALL, measure_in_turn

LARGEST = 2**13
"""Up to so many elements it pays to measure tensors together."""
TOGETHER = 2**18
"""Elements that are measured together: in float32 they fit the cache of two cores."""

_LOST = 1e-6
"""Where the variance is so much less than the squared mean, their difference in float64 has lost digits that count."""


@torch.no_grad()
def measure_all(
    tensors: Sequence[torch.Tensor], scratch: Scratch | None = None, *, hist: bool = False
) -> list[Statistics]:
    """Return the statistics of each tensor, as `measure` does; small ones of one shape are measured together.

    Args:
        tensors: tensors with values, of dtypes in `MEASURED`.
        scratch: what blocks of large ones are worked on in; None for memory of its own.
        hist: whether their elements are counted by their size, too; then each is measured by itself.

    """
    held = scratch or Scratch()
    if hist:
        return [measure_in_turn(each, held, hist=True) for each in tensors]
    groups: dict[tuple[torch.Size, torch.dtype, bool], list[int]] = defaultdict(list)
    for i, tensor in enumerate(tensors):
        groups[tensor.shape, tensor.dtype, tensor.is_cpu and tensor.layout is torch.strided].append(i)
    found: dict[int, Statistics] = {}
    for (shape, dtype, is_near), indexes in groups.items():
        alike = [tensors[i] for i in indexes]
        together = is_near and dtype == torch.float32 and 0 < shape.numel() <= LARGEST
        measured = _measure_alike(alike) if together else (measure_in_turn(each, held) for each in alike)
        found.update(zip(indexes, measured, strict=True))
    return [found[i] for i in range(len(tensors))]


def _measure_alike(tensors: Sequence[torch.Tensor]) -> Iterable[Statistics]:
    """Measure tensors of one shape, in float32 where that keeps the digits, the others in float64, the rest alone."""
    found: dict[int, Statistics] = {}
    left = list(range(len(tensors)))
    for precision in (_QUICK, _PRECISE) if tensors[0].numel() > SMALL else (_PRECISE,):
        if left:
            measured, holds = _measure_rows([tensors[i] for i in left], precision)
            found.update(zip(left, measured, strict=True))
            left = [left[i] for i in _indexes(~holds)]
    found.update((i, measure_in_turn(tensors[i])) for i in left)
    return found.values()


class _Sums(NamedTuple):
    """Columns of which each row is about one tensor: `nearest` is the least magnitude of its elements."""

    mean: torch.Tensor
    norm: torch.Tensor
    least: torch.Tensor
    largest: torch.Tensor
    nearest: torch.Tensor


class _Precision(NamedTuple):
    """What adds up rows, to their mean and norm, and what tells of each row's variance and sums whether they hold."""

    add_up: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
    holds: Callable[[torch.Tensor, _Sums], torch.Tensor]


def _measure_rows(tensors: Sequence[torch.Tensor], precision: _Precision) -> tuple[Iterable[Statistics], torch.Tensor]:
    """Return what each tensor's sums tell, and whether that holds."""
    numel = tensors[0].numel()
    shape = (min(len(tensors), TOGETHER // numel), *tensors[0].shape)
    rows = torch.empty(shape, dtype=torch.float32, device="cpu")  # once: so much may come from the system every time
    starts = range(0, len(tensors), len(rows))
    parts = [_sums(tensors[start : start + len(rows)], rows, precision) for start in starts]
    sums = _Sums(*map(torch.cat, zip(*parts, strict=True)))
    variance = sums.norm.square() / numel - sums.mean.square()
    zeros = [0] * len(tensors)
    for i in _indexes(sums.nearest == 0):
        zeros[i] = _count_zeros(tensors[i])
    std = variance.sqrt()
    figures = [each.tolist() for each in (sums.mean, std, sums.least, sums.largest, sums.norm)]
    return map(Statistics, *figures, zeros, repeat(0), repeat(0)), precision.holds(variance, sums)


def _sums(tensors: Sequence[torch.Tensor], memory: torch.Tensor, precision: _Precision) -> _Sums:
    rows = memory[: len(tensors)]
    torch.stack(list(tensors), out=rows)
    flat = rows.view(len(tensors), -1)
    return _Sums(*precision.add_up(flat), flat.amin(1), flat.amax(1), flat.abs_().amin(1))


def _add_up_in_float32(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    whole = rows.shape[1] // ROW * ROW
    short = vector_norm(rows[:, :whole].unfold(1, ROW, ROW), dim=2)
    norm = vector_norm(short, dim=1, dtype=torch.float64)
    if whole < rows.shape[1]:
        norm = torch.hypot(norm, vector_norm(rows[:, whole:], dim=1, dtype=torch.float64))
    return rows.sum(1).double() / rows.shape[1], norm


def _holds_in_float32(variance: torch.Tensor, sums: _Sums) -> torch.Tensor:
    magnitude = torch.maximum(-sums.least, sums.largest)
    mean_square = variance + sums.mean.square()
    return (SAFE[0] <= magnitude) & (magnitude <= SAFE[1]) & (mean_square <= CANCELLATION * variance)


def _add_up_in_float64(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    wide = rows.double()
    return wide.mean(1), vector_norm(wide, dim=1)


def _holds_in_float64(variance: torch.Tensor, sums: _Sums) -> torch.Tensor:
    return sums.norm.isfinite() & (variance >= _LOST * sums.mean.square())


_QUICK = _Precision(_add_up_in_float32, _holds_in_float32)
_PRECISE = _Precision(_add_up_in_float64, _holds_in_float64)


def _indexes(chosen: torch.Tensor) -> list[int]:
    indexes: list[int] = chosen.nonzero().flatten().tolist()
    return indexes


def _count_zeros(tensor: torch.Tensor) -> int:
    return tensor.numel() - int(tensor.count_nonzero())
