"""The four answers on a live `nn.Module`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import nn

from paramctl.analysis.listing import ListOptions, SortKey, make_list_report
from paramctl.analysis.sharing import find_groups
from paramctl.errors import ParamctlError, failure
from paramctl.records import Statistics, Values
from paramctl.reports.init import InitReport
from paramctl.reports.shared import SharedReport
from paramctl.rules import Initializer, InitRule
from paramctl.showing import Gradients, Initialization, ParameterListing, Sharing
from paramctl.spec.model import Fill, Loss
from paramctl.spec.rules import make_rule, parse_scheme
from paramctl.tensors import streams, user_code
from paramctl.tensors.backward import Running, run_passes
from paramctl.tensors.collect import take_inventory
from paramctl.tensors.defaults import record_programs
from paramctl.tensors.gradients import make_grad_report
from paramctl.tensors.initialize import describe_initialized
from paramctl.tensors.loss import Objective, make_objective
from paramctl.tensors.materialize import plan_drawings
from paramctl.tensors.statistics import measure
from paramctl.tensors.values import TensorValues

SchemeLike: TypeAlias = str | Initializer
"""A scheme as on the command line, ``"normal:std=0.02"``, or a function that changes the tensor it is given."""
LossLike: TypeAlias = Loss | Callable[[torch.Tensor], torch.Tensor]
"""A loss by name, or a function from the output to a scalar."""


def list_parameters(
    module: nn.Module,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    layer: str | None = None,
    buffers: bool = False,
    stats: bool = False,
    values: bool = False,
    sort: SortKey | None = None,
    tree: bool = False,
) -> ParameterListing:
    """List the parameters of a module; the options are those of `paramctl list`.

    Raises:
        ParamctlError: if `layer` is no module of it.

    """
    options = ListOptions(
        include=include,
        exclude=exclude,
        layer=layer,
        buffers=buffers,
        stats=stats,
        values=values,
        sort=sort,
        tree=tree,
    )
    tensors = dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))

    def measure_named(name: str) -> tuple[Statistics | None, Values | None]:
        return measure(tensors[name]) if stats else None, TensorValues(tensors[name]) if values else None

    report = make_list_report(
        type(module).__name__,
        take_inventory(module),
        options,
        measure_named if options.needs_values else None,
    )
    return ParameterListing.of(report)


def initialize(
    module: nn.Module,
    scheme: SchemeLike | None = None,
    *,
    rules: Mapping[str, SchemeLike] | Sequence[tuple[str, SchemeLike]] = (),
    seed: int = 0,
    values: bool = False,
) -> Initialization:
    """Initialise the parameters of a module in place, unrecorded by autograd, as `paramctl init` does.

    Args:
        module: the module.
        scheme: for the whole module: this for the weights, zeros for the biases, normalisation layers as they are.
        rules: globs with the scheme for every parameter that they match, in order, after `scheme`.
        seed: the seed; a parameter's values depend on it, the parameter's name and shape and what reaches it.
        values: whether the report holds the elements.

    Raises:
        ParamctlError: if a scheme is wrong or does not fit a parameter, or if a parameter is on the meta device.

    """
    for name, parameter in module.named_parameters():
        if parameter.is_meta:
            raise failure(
                f"{name} is on the meta device", hint="give the module memory first, with module.to_empty(device=...)"
            )
    pairs = rules.items() if isinstance(rules, Mapping) else rules
    wanted = [] if scheme is None else [_rule(None, scheme)]
    wanted += [_rule(glob, each) for glob, each in pairs]
    drawings, notes = plan_drawings(module, record_programs(module), wanted)
    rows = [describe_initialized(each, each.draw(seed), with_values=values) for each in drawings]
    report = InitReport(model=type(module).__name__, seed=seed, parameters=rows, notes=tuple(notes))
    return Initialization.of(report)


def _rule(glob: str | None, scheme: SchemeLike) -> InitRule:
    if isinstance(scheme, str):
        return make_rule(glob, *parse_scheme(scheme, Path.cwd(), f"scheme {scheme!r}"), where=glob or "scheme")
    return InitRule(match=glob, scheme=scheme, options={}, where=glob or "scheme")


def find_shared(module: nn.Module) -> Sharing:
    """Find the parameters of a module that are one and the same, by `id()`."""
    identities = {name: id(parameter) for name, parameter in module.named_parameters()}
    groups, totals = find_groups(take_inventory(module).parameters, identities)
    return Sharing.of(SharedReport(model=type(module).__name__, groups=groups, totals=totals))


def gradients(
    module: nn.Module,
    *inputs: Any,
    loss: LossLike = "sum",
    passes: int = 1,
    train: bool | None = None,
    seed: int = 0,
    values: bool = False,
) -> Gradients:
    """Run forward and backward, and report the gradients before and after; the module is left as it was found.

    Args:
        module: the module.
        inputs: the arguments of its forward.
        loss: what backward starts from; the targets of ``"mse"`` and ``"cross_entropy"`` are drawn.
        passes: how often; gradients add up.
        train: the mode of its modules; None leaves it.
        seed: the seed of whatever forward draws, and of targets.
        values: whether the report holds the gradients' elements.

    Raises:
        ParamctlError: if a pass fails.

    """

    def objective(output: torch.Tensor) -> Objective:
        if isinstance(loss, str):
            return make_objective(loss, output, Fill("rand"), seed)
        return Objective(loss, getattr(loss, "__qualname__", repr(loss)))

    if passes < 1:
        raise failure(f"there must be one pass or more, not {passes}", where="passes")
    with _left_as_found(module), streams.global_stream(seed, "forward"), torch.enable_grad():
        if train is not None:
            module.train(train)
        run = run_passes(module, inputs, objective, passes=passes, explain=_explainer(module))
        report = make_grad_report(
            type(module).__name__, take_inventory(module).parameters, run, passes=passes, with_values=values
        )
    return Gradients.of(report)


@contextmanager
def _left_as_found(module: nn.Module) -> Iterator[None]:
    """Restore gradients, buffers and training flags."""
    gradients = [(each, each.grad) for each in module.parameters()]
    buffers = [(each, each.detach().clone()) for each in module.buffers()]
    modes = [(each, each.training) for each in module.modules()]
    for parameter, gradient in gradients:
        # Backward adds to a gradient in place, so it gets a copy.
        parameter.grad = None if gradient is None else gradient.clone()
    try:
        yield
    finally:
        for parameter, gradient in gradients:
            parameter.grad = gradient
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
        for each, training in modes:
            each.training = training


def _explainer(module: nn.Module) -> Callable[[Sequence[Running], BaseException], ParamctlError]:
    paths = {id(each): path for path, each in module.named_modules()}

    def explain(running: Sequence[Running], error: BaseException) -> ParamctlError:
        failed = running[-1] if running else Running(module, ())
        path = paths.get(id(failed.module), "")
        named = f"{path} ({type(failed.module).__name__})" if path else type(failed.module).__name__
        message = f"{named} failed in forward on an input of {failed}: {user_code.describe(error)}"
        return failure(message, hint=user_code.their_frames(error))

    return explain
