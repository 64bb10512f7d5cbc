"""fan_in and fan_out: what they count, and torch's rule for them."""

from __future__ import annotations

from math import prod
from typing import Literal, NamedTuple, TypeAlias

FanRule: TypeAlias = Literal["layer", "torch"]
"""Whose numbers count: those of the layer's own computation, or those that torch tells from the shape alone."""


class Fans(NamedTuple):
    """How many inputs one output of a layer sums up, and how many outputs one input reaches."""

    fan_in: int
    fan_out: int


def torch_fans(shape: tuple[int, ...]) -> Fans:
    """Return the fans by the rule of `torch.nn.init`: the second and the first size, each times the other sizes.

    The shape has two dimensions or more.
    """
    receptive = prod(shape[2:])
    return Fans(shape[1] * receptive, shape[0] * receptive)
