"""Mean, std, extremes, norm and counts of a tensor in one pass over blocks, in float64 whatever the dtype."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from paramctl.records import Statistics
from paramctl.tensors.threads import one_thread

_BLOCK = 2**18
"""Elements of a block: as float64 it fits a core's cache."""


@dataclass(frozen=True, slots=True)
class _Partial:
    """The sums of some elements: of the finite ones the number, mean, squared deviations, extremes and squares."""

    finite: int = 0
    mean: float = 0.0
    deviations: float = 0.0
    least: float = math.inf
    largest: float = -math.inf
    squares: float = 0.0
    zeros: int = 0
    nan: int = 0
    inf: int = 0

    def merged(self, other: _Partial) -> _Partial:
        """Merge two disjoint sets of elements (Chan, Golub & LeVeque 1979, Updating formulae …)."""
        total = self.finite + other.finite
        gap = other.mean - self.mean
        share = other.finite / total if total else 0.0
        return _Partial(
            finite=total,
            mean=self.mean + gap * share,
            deviations=self.deviations + other.deviations + gap * gap * self.finite * share,
            least=min(self.least, other.least),
            largest=max(self.largest, other.largest),
            squares=self.squares + other.squares,
            zeros=self.zeros + other.zeros,
            nan=self.nan + other.nan,
            inf=self.inf + other.inf,
        )


def measure(tensor: torch.Tensor) -> Statistics:
    """Return the statistics of a tensor; of complex elements, those of their magnitudes."""
    partial = _Partial()
    with torch.no_grad(), one_thread():
        for block in torch.split(tensor.detach().reshape(-1), _BLOCK):
            partial = partial.merged(_measure_block(_as_float64(block)))
    known = partial.finite > 0
    return Statistics(
        mean=partial.mean if known else None,
        std=math.sqrt(partial.deviations / partial.finite) if known else None,
        min=partial.least if known else None,
        max=partial.largest if known else None,
        norm=math.sqrt(partial.squares),
        zeros=partial.zeros,
        nan=partial.nan,
        inf=partial.inf,
    )


def _as_float64(block: torch.Tensor) -> torch.Tensor:
    return (block.abs() if block.dtype.is_complex else block).to("cpu", torch.float64)


def _measure_block(block: torch.Tensor) -> _Partial:
    total = block.numel()
    if total == 0:
        return _Partial()
    nan = inf = 0
    finite = block.isfinite()
    if not bool(finite.all()):
        nan = int(block.isnan().sum())
        inf = total - nan - int(finite.sum())
        block = block[finite]
    if block.numel() == 0:
        return _Partial(nan=nan, inf=inf)
    mean = float(block.mean())
    least, largest = map(float, torch.aminmax(block))
    centred = block - mean
    return _Partial(
        finite=block.numel(),
        mean=mean,
        deviations=float(centred.dot(centred)),
        least=least,
        largest=largest,
        squares=float(block.dot(block)),
        zeros=block.numel() - int(torch.count_nonzero(block)),
        nan=nan,
        inf=inf,
    )
