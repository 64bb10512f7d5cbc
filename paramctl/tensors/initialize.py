"""Init rules -> values: each parameter under its own stream, in place and unrecorded by autograd."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

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
from paramctl.tensors.blocks import Block, Fill, Stream, chunks_of, draw_blocks
from paramctl.tensors.defaults import Program, Programs, Write, run_program
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

    @property
    def is_blockwise(self) -> bool:
        """Whether each element is drawn for itself, so that blocks can be drawn in turn."""
        dtype = self.tensor.dtype
        return (
            self.tensor.numel() > 0
            and (dtype.is_floating_point or dtype.is_complex)
            and all(self._elementwise(step) is not None for step in self.steps)
        )

    @property
    def is_concurrent(self) -> bool:
        """Whether other parameters can be drawn at the same time: functions of the user's own use global generators."""
        return all(isinstance(step.scheme, Scheme) for step in self.steps)

    def draw_chunk(self, seed: int, chunk: int, values: torch.Tensor | None = None) -> Iterator[Block]:
        """Yield the blocks of one chunk of a drawing that `is_blockwise`, in row-major order.

        Args:
            seed: the seed.
            chunk: the number of the chunk, one of `chunks_of` the elements.
            values: contiguous memory on the CPU that is changed in place; None where the tensor is on meta and the
                blocks are all that is wanted.

        Raises:
            ParamctlError: if numbers of a rule overflow together.

        """
        name = self.plan.target.record.name
        fills = [(fill, partial(streams.generator, seed, name, i)) for i, fill in enumerate(self.fills())]
        for start, block in draw_blocks(self.tensor if values is None else values, fills, chunk):
            self._zero_padding(block, start)
            yield start, block

    def fills(self) -> list[Fill]:
        """Return what the steps of a drawing that `is_blockwise` do to a run of elements, in order."""
        return [self.fill_of(step) for step in self.steps]

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
        if self.is_blockwise:
            for chunk in chunks_of(work.numel()):
                deque(self.draw_chunk(seed, chunk, work), maxlen=0)
        else:
            for i, step in enumerate(self.steps):
                if isinstance(step.scheme, Scheme):
                    self._fill(work, step, partial(streams.generator, seed, record.name, i))
                else:
                    with streams.global_stream(seed, record.name, i):
                        call_function(step, record.name, work, requires_grad=self.tensor.requires_grad)
            self._zero_padding(work.view(-1), 0)
        if work.data_ptr() != values.data_ptr():
            values.copy_(work)
        return values

    def _fill(self, work: torch.Tensor, step: InitRule, stream: Stream) -> None:
        with self.explaining(step):
            if step.scheme is DEFAULT.scheme:
                run_program(self.program, work, stream)
            else:
                kernels.fill(work, step.label, step.options, stream, self.plan.target.fans)

    def fill_of(self, step: InitRule) -> Fill:
        """Return what an elementwise step does to a run of elements."""
        call = self._elementwise(step)
        assert call is not None, "the drawing is blockwise"
        facts = TensorFacts(self.plan.target.record.shape, layer_fans=call.fans)
        with self.explaining(step):
            fill = kernels.ELEMENTWISE[call.scheme.name](facts, **call.options)

        def explained(block: torch.Tensor, generator: torch.Generator) -> None:
            with self.explaining(step):
                fill(block, generator)

        return explained

    def _elementwise(self, step: InitRule) -> Step | None:
        """Return the elementwise scheme of a step; None where the step is something else.

        What a layer writes by itself has torch's fans.
        """
        scheme, options, fans = step.scheme, step.options, self.plan.target.fans
        if scheme is DEFAULT.scheme:
            program = [write for write in self.program if not self._keeps_padding(write)]
            if len(program) != 1 or program[0].view is not None:
                return None
            scheme, options, fans = program[0].scheme, program[0].options, None
        return (
            Step(scheme, options, fans) if isinstance(scheme, Scheme) and scheme.name in kernels.ELEMENTWISE else None
        )

    def _keeps_padding(self, write: Write) -> bool:
        """Tell whether a layer writes no more than the zeros of a padding row, which are there in any case."""
        start, stop = self._padding
        return stop > start and write.view == ((stop - start,), (1,), start) and not write.options.get("val", 0.0)

    @property
    def _padding(self) -> tuple[int, int]:
        """The first element of the padding row and the one behind its last; equal where there is none."""
        target = self.plan.target
        if target.padding_row is None or not (self.tensor.is_meta or self.steps):
            return 0, 0
        width = target.record.shape[1]
        return target.padding_row * width, (target.padding_row + 1) * width

    def _zero_padding(self, elements: torch.Tensor, start: int) -> None:
        """Set what belongs to the padding row to zero, of a run of elements whose first one has the number `start`."""
        first, last = (max(place - start, 0) for place in self._padding)
        if first < last:  # there are dtypes that torch cannot fill at all
            elements[first:last] = 0

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


def describe_initialized(
    drawing: Drawing, values: torch.Tensor, *, with_values: bool, hist: bool = False
) -> InitializedParameter:
    """Measure what a drawing gave, and hold it against what its formulas promise."""
    return describe_measured(drawing, measure(values, hist=hist), TensorValues(values) if with_values else None)


def describe_measured(drawing: Drawing, stats: Statistics | None, values: Values | None = None) -> InitializedParameter:
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
        deviates=None if expected is None or stats is None else deviates(record, stats, expected),
        note=drawing.plan.note,
        fans=drawing.plan.used_fans,
        start=drawing.plan.start,
        unwritten=target.unwritten if drawing.plan.start in UNWRITTEN else 0,
        replaced=len(drawing.plan.rules) - len(drawing.plan.steps),
        values=values,
    )


def call_function(rule: InitRule, name: str, values: torch.Tensor, *, requires_grad: bool) -> None:
    """Call a function of the user's own on the values of a parameter.

    Raises:
        ParamctlError: if it fails, or does not change what it is given in place.

    """
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
