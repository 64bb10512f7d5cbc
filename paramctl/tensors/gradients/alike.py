"""Statistics of many small tensors at once: a call of torch's takes longer than its work on a few thousand numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import repeat

import torch

from paramctl.records import Statistics
from paramctl.tensors.statistics import measure_in_turn

LARGEST = 2**13
"""Up to so many elements it pays to measure tensors together."""
TOGETHER = 2**17
"""Elements that are measured together: they fit the cache of two cores, also in float64."""

_LOST = 1e-6
"""Where the variance is so much less than the squared mean, their difference has lost digits that count."""


@torch.no_grad()
def measure_all(tensors: Sequence[torch.Tensor], *, hist: bool = False) -> list[Statistics]:
    """Return the statistics of each tensor, as `measure` does; small ones of one shape are measured together.

    Args:
        tensors: dense tensors with values, of dtypes in `MEASURED`.
        hist: whether their elements are counted by their size, too; then each is measured by itself.

    """
    if hist:
        return [measure_in_turn(each, hist=True) for each in tensors]
    groups: dict[tuple[torch.Size, torch.dtype, bool], list[int]] = defaultdict(list)
    for i, tensor in enumerate(tensors):
        groups[tensor.shape, tensor.dtype, tensor.is_cpu].append(i)
    found: dict[int, Statistics] = {}
    for (shape, dtype, is_cpu), indexes in groups.items():
        alike = [tensors[i] for i in indexes]
        together = is_cpu and dtype == torch.float32 and 0 < shape.numel() <= LARGEST
        found.update(zip(indexes, _measure_alike(alike) if together else map(measure_in_turn, alike), strict=True))
    return [found[i] for i in range(len(tensors))]


def _measure_alike(tensors: Sequence[torch.Tensor]) -> list[Statistics]:
    """Measure tensors of one shape; the columns that their rows give are looked at together."""
    numel = tensors[0].numel()
    rows = torch.empty(min(len(tensors), TOGETHER // numel), *tensors[0].shape)
    wide = torch.empty(len(rows), numel, dtype=torch.float64)
    parts = [_columns(tensors[i : i + len(rows)], rows, wide) for i in range(0, len(tensors), len(rows))]
    mean, norm, least, largest, nearest = map(torch.cat, zip(*parts, strict=True))
    variance = norm.square() / numel - mean.square()
    told = norm.isfinite() & (variance >= _LOST * mean.square())
    zeros = [0] * len(tensors)
    for i in _indexes(nearest == 0):
        zeros[i] = _count_zeros(tensors[i])
    figures = [each.tolist() for each in (mean, variance.sqrt(), least, largest, norm)]
    found = list(map(Statistics, *figures, zeros, repeat(0), repeat(0)))
    for i in _indexes(~told):
        found[i] = measure_in_turn(tensors[i])
    return found


def _columns(tensors: Sequence[torch.Tensor], rows: torch.Tensor, wide: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return the mean, norm, minimum, maximum and least magnitude of each tensor.

    `rows` and `wide` are scratch memory, since what is allocated for every part may come from the system every time.
    """
    rows, wide = rows[: len(tensors)], wide[: len(tensors)]
    torch.stack(list(tensors), out=rows)
    flat = rows.view(len(tensors), -1)
    wide.copy_(flat)
    norm = torch.linalg.vector_norm(wide, dim=1)
    return wide.mean(1), norm, flat.amin(1), flat.amax(1), flat.abs_().amin(1)


def _indexes(chosen: torch.Tensor) -> list[int]:
    indexes: list[int] = chosen.nonzero().flatten().tolist()
    return indexes


def _count_zeros(tensor: torch.Tensor) -> int:
    return tensor.numel() - int(tensor.count_nonzero())
