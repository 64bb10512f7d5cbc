"""How one tensor gets its values: each step under its own stream, in place and unrecorded by autograd."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import torch

from paramctl.analysis.expectation import Step
from paramctl.analysis.planning import InitPlan
from paramctl.errors import failure
from paramctl.rules import InitRule
from paramctl.scheme_declaration import Scheme, TensorFacts
from paramctl.schemes import SCHEMES
from paramctl.tensors import streams, user_code
from paramctl.tensors.initializing import kernels
from paramctl.tensors.initializing.blocks import Block, Fill, Stream, chunks_of, draw_blocks
from paramctl.tensors.initializing.defaults import Program, Write, run_program
from paramctl.tensors.initializing.init_functions import call_function

DEFAULT = InitRule(match=None, scheme=SCHEMES["default"], options={})


@dataclass(frozen=True, slots=True)
class Drawing:
    """How one tensor gets its values.

    Attributes:
        plan: the rules that reach it.
        tensor: the tensor: on the meta device, where it has no values yet, or anywhere else with values.
        program: what its layer writes by itself.
        untouched: the functions of the user's own that have left it as it was, by label; noted in drawing it.

    """

    plan: InitPlan
    tensor: torch.Tensor
    program: Program
    untouched: list[str] = field(default_factory=list)

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
        if values.numel() == 0 or not self.steps:
            return values
        if values.layout is not torch.strided:
            layout = str(values.layout).removeprefix("torch.")
            raise failure(f"{record.name} is {layout}, and schemes fill dense tensors", where=self.steps[0].where)
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
                        self.call(step, work)
            self._zero_padding(work.view(-1), 0)
        if work.data_ptr() != values.data_ptr():
            values.copy_(work)
        return values

    def call(self, step: InitRule, values: torch.Tensor) -> None:
        """Call a function of the user's own on the values.

        Raises:
            ParamctlError: if it fails, or does not change what it is given in place.

        """
        name = self.plan.target.record.name
        if not call_function(step, name, values, requires_grad=self.tensor.requires_grad):
            self.untouched.append(step.label)

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
