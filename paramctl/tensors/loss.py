"""What a forward pass takes and what backward starts from: inputs, targets and losses, each under its own stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch.nn import functional

from paramctl.errors import failure
from paramctl.spec.model import Fill, InputSpec, Loss
from paramctl.tensors import streams


def draw_tensor(shape: tuple[int, ...], fill: Fill, dtype: torch.dtype, generator: torch.Generator) -> torch.Tensor:
    """Return a tensor on the CPU; `arange` counts in row-major order, `rand` is uniform in [0, 1), `randn` normal."""
    draws: Mapping[str, Callable[[], torch.Tensor]] = {
        "rand": lambda: torch.rand(shape, generator=generator),
        "randn": lambda: torch.randn(shape, generator=generator),
        "ones": lambda: torch.ones(shape),
        "zeros": lambda: torch.zeros(shape),
        "arange": lambda: torch.arange(prod(shape)).reshape(shape),
        "randint": lambda: torch.randint(fill.low, fill.high, shape, generator=generator),
    }
    return draws[fill.name]().to(dtype)


def draw_input(spec: InputSpec, model_dtype: torch.dtype, seed: int) -> torch.Tensor:
    """Return the input of a forward pass."""
    if spec.dtype is not None:
        dtype = getattr(torch, spec.dtype)
    else:
        dtype = torch.int64 if spec.fill.name == "randint" else model_dtype
    return draw_tensor(spec.shape, spec.fill, dtype, streams.generator(seed, "input"))


def first_tensor(output: Any, path: str = "output") -> tuple[torch.Tensor, str] | None:
    """Return the first floating tensor in what a model returned, and where it stands in it."""
    if isinstance(output, torch.Tensor):
        return output, path
    if isinstance(output, Mapping):
        items = [(value, f"{path}[{key!r}]") for key, value in output.items()]
    elif isinstance(output, tuple | list):
        items = [(value, f"{path}[{i}]") for i, value in enumerate(output)]
    else:
        return None
    found = [each for value, place in items if (each := first_tensor(value, place)) is not None]
    floating = (each for each in found if each[0].is_floating_point())
    return next(floating, found[0] if found else None)


@dataclass(frozen=True, slots=True)
class Objective:
    """A loss that is ready to be computed; `described` says what it compares the output with."""

    compute: Callable[[torch.Tensor], torch.Tensor]
    described: str


def make_objective(loss: Loss, output: torch.Tensor, fill: Fill, seed: int) -> Objective:
    """Make the loss for outputs like this one; its target is drawn once.

    Raises:
        ParamctlError: if the output has no dimension for classes.

    """
    generator = streams.generator(seed, "target")
    if loss == "sum":
        return Objective(torch.sum, "the sum of the output")
    if loss == "mean":
        return Objective(torch.mean, "the mean of the output")
    if loss == "mse":
        drawn = Fill("rand") if fill.name == "randint" else fill
        target = draw_tensor(tuple(output.shape), drawn, output.dtype, generator).to(output.device)
        return Objective(lambda out: functional.mse_loss(out, target), f"mean squared error against {drawn}")
    dimension = _class_dimension(output)
    classes = output.shape[dimension]
    shape = tuple(size for i, size in enumerate(output.shape) if i != dimension)
    indexes = torch.randint(classes, shape, generator=generator).to(output.device)
    described = f"cross entropy against random classes, {classes} in dimension {dimension}"
    front = 0 if output.ndim == 1 else 1
    return Objective(lambda out: functional.cross_entropy(out.movedim(dimension, front), indexes), described)


def _class_dimension(output: torch.Tensor) -> int:
    if output.ndim == 0 or output.numel() == 0:
        hint = "choose the loss sum or mean"
        raise failure(f"cross_entropy needs classes, and the output's shape is {list(output.shape)}", hint=hint)
    if output.ndim == 3:
        return 2
    return min(1, output.ndim - 1)
