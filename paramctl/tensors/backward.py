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
from paramctl.tensors.loss import Objective, Output, find_output
from paramctl.tensors.statistics import measure


@dataclass(frozen=True, slots=True)
class Running:
    """A module whose forward has begun, and what it was given."""

    module: nn.Module
    inputs: tuple[Any, ...]

    @property
    def tensors(self) -> list[torch.Tensor]:
        """The tensors among what it was given."""
        return [each for each in self.inputs if isinstance(each, torch.Tensor)]

    def __str__(self) -> str:
        """Name what it was given: the shapes of tensors, the types of everything else that may hold some."""
        shown = [
            str(list(each.shape)) if isinstance(each, torch.Tensor) else f"a {type(each).__name__}"
            for each in self.inputs
            if isinstance(each, torch.Tensor | tuple | list | dict)
        ]
        return " and ".join(shown) or "no tensor"


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
    make_objective: Callable[[Output], Objective],
    *,
    passes: int,
    explain: Explain,
    keywords: Mapping[str, Any] = MappingProxyType({}),
    wants_loss: bool = False,
) -> GradientRun:
    """Run forward and backward `passes` times without zeroing gradients between, so that they accumulate.

    Args:
        net: the model; its parameters' gradients are left as backward made them.
        inputs: the positional arguments of its forward, the same in every pass. Each pass gets copies of their tensors,
            since a layer may work in place.
        make_objective: makes the loss from the first output.
        passes: how often, 1 or more.
        explain: makes the error for a failure in forward.
        keywords: the keyword arguments of its forward.
        wants_loss: whether a loss that the model returns counts as its output.

    Raises:
        ParamctlError: if forward or backward fails, or if the model returns no tensor.

    """
    parameters = list(net.parameters())
    before = [None if each.grad is None else measure(_dense(each.grad)) for each in parameters]
    objective = None
    for _ in range(passes):
        returned = _forward(net, _copied(list(inputs)), _copied(dict(keywords)), explain)
        output = find_output(returned, wants_loss=wants_loss)
        if output is None:
            raise failure(f"the model returned no tensor but {type(returned).__name__}")
        objective = objective or make_objective(output)
        loss = _backward(output.tensor, objective)
    assert objective is not None, "there is one pass or more"
    assert output is not None, "else it was refused"
    return GradientRun(
        output_shape=tuple(output.tensor.shape),
        output_path=output.path,
        objective=objective.described,
        loss=loss,
        before=before,
        gradients=[None if each.grad is None else _dense(each.grad) for each in parameters],
    )


def _copied(value: Any) -> Any:
    """Return an argument of forward with copies of the tensors in it; a class of the caller's own is left alone."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    if type(value) is dict:
        return {key: _copied(each) for key, each in value.items()}
    return type(value)(map(_copied, value)) if type(value) in {list, tuple} else value


def _dense(gradient: torch.Tensor) -> torch.Tensor:
    return gradient.to_dense() if gradient.is_sparse else gradient


def _forward(net: nn.Module, inputs: Sequence[Any], keywords: Mapping[str, Any], explain: Explain) -> Any:
    running: list[Running] = []
    with _watched(net, running):
        try:
            return net(*inputs, **keywords)
        except (Exception, SystemExit) as error:
            raise explain(running, error) from error


def _backward(output: torch.Tensor, objective: Objective) -> float:
    loss = user_code.call_theirs("computing the loss", objective.compute, output)
    if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
        got = f"a tensor of {list(loss.shape)}" if isinstance(loss, torch.Tensor) else f"a {type(loss).__name__}"
        raise failure(f"the loss is {got}, and backward needs a tensor of one element")
    if loss.is_complex():
        raise failure("the loss is a complex number, and backward needs a real one")
    if loss.requires_grad:
        user_code.call_theirs("backward", loss.backward)
    return float(loss.detach())


@contextmanager
def _watched(net: nn.Module, running: list[Running]) -> Iterator[None]:
    """Keep `running` up to date while forward runs; after a failure it shows the modules that did not finish."""

    def enter(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        running.append(Running(module, (*args, *kwargs.values())))

    def leave(module: nn.Module, *_: Any) -> None:
        # Modules inside this one that failed, and whose failure was caught, have not left.
        while running.pop().module is not module:
            pass

    handles = []
    for module in net.modules():
        handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))
        handles.append(module.register_forward_hook(leave))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
