"""Statistics of many small tensors at once: a call of torch's takes longer than its work on a few thousand numbers."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import torch

from paramctl.records import Statistics
from paramctl.tensors.statistics import measure_in_turn

LARGEST = 2**13
"""Up to so many elements it pays to measure tensors together."""
TOGETHER = 2**17
"""Elements that are measured together: they fit a core's cache, also in float64."""

_LOST = 1e-6
"""Where the variance is so much less than the squared mean, their difference has lost digits that count."""


@torch.no_grad()
def measure_all(tensors: Sequence[torch.Tensor], *, hist: bool = False) -> list[Statistics]:
    """Return the statistics of each tensor, as `measure` does; small ones of one shape are measured together.

    Args:
        tensors: dense tensors with values, of dtypes in `MEASURED`.
        hist: whether their elements are counted by their size, too; then each is measured by itself.

    """
    alike: dict[torch.Size, list[int]] = defaultdict(list)
    found: dict[int, Statistics] = {}
    for i, tensor in enumerate(tensors):
        if not hist and tensor.is_cpu and tensor.dtype == torch.float32 and 0 < tensor.numel() <= LARGEST:
            alike[tensor.shape].append(i)
        else:
            found[i] = measure_in_turn(tensor, hist=hist)
    for shape, indexes in alike.items():
        share = TOGETHER // shape.numel()
        for start in range(0, len(indexes), share):
            part = indexes[start : start + share]
            found.update(zip(part, _measure_rows([tensors[i] for i in part]), strict=True))
    return [found[i] for i in range(len(tensors))]


def _measure_rows(tensors: Sequence[torch.Tensor]) -> list[Statistics]:
    rows = torch.stack(list(tensors)).view(len(tensors), -1)
    wide = rows.double()
    columns = [rows.amin(1), rows.amax(1), rows.abs().amin(1), wide.mean(1), torch.linalg.vector_norm(wide, dim=1)]
    figures = torch.stack([each.double() for each in columns]).T.tolist()
    return [_statistics(row, *each) for row, each in zip(tensors, figures, strict=True)]


def _statistics(
    tensor: torch.Tensor, least: float, largest: float, nearest: float, mean: float, norm: float
) -> Statistics:
    """Make the statistics of a tensor; `nearest` is the least magnitude in it."""
    numel = tensor.numel()
    variance = norm * norm / numel - mean * mean
    if not math.isfinite(norm) or variance < _LOST * mean * mean:
        return measure_in_turn(tensor)
    zeros = 0 if nearest else numel - (int(tensor.count_nonzero()) if norm else 0)
    return Statistics(mean=mean, std=math.sqrt(variance), min=least, max=largest, norm=norm, zeros=zeros, nan=0, inf=0)
