"""The four answers on a live `nn.Module`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import nn

from paramctl import checks
from paramctl.analysis.equality import Digests, comparable
from paramctl.analysis.expecting import SharedOptions, parse_tie, with_expectations
from paramctl.analysis.listing import ListOptions, SortKey, make_list_report
from paramctl.analysis.measuring import notes_on_statistics
from paramctl.analysis.shared_report import make_shared_report
from paramctl.analysis.sharing import MemorySurvey
from paramctl.fans import FanRule
from paramctl.records import Statistics, Values
from paramctl.reports.health import Limits
from paramctl.reports.init import InitReport
from paramctl.rules import Initializer, InitRule
from paramctl.showing import Gradients, Initialization, ParameterListing, Sharing
from paramctl.spec.model import LOSSES, Fill, Loss
from paramctl.spec.rules import make_rule, parse_scheme
from paramctl.tensors import streams
from paramctl.tensors.building.live import (
    check_memory,
    check_module,
    check_python,
    check_shapes,
    check_type,
    named_parameters,
    named_tensors,
)
from paramctl.tensors.building.live_failures import explainer
from paramctl.tensors.building.unregistered import take_full_inventory
from paramctl.tensors.collect import take_inventory
from paramctl.tensors.garbage import collection_put_off
from paramctl.tensors.gradients.backward import Wanted, run_passes
from paramctl.tensors.gradients.loss import Objective, Output, objective_of
from paramctl.tensors.gradients.preserving import left_as_found
from paramctl.tensors.gradients.rows import make_grad_report
from paramctl.tensors.initializing.defaults import record_programs
from paramctl.tensors.initializing.materialize import plan_drawings
from paramctl.tensors.initializing.producing import drop, produce
from paramctl.tensors.initializing.targets import notes_on_untouched
from paramctl.tensors.sharing.digests import blocks_of, digests_of
from paramctl.tensors.sharing.surveying import find_tensors, survey_tensors
from paramctl.tensors.sharing.survival import try_ties
from paramctl.tensors.statistics import measure
from paramctl.tensors.values import TensorValues

SchemeLike: TypeAlias = str | Initializer
"""A scheme as on the command line, ``"normal:std=0.02"``, or a function that changes the tensor it is given."""
LossLike: TypeAlias = Loss | Callable[[Any], torch.Tensor]
"""A loss by name, or a function from whatever the module returns to a scalar."""
AutocastName: TypeAlias = Literal["bfloat16", "float16"]
"""The dtype of mixed precision."""


def list_parameters(
    module: nn.Module,
    *,
    include: str | Sequence[str] = (),
    exclude: str | Sequence[str] = (),
    layer: str | None = None,
    buffers: bool = False,
    stats: bool = False,
    values: bool = False,
    hist: bool = False,
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
        hist=hist,
        sort=sort,
        tree=tree,
    )
    tensors = dict(named_tensors(module))

    def measure_named(name: str) -> tuple[Statistics | None, Values | None]:
        tensor = tensors[name]
        check_memory([(name, tensor)])
        stats = measure(tensor, hist=hist) if options.measures else None
        return stats, TensorValues.copied(tensor) if values else None

    with checks.in_words_of_python():
        report = make_list_report(
            type(module).__name__,
            take_full_inventory(module),
            options,
            measure_named if options.needs_values else None,
        )
    return ParameterListing.of(replace(report, notes=tuple(note.removeprefix("--") for note in report.notes)))


def initialize(
    module: nn.Module,
    scheme: SchemeLike | None = None,
    *,
    rules: Mapping[str, SchemeLike] | Sequence[tuple[str, SchemeLike]] = (),
    seed: int = 0,
    values: bool = False,
    hist: bool = False,
    fan: FanRule = "layer",
) -> Initialization:
    """Initialise the parameters of a module in place, unrecorded by autograd, as `paramctl init` does.

    A rule that does not fit is refused before anything is changed. Functions of your own run first, on one parameter
    after the other: one that raises leaves what they have changed before, and the parameter that it was given as it is.

    Args:
        module: the module.
        scheme: for the whole module: this for the weights, zeros for the biases, normalisation layers as they are.
        rules: globs with the scheme for every parameter that they match, in order, after `scheme`.
        seed: the seed; a parameter's values depend on it, the parameter's name and shape and what reaches it.
        values: whether the report holds a copy of the elements.
        hist: whether it holds histograms of them.
        fan: whose fan_in and fan_out the schemes use: ``"layer"`` for those of each layer's own computation,
            ``"torch"`` for those that `torch.nn.init` tells from the shape.

    Raises:
        ParamctlError: if an argument is wrong, a scheme does not fit a parameter, a function fails, or if the module
            has lazy layers that have not run, a parameter on the meta device, or a part compiled by TorchScript.

    """
    check_module(module)
    check_python(module)
    check_memory(named_parameters(module))
    seed = checks.check_seed(seed)
    checks.check_word(fan, get_args(FanRule), "fan")
    wanted = [] if scheme is None else [_rule(None, scheme)]
    wanted += [_rule(glob, each) for glob, each in checks.check_rules(rules)]
    drawings, notes = plan_drawings(module, record_programs(module), wanted, seed, fan=fan)
    rows = produce(drawings, seed, drop, with_values=values, hist=hist)
    notes += notes_on_untouched(drawings)
    notes += notes_on_statistics((each.plan.target.record, row.stats) for each, row in zip(drawings, rows, strict=True))
    report = InitReport(
        model=type(module).__name__,
        seed=seed,
        parameters=rows,
        with_values=values,
        with_histograms=hist,
        notes=tuple(notes),
    )
    return Initialization.of(report)


def _rule(glob: str | None, scheme: SchemeLike) -> InitRule:
    where = "scheme" if glob is None else "rules"
    checks.check_scheme(scheme, where)
    if isinstance(scheme, str):
        return make_rule(glob, *parse_scheme(scheme, Path.cwd(), f"scheme {scheme!r}"), where=where)
    return InitRule(match=glob, scheme=scheme, options={}, where=where)


def find_shared(
    module: nn.Module,
    *,
    by_value: bool = False,
    survival: bool = False,
    expect: str | Sequence[str] = (),
    expect_none: bool = False,
) -> Sharing:
    """Find the parameters of a module that are one and the same, by `id()`, or lie in the same memory.

    What was expected stands in `expectations`, and `meets_expectations` says whether all of it holds:
    ``assert find_shared(net, expect="decoder.weight=encoder.weight", expect_none=True).meets_expectations``.

    Args:
        module: the module.
        by_value: whether equal values in different memory are found, too: equal bits, so that a NaN equals itself and
            0.0 differs from -0.0. Tensors whose elements are all equal are left out.
        survival: whether it is tried, on a small copy, what operations such as `deepcopy` and `to` do to each tie.
        expect: ties that must be there, each as names that must be the same elements, ``"a=b"`` or ``"a=b=c"``.
        expect_none: whether nothing may be shared that `expect` does not name.

    Raises:
        ParamctlError: if `module` is none, or has lazy layers that have not run, or is on the meta device while its
            values are compared; if an expected tie is no tie of names that the module has.

    """
    check_type(module)
    with checks.in_words_of_python():
        ties = [parse_tie(tie) for tie in checks.check_ties(expect)]
    options = SharedOptions(by_value=by_value, expected=ties, nothing_else=expect_none)
    with collection_put_off():
        surveyed = _surveyed(module, every=by_value)
        digests = _digests(module, surveyed) if by_value else None
        report = make_shared_report(type(module).__name__, surveyed, digests)
    if survival:
        report = replace(report, survival=try_ties(module, surveyed, report.ties))
    with checks.in_words_of_python():
        return Sharing.of(with_expectations(report, options, (name for name, _ in named_parameters(module))))


def _surveyed(module: nn.Module, *, every: bool) -> MemorySurvey:
    held = find_tensors(module)
    check_shapes(module, chain(held.parameters.distinct.tensors, held.buffers.distinct.tensors))
    return survey_tensors(held, every=every)


def _digests(module: nn.Module, surveyed: MemorySurvey) -> Digests:
    tensors = dict(named_parameters(module))
    compared = [(record.name, tensors[record.name]) for record in comparable(surveyed.records)]
    check_memory(compared)
    return digests_of((name, blocks_of(each)) for name, each in compared if each.layout is torch.strided)


def gradients(
    module: nn.Module,
    *inputs: Any,
    kwargs: Mapping[str, Any] | None = None,
    loss: LossLike | None = None,
    passes: int = 1,
    train: bool | None = None,
    seed: int = 0,
    uses: bool = False,
    flow: bool = False,
    health: bool = False,
    vanishing: float | None = None,
    exploding: float | None = None,
    max_ratio: float | None = None,
    values: bool = False,
    hist: bool = False,
    autocast: AutocastName | None = None,
) -> Gradients:
    """Run forward and backward, and report the gradients before and after; the module is left as it was found.

    That holds for its gradients, buffers and training flags, after a failure too. Its own hooks do act: one that steps
    an optimizer, say, changes parameters, and they stay changed.

    Args:
        module: the module.
        inputs: the arguments of its forward.
        kwargs: its keyword arguments.
        loss: what backward starts from; None for the loss that the module returns under that name, else the sum of its
            output, which is the first tensor in what it returns. A function takes all that the module returns. The
            targets of ``"mse"`` and ``"cross_entropy"`` are drawn.
        passes: how often; gradients add up.
        train: the mode of its modules; None leaves it.
        seed: the seed of whatever forward draws, and of targets.
        uses: whether the report says which use of each parameter contributed what.
        flow: whether there is a norm for each layer.
        health: whether gradients are checked for what is not as it should be, as `--health` does. So they are where one
            of the next three is given.
        vanishing: the norm below which a gradient vanishes; None for 1e-6.
        exploding: the norm above which it explodes; None for 1000.
        max_ratio: how many times the norm of a weight that of its gradient may be; None for 10.
        values: whether the report holds a copy of the gradients' elements.
        hist: whether it holds histograms of them.
        autocast: ``"bfloat16"`` or ``"float16"``, in which forward runs where precision allows it.

    Raises:
        ParamctlError: if an argument is wrong or a pass fails, or if the module has lazy layers that have not run, a
            tensor on the meta device, or a part compiled by TorchScript.

    """
    check_module(module)
    check_python(module)
    check_memory(named_tensors(module))
    if loss is not None and not callable(loss):
        checks.check_word(loss, LOSSES, "loss", " or a function from the output to a scalar")
    checks.check_mode(train)
    if autocast is not None:
        checks.check_word(autocast, get_args(AutocastName), "autocast", " or None")
    with checks.in_words_of_python():
        given = checks.check_limits(vanishing=vanishing, exploding=exploding, max_ratio=max_ratio)
    limits = given or (Limits() if health else None)
    seed, passes, keywords = checks.check_seed(seed), checks.check_passes(passes), checks.check_keywords(kwargs)

    def objective(output: Output) -> Objective:
        if loss is None or isinstance(loss, str):
            return objective_of(output, loss, Fill("rand"), seed)
        return Objective(loss, getattr(loss, "__qualname__", repr(loss)), of_all=True)

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
            explain=explainer(module),
            keywords=keywords,
            wants_loss=loss is None,
            wanted=Wanted(values=values, hist=hist, uses=uses, health=limits is not None),
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
            hist=hist,
            with_flow=flow,
            limits=limits,
        )
    return Gradients.of(report)
