"""Forward and backward on a live model: each parameter's gradient before and after, and which module failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import torch
from torch import nn

from paramctl.errors import ParamctlError, failure
from paramctl.records import Statistics
from paramctl.tensors import user_code
from paramctl.tensors.loss import Objective, first_tensor
from paramctl.tensors.statistics import measure


@dataclass(frozen=True, slots=True)
class Running:
    """A module whose forward has begun, and the shapes of the tensors that it was given."""

    module: nn.Module
    shapes: tuple[tuple[int, ...], ...]


Explain: TypeAlias = Callable[[Sequence[Running], BaseException], ParamctlError]
"""Makes the error for a failure in forward from the modules that were running, outermost first, and what was raised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientRun:
    """What some passes left.

    Attributes:
        output_shape: the shape of the output that the loss was computed from.
        output_path: where that output stands in what the model returned; ``output`` where it is all of it.
        objective: what the loss was.
        loss: its value in the last pass.
        before: the statistics of each parameter's gradient before the first pass; None where there was none.
        gradients: each parameter's gradient after the last pass.

    """

    output_shape: tuple[int, ...]
    output_path: str
    objective: str
    loss: float
    before: list[Statistics | None]
    gradients: list[torch.Tensor | None]


def run_passes(
    net: nn.Module,
    inputs: Sequence[Any],
    make_objective: Callable[[torch.Tensor], Objective],
    *,
    passes: int,
    explain: Explain,
    keywords: Mapping[str, Any] = MappingProxyType({}),
) -> GradientRun:
    """Run forward and backward `passes` times without zeroing gradients between, so that they accumulate.

    Args:
        net: the model; its parameters' gradients are left as backward made them.
        inputs: the positional arguments of its forward, the same in every pass.
        make_objective: makes the loss from the first output.
        passes: how often, 1 or more.
        explain: makes the error for a failure in forward.
        keywords: the keyword arguments of its forward.

    Raises:
        ParamctlError: if forward or backward fails, or if the model returns no tensor.

    """
    parameters = list(net.parameters())
    before = [None if each.grad is None else measure(_dense(each.grad)) for each in parameters]
    objective = None
    for _ in range(passes):
        output, path = _forward(net, inputs, keywords, explain)
        objective = objective or make_objective(output)
        loss = _backward(output, objective)
    assert objective is not None, "there is one pass or more"
    return GradientRun(
        output_shape=tuple(output.shape),
        output_path=path,
        objective=objective.described,
        loss=loss,
        before=before,
        gradients=[None if each.grad is None else _dense(each.grad) for each in parameters],
    )


def _dense(gradient: torch.Tensor) -> torch.Tensor:
    return gradient.to_dense() if gradient.is_sparse else gradient


def _forward(
    net: nn.Module, inputs: Sequence[Any], keywords: Mapping[str, Any], explain: Explain
) -> tuple[torch.Tensor, str]:
    running: list[Running] = []
    with _watched(net, running):
        try:
            returned = net(*inputs, **keywords)
        except (Exception, SystemExit) as error:
            raise explain(running, error) from error
    found = first_tensor(returned)
    if found is None:
        raise failure(f"the model returned no tensor but {type(returned).__name__}")
    return found


def _backward(output: torch.Tensor, objective: Objective) -> float:
    try:
        loss = objective.compute(output)
        if loss.is_complex():
            raise failure("the loss is a complex number, and backward needs a real one")
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
    except (RuntimeError, NotImplementedError, IndexError) as error:
        raise failure(f"backward failed: {user_code.describe(error)}", hint=user_code.their_frames(error)) from error
    return float(loss.detach())


@contextmanager
def _watched(net: nn.Module, running: list[Running]) -> Iterator[None]:
    """Keep `running` up to date while forward runs; after a failure it shows the modules that did not finish."""

    def enter(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        shapes = tuple(tuple(each.shape) for each in (*args, *kwargs.values()) if isinstance(each, torch.Tensor))
        running.append(Running(module, shapes))

    def leave(*_: Any) -> None:
        running.pop()

    handles = []
    for module in net.modules():
        handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))
        handles.append(module.register_forward_hook(leave))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
