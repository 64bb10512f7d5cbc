"""The four answers on a live `nn.Module`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import nn

from paramctl import checks
from paramctl.analysis.listing import ListOptions, SortKey, make_list_report
from paramctl.analysis.sharing import find_groups
from paramctl.errors import ParamctlError, failure
from paramctl.records import Statistics, Values
from paramctl.reports.health import Limits
from paramctl.reports.init import InitReport
from paramctl.reports.shared import SharedReport
from paramctl.rules import Initializer, InitRule
from paramctl.showing import Gradients, Initialization, ParameterListing, Sharing
from paramctl.spec.model import LOSSES, Fill, Loss
from paramctl.spec.rules import make_rule, parse_scheme
from paramctl.tensors import streams, user_code
from paramctl.tensors.backward import Explain, Running, Wanted, run_passes
from paramctl.tensors.collect import take_inventory
from paramctl.tensors.defaults import record_programs
from paramctl.tensors.gradients import make_grad_report
from paramctl.tensors.initialize import describe_initialized
from paramctl.tensors.live import check_memory, check_module, check_python, named_tensors
from paramctl.tensors.loss import Objective, make_objective
from paramctl.tensors.materialize import plan_drawings
from paramctl.tensors.preserving import left_as_found
from paramctl.tensors.statistics import measure
from paramctl.tensors.values import TensorValues

SchemeLike: TypeAlias = str | Initializer
"""A scheme as on the command line, ``"normal:std=0.02"``, or a function that changes the tensor it is given."""
LossLike: TypeAlias = Loss | Callable[[torch.Tensor], torch.Tensor]
"""A loss by name, or a function from the output to a scalar."""
AutocastName: TypeAlias = Literal["bfloat16", "float16"]
"""The dtype of mixed precision."""

_LIMITS = Limits()


def list_parameters(
    module: nn.Module,
    *,
    include: str | Sequence[str] = (),
    exclude: str | Sequence[str] = (),
    layer: str | None = None,
    buffers: bool = False,
    stats: bool = False,
    values: bool = False,
    sort: SortKey | None = None,
    tree: bool = False,
) -> ParameterListing:
    """List the parameters of a module; the options are those of `paramctl list`, and `values` are copies.

    Raises:
        ParamctlError: if `module` is none, has lazy layers that have not run, or is on the meta device while its values
            are asked for; if an option is wrong, such as a `layer` that is no module of it.

    """
    check_module(module)
    checks.check_layer(layer)
    if sort is not None:
        checks.check_word(sort, get_args(SortKey), "sort")
    options = ListOptions(
        include=checks.check_globs(include, "include"),
        exclude=checks.check_globs(exclude, "exclude"),
        layer=layer,
        buffers=buffers,
        stats=stats,
        values=values,
        sort=sort,
        tree=tree,
    )
    tensors = dict(named_tensors(module))

    def measure_named(name: str) -> tuple[Statistics | None, Values | None]:
        tensor = tensors[name]
        check_memory([(name, tensor)])
        return measure(tensor) if stats else None, TensorValues.copied(tensor) if values else None

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

    A rule that does not fit is refused before anything is changed. Functions of your own run on one parameter after the
    other, so that one that raises leaves the parameters before changed, and the one that it was given as it left it.

    Args:
        module: the module.
        scheme: for the whole module: this for the weights, zeros for the biases, normalisation layers as they are.
        rules: globs with the scheme for every parameter that they match, in order, after `scheme`.
        seed: the seed; a parameter's values depend on it, the parameter's name and shape and what reaches it.
        values: whether the report holds a copy of the elements.

    Raises:
        ParamctlError: if an argument is wrong, a scheme does not fit a parameter, a function fails, or if the module
            has lazy layers that have not run, a parameter on the meta device, or a part compiled by TorchScript.

    """
    check_module(module)
    check_python(module)
    check_memory(module.named_parameters())
    seed = checks.check_seed(seed)
    wanted = [] if scheme is None else [_rule(None, scheme)]
    wanted += [_rule(glob, each) for glob, each in checks.check_rules(rules)]
    drawings, notes = plan_drawings(module, record_programs(module), wanted, seed)
    rows = []
    for drawing in drawings:
        drawn = drawing.draw(seed)
        rows.append(describe_initialized(drawing, drawn.clone() if values else drawn, with_values=values))
    report = InitReport(model=type(module).__name__, seed=seed, parameters=rows, with_values=values, notes=tuple(notes))
    return Initialization.of(report)


def _rule(glob: str | None, scheme: SchemeLike) -> InitRule:
    where = "scheme" if glob is None else "rules"
    checks.check_scheme(scheme, where)
    if isinstance(scheme, str):
        return make_rule(glob, *parse_scheme(scheme, Path.cwd(), f"scheme {scheme!r}"), where=where)
    return InitRule(match=glob, scheme=scheme, options={}, where=where)


def find_shared(module: nn.Module) -> Sharing:
    """Find the parameters of a module that are one and the same, by `id()`.

    Raises:
        ParamctlError: if `module` is none, or has lazy layers that have not run.

    """
    check_module(module)
    identities = {name: id(parameter) for name, parameter in module.named_parameters()}
    groups, totals = find_groups(take_inventory(module).parameters, identities)
    return Sharing.of(SharedReport(model=type(module).__name__, groups=groups, totals=totals))


def gradients(
    module: nn.Module,
    *inputs: Any,
    kwargs: Mapping[str, Any] | None = None,
    loss: LossLike = "sum",
    passes: int = 1,
    train: bool | None = None,
    seed: int = 0,
    uses: bool = False,
    flow: bool = False,
    health: bool = False,
    vanishing: float = _LIMITS.vanishing,
    exploding: float = _LIMITS.exploding,
    max_ratio: float = _LIMITS.ratio,
    values: bool = False,
    autocast: AutocastName | None = None,
) -> Gradients:
    """Run forward and backward, and report the gradients before and after; the module is left as it was found.

    That holds for its gradients, buffers and training flags, after a failure too. Its own hooks do act: one that steps
    an optimizer, say, changes parameters, and they stay changed.

    Args:
        module: the module.
        inputs: the arguments of its forward.
        kwargs: its keyword arguments.
        loss: what backward starts from; the targets of ``"mse"`` and ``"cross_entropy"`` are drawn.
        passes: how often; gradients add up.
        train: the mode of its modules; None leaves it.
        seed: the seed of whatever forward draws, and of targets.
        uses: whether the report says which use of each parameter contributed what.
        flow: whether there is a norm for each layer.
        health: whether gradients are checked for what is not as it should be, as `--health` does.
        vanishing: the norm below which a gradient vanishes.
        exploding: the norm above which it explodes.
        max_ratio: how many times the norm of a weight that of its gradient may be.
        values: whether the report holds a copy of the gradients' elements.
        autocast: ``"bfloat16"`` or ``"float16"``, in which forward runs where precision allows it.

    Raises:
        ParamctlError: if an argument is wrong or a pass fails, or if the module has lazy layers that have not run, a
            tensor on the meta device, or a part compiled by TorchScript.

    """
    check_module(module)
    check_python(module)
    check_memory(named_tensors(module))
    if not callable(loss):
        checks.check_word(loss, LOSSES, "loss", " or a function from the output to a scalar")
    checks.check_mode(train)
    if autocast is not None:
        checks.check_word(autocast, get_args(AutocastName), "autocast", " or None")
    limits = Limits(
        vanishing=checks.check_limit(vanishing, "vanishing"),
        exploding=checks.check_limit(exploding, "exploding"),
        ratio=checks.check_limit(max_ratio, "max_ratio"),
    )
    seed, passes, keywords = checks.check_seed(seed), checks.check_passes(passes), checks.check_keywords(kwargs)

    def objective(output: torch.Tensor) -> Objective:
        if isinstance(loss, str):
            return make_objective(loss, output, Fill("rand"), seed)
        return Objective(loss, getattr(loss, "__qualname__", repr(loss)))

    with (
        torch.inference_mode(mode=False),
        torch.enable_grad(),
        left_as_found(module),
        streams.global_stream(seed, "forward"),
    ):
        if train is not None:
            module.train(train)
        run = run_passes(
            module,
            inputs,
            objective,
            passes=passes,
            explain=_explainer(module),
            keywords=keywords,
            wanted=Wanted(values=values, uses=uses, health=health),
            autocast=None if autocast is None else getattr(torch, autocast),
        )
        if values:
            run = replace(run, gradients=[None if each is None else each.clone() for each in run.gradients])
        report = make_grad_report(
            type(module).__name__,
            take_inventory(module).parameters,
            run,
            passes=passes,
            with_values=values,
            with_flow=flow,
            limits=limits if health else None,
        )
    return Gradients.of(report)


def _explainer(module: nn.Module) -> Explain:
    paths = {id(each): path for path, each in module.named_modules()}

    def explain(running: Sequence[Running], error: BaseException, operation: str | None = None) -> ParamctlError:
        failed = running[-1] if running else Running(module, ())
        path = paths.get(id(failed.module), "")
        named = f"{path} ({type(failed.module).__name__})" if path else type(failed.module).__name__
        how = f"forward on an input of {failed}" if operation is None else f"backward of its operation {operation!r}"
        message = f"{named} failed in {how}: {user_code.describe(error)}"
        if operation is not None and not running:
            message = f"backward failed: {user_code.describe(error)}"
        return failure(message, hint=user_code.their_frames(error))

    return explain
