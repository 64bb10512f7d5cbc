"""Init rules -> values: each parameter under its own stream, in place and unrecorded by autograd."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from paramctl.analysis.expectation import Step, deviates, expected_moments
from paramctl.analysis.planning import InitPlan, InitTarget
from paramctl.errors import ParamctlError, failure, located
from paramctl.fans import FanRule
from paramctl.records import ParameterRecord, Statistics, Values
from paramctl.references import Reference
from paramctl.reports.init import UNWRITTEN, AppliedRule, InitializedParameter
from paramctl.rules import InitRule
from paramctl.schemes import SCHEMES, Scheme, TensorFacts
from paramctl.tensors import kernels, streams, user_code
from paramctl.tensors.defaults import Program, Programs, run_program
from paramctl.tensors.fans import fans_of
from paramctl.tensors.statistics import measure
from paramctl.tensors.values import TensorValues

_NORMALIZATION = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
DEFAULT = InitRule(match=None, scheme=SCHEMES["default"], options={})


def init_target(
    net: nn.Module, record: ParameterRecord, tensor: torch.Tensor, programs: Programs, fan: FanRule = "layer"
) -> InitTarget:
    """Describe a parameter of a model as init rules see it; of a tie, the layer of the first name tells the fans."""
    padding_row = None
    for name in record.names:
        module, _, attribute = name.rpartition(".")
        owner = net.get_submodule(module)
        if isinstance(owner, nn.Embedding | nn.EmbeddingBag) and attribute == "weight" and padding_row is None:
            padding_row = owner.padding_idx
        if record.owners == 1:
            break
    owner = net.get_submodule(record.module)
    return InitTarget(
        record=record,
        normalization=isinstance(owner, _NORMALIZATION) or type(owner).__name__.endswith("Norm"),
        padding_row=padding_row,
        has_default=programs.complete or bool(programs.of(tensor)),
        fans=fans_of(net, record.name, record.shape, fan),
        as_found=not programs.complete,
        unwritten=_unwritten(tensor, programs),
    )


def _unwritten(tensor: torch.Tensor, programs: Programs) -> int:
    """Return how many elements a tensor's layer leaves without a value: all, where it makes them on meta."""
    if tensor.is_meta and not programs.of(tensor):
        return tensor.numel()
    return programs.unwritten.get(id(tensor), 0)


@dataclass(frozen=True, slots=True)
class Drawing:
    """How one tensor gets its values.

    Attributes:
        plan: the rules that reach it.
        tensor: the tensor: on the meta device, where it has no values yet, or anywhere else with values.
        program: what its layer writes by itself.

    """

    plan: InitPlan
    tensor: torch.Tensor
    program: Program

    @property
    def steps(self) -> tuple[InitRule, ...]:
        """What is done, in order: the layer's own program first where there are no values that a rule would change."""
        steps = self.plan.steps
        if not self.tensor.is_meta or self.plan.overwrites:
            return steps
        return (DEFAULT, *(step for step in steps if step.scheme is not DEFAULT.scheme))

    def facts(self, step: InitRule) -> TensorFacts:
        """Return what a step's formula depends on: what a layer writes by itself has torch's fans."""
        target = self.plan.target
        return TensorFacts(target.record.shape, layer_fans=None if step.scheme is DEFAULT.scheme else target.fans)

    def formulas(self) -> list[Step | None]:
        """Return the schemes that describe the values, None for what no formula does."""
        known: list[Step | None] = [] if self.tensor.is_meta else [None]
        for step in self.steps:
            if step.scheme is DEFAULT.scheme:
                whole = [write for write in self.program if write.view is None]
                known.append(Step(whole[0].scheme, whole[0].options) if len(whole) == 1 else None)
            else:
                fans = self.plan.target.fans
                known.append(Step(step.scheme, step.options, fans) if isinstance(step.scheme, Scheme) else None)
        return known

    def draw(self, seed: int) -> torch.Tensor:
        """Return the values: new ones on the CPU for a tensor on meta, else the tensor itself, changed in place.

        Raises:
            ParamctlError: if a function of the user's fails or does not work in place.

        """
        record = self.plan.target.record
        tensor = self.tensor
        make = torch.zeros if self.plan.target.unwritten else torch.empty
        values = make(record.shape, dtype=tensor.dtype, device="cpu") if tensor.is_meta else tensor.detach()
        if values.numel() == 0:
            return values
        work = values.cpu().contiguous()
        for i, step in enumerate(self.steps):
            if isinstance(step.scheme, Scheme):
                self._fill(work, step, streams.generator(seed, record.name, i))
            else:
                with streams.global_stream(seed, record.name, i):
                    _call_function(step, record.name, work, requires_grad=self.tensor.requires_grad)
        if self.plan.target.padding_row is not None and (self.tensor.is_meta or self.steps):
            work[self.plan.target.padding_row] = 0
        if work.data_ptr() != values.data_ptr():
            values.copy_(work)
        return values

    def _fill(self, work: torch.Tensor, step: InitRule, generator: torch.Generator) -> None:
        with self.explaining(step):
            if step.scheme is DEFAULT.scheme:
                run_program(self.program, work, generator)
            else:
                kernels.fill(work, step.label, step.options, generator, self.plan.target.fans)

    @contextmanager
    def explaining(self, step: InitRule) -> Iterator[None]:
        """Name the rule and the parameter where torch alone can tell that a rule cannot be followed.

        Raises:
            ParamctlError: for options whose numbers overflow together, or memory that is not there.

        """
        try:
            yield
        except (RuntimeError, OverflowError) as error:
            message = f"{step.label} cannot fill {self.plan.target.record.name}: {user_code.describe(error)}"
            raise failure(message, where=step.where) from error


def describe_initialized(drawing: Drawing, values: torch.Tensor, *, with_values: bool) -> InitializedParameter:
    """Measure what a drawing gave, and hold it against what its formulas promise."""
    return describe_measured(drawing, measure(values), TensorValues(values) if with_values else None)


def describe_measured(drawing: Drawing, stats: Statistics, values: Values | None = None) -> InitializedParameter:
    """Hold the statistics of what a drawing gave against what its formulas promise."""
    target = drawing.plan.target
    record = target.record
    # Of complex elements the magnitudes are measured, and the formulas speak of the elements.
    real = not drawing.tensor.is_complex()
    expected = expected_moments(record.shape, drawing.formulas(), target.padding_row) if real else None
    return InitializedParameter(
        name=record.name,
        aliases=record.aliases,
        shape=record.shape,
        rules=tuple(
            AppliedRule(scheme=rule.label, args=rule.options, number=rule.number) for rule in drawing.plan.rules
        ),
        stats=stats,
        expected=expected,
        deviates=None if expected is None else deviates(record, stats, expected),
        note=drawing.plan.note,
        fans=drawing.plan.used_fans,
        start=drawing.plan.start,
        unwritten=target.unwritten if drawing.plan.start in UNWRITTEN else 0,
        replaced=len(drawing.plan.rules) - len(drawing.plan.steps),
        values=values,
    )


def _call_function(rule: InitRule, name: str, values: torch.Tensor, *, requires_grad: bool) -> None:
    assert rule.function is not None, "plan_drawings imports the functions first"
    parameter = nn.Parameter(values, requires_grad=requires_grad)
    with torch.no_grad():
        try:
            returned = user_code.call_theirs(f"{rule.label} on {name}", rule.function, parameter, **rule.options)
        except ParamctlError as error:
            raise located(error, rule.where) from error
    hint = "an init function changes the tensor that it is given in place, as t.normal_() or t[...] = x do"
    if isinstance(returned, torch.Tensor) and returned.data_ptr() != parameter.data_ptr():
        raise failure(f"{rule.label} returned another tensor than that of {name}", where=rule.where, hint=hint)
    if parameter.shape != values.shape or parameter.dtype != values.dtype:
        what = f"{list(parameter.shape)} of {parameter.dtype}"
        raise failure(f"{rule.label} made {name} {what}", where=rule.where, hint=hint)
    if parameter.data_ptr() != values.data_ptr():
        values.copy_(parameter.detach())


def with_function(rule: InitRule) -> InitRule:
    """Return the rule with its function, imported if it is named; a rule with a declared scheme as it is.

    Before anything is drawn: what a module draws or seeds while it is imported must not reach a parameter's stream.

    Raises:
        ParamctlError: if the import fails, or if what it finds is not callable.

    """
    if isinstance(rule.scheme, Scheme):
        return rule
    try:
        function = user_code.load(rule.scheme) if isinstance(rule.scheme, Reference) else rule.scheme
    except ParamctlError as error:
        raise located(error, rule.where) from error
    if not callable(function):
        raise failure(f"{rule.label} is not a function", where=rule.where)
    return replace(rule, function=function)
