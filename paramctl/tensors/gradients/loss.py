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
from paramctl.tensors.gradients.contents import items_of, tensors_in


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


def draw_input(spec: InputSpec, model_dtype: torch.dtype, seed: int, *address: str | int) -> torch.Tensor:
    """Return an input of a forward pass; `address` tells it from the first one, and has a stream of its own."""
    if spec.dtype is not None:
        dtype = getattr(torch, spec.dtype)
    else:
        dtype = torch.int64 if spec.fill.name == "randint" else model_dtype
    return draw_tensor(spec.shape, spec.fill, dtype, streams.generator(seed, "input", *address))


@dataclass(frozen=True, slots=True)
class Output:
    """The tensor that backward starts from, or a loss is computed of, in what a model returned.

    Attributes:
        tensor: the tensor.
        path: where it stands; ``output`` where it is all that was returned.
        is_loss: whether the model returned it as its loss.

    """

    tensor: torch.Tensor
    path: str = "output"
    is_loss: bool = False


def find_output(returned: Any, *, wants_loss: bool) -> Output | None:
    """Return the loss in what a model returned if it is wanted, else the first floating tensor, else the first tensor.

    The loss is a real number in a mapping or an object under the name ``loss``, as Hugging Face models return it.
    """
    items = items_of(returned, "output")
    loss = next((Output(value, path, is_loss=True) for name, value, path in items if _is_loss(name, value)), None)
    if loss is not None and wants_loss:
        return loss
    found = [Output(tensor, path) for tensor, path in tensors_in(returned, "output")]
    others = [each for each in found if loss is None or each.tensor is not loss.tensor]
    floating = [each for each in others or found if each.tensor.is_floating_point()]
    return next(iter(floating or others or found), None)


def _is_loss(name: object, value: Any) -> bool:
    return name == "loss" and isinstance(value, torch.Tensor) and value.numel() == 1 and value.is_floating_point()


@dataclass(frozen=True, slots=True)
class Objective:
    """A loss that is ready to be computed.

    Attributes:
        compute: computes it.
        described: what it compares the output with.
        of_all: whether it takes all that the model returned, rather than the tensor that was found in it.

    """

    compute: Callable[[Any], torch.Tensor]
    described: str
    of_all: bool = False


def objective_of(found: Output, loss: Loss | None, fill: Fill, seed: int) -> Objective:
    """Return the loss that the model returned if none is named, else the loss of this name, by default the sum."""
    if loss is None and found.is_loss:
        return Objective(torch.sum, "the model's own")
    return make_objective(loss or "sum", found.tensor, fill, seed)


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
