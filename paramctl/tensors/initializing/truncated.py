"""Normal values cut off at two bounds, of which only those that are rejected are drawn again."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, TypeAlias

import torch

from paramctl.tensors.initializing.blocks import Fill, spans

Propose: TypeAlias = Callable[[torch.Tensor, torch.Generator], object]
"""Fills a vector with candidates."""
Reject: TypeAlias = Callable[[torch.Tensor, torch.Generator], torch.Tensor]
"""Returns 1 for each candidate that is not taken and 0 for the others, in their dtype: torch compares fastest so."""

_AT_ONCE: Final = 2**16
"""Elements that are proposed at once. Which values a stream gives depends on it."""
_ENOUGH: Final = 0.3
"""The share of a normal distribution between the bounds above which it is drawn and the rest rejected, as by torch."""


def truncated_normal(*, mean: float, std: float, a: float, b: float) -> Fill:
    """Return what fills a vector of float32 or float64 with values of N(mean, std²) between a and b.

    The proposals are normal where the bounds hold enough of the distribution. Where they hold little of it they are
    uniform around the mean, as torch's, and in a tail they follow an exponential distribution that starts at the bound
    (Robert 1995, Simulation of truncated normal variables): two thirds are taken, however far out the bound is.
    """
    low, high = (a - mean) / std, (b - mean) / std
    if low <= 0 <= high:
        if (math.erf(high / math.sqrt(2)) - math.erf(low / math.sqrt(2))) / 2 > _ENOUGH:
            return _redrawing(lambda block, source: block.normal_(mean, std, generator=source), _outside(a, b))
        return _redrawing(lambda block, source: block.uniform_(a, b, generator=source), _improbable(mean, std))
    return _tail(abs(low if low > 0 else high), (b - a) / std, a if low > 0 else b, std if low > 0 else -std)


def _redrawing(propose: Propose, reject: Reject) -> Fill:
    def fill(block: torch.Tensor, generator: torch.Generator) -> None:
        for start, stop in spans(0, block.numel(), _AT_ONCE):
            draw(block[start:stop], generator)

    def draw(values: torch.Tensor, generator: torch.Generator) -> None:
        propose(values, generator)
        rejected = reject(values, generator)
        if count := int(rejected.sum()):
            again = values.new_empty(count)
            draw(again, generator)
            values.masked_scatter_(rejected.to(torch.bool), again)

    return fill


def _outside(a: float, b: float) -> Reject:
    return lambda values, _: values.clamp(a, b).ne_(values)


def _improbable(mean: float, std: float) -> Reject:
    """Take a value with the ratio of its density to that of the mean."""

    def rejected(values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        log_ratio = values.sub(mean).div_(std).square_().mul_(-0.5)
        return _log_uniform(values, generator).gt_(log_ratio)

    return rejected


def _tail(distance: float, width: float, bound: float, scale: float) -> Fill:
    """Draw beyond a bound that is `distance` standard deviations from the mean, up to `width` further out.

    Args:
        distance: of the bound, in standard deviations.
        width: how far out the other bound is from this one, in standard deviations.
        bound: the bound.
        scale: the standard deviation, negative where the values lie below the bound.

    """
    rate = (distance + math.hypot(distance, 2)) / 2
    gap = 2 / (distance + math.hypot(distance, 2))  # rate - distance, without the digits that the difference loses
    share = -math.expm1(-rate * width)
    furthest = abs(scale) * width

    def propose(values: torch.Tensor, generator: torch.Generator) -> None:
        excess = values.uniform_(generator=generator).mul_(-share).log1p_().div_(-rate).mul_(abs(scale))
        excess.clamp_(0, furthest).mul_(math.copysign(1, scale)).add_(bound)

    def rejected(values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        log_ratio = values.sub(bound).div_(scale).sub_(gap).square_().mul_(-0.5).add_((min(gap, width) - gap) ** 2 / 2)
        return _log_uniform(values, generator).gt_(log_ratio)

    return _redrawing(propose, rejected)


def _log_uniform(like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return torch.empty_like(like).uniform_(generator=generator).log_()
