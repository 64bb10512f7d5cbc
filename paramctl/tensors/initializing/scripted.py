"""The values of a script, to the bit: torch's one generator over a model's constructors, then over its parameters.

torch.manual_seed(seed)
net = build()
torch.manual_seed(seed)
for name, parameter in net.named_parameters():
scheme_(parameter)
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from queue import SimpleQueue
from typing import Final, NamedTuple

import torch
from torch import nn

from paramctl.errors import ParamctlError
from paramctl.reports.init import InitializedParameter
from paramctl.rules import InitRule
from paramctl.scheme_declaration import Scheme
from paramctl.tensors import streams
from paramctl.tensors.collect import bytes_of
from paramctl.tensors.initializing.blocks import BLOCK, spans
from paramctl.tensors.initializing.defaults import run_program
from paramctl.tensors.initializing.drawing import DEFAULT, Drawing
from paramctl.tensors.initializing.kernels import ELEMENTWISE
from paramctl.tensors.initializing.producing import Put
from paramctl.tensors.initializing.targets import describe_measured
from paramctl.tensors.memory import ensure_fits
from paramctl.tensors.scratch import Scratch, ScratchPool
from paramctl.tensors.statistics import Partial, measure_block, merged
from paramctl.tensors.storages import find_meeting
from paramctl.tensors.threads import available_threads, in_order, one_thread, one_thread_each
from paramctl.tensors.values import TensorValues

_TEMPORARIES: Final = 4
"""The memory that torch's functions for whole tensors take, in tensors; measured."""
_NO_KERNEL: Final = re.compile(r"not implemented for '(\w+)'")
_RUN: Final = BLOCK
"""Elements that are handed from the thread that draws to those that measure and write."""


def build_as_script(
    build: Callable[[Container[str]], nn.Module] | None, drawings: Sequence[Drawing], *, users_code: bool
) -> nn.Module | None:
    """Build the model as a script does, with the values of its constructors where a rule does not overwrite them.

    Args:
        build: builds it; None where it was built like that in the first place.
        drawings: how its parameters get their values.
        users_code: whether its constructors are the user's own, and may draw what no parameter shows.

    Returns:
        The model, of which what is overwritten is on the meta device; None where no value depends on how it was built,
        or where it was built like that in the first place.

    Raises:
        ParamctlError: if a constructor fails, or the values that are kept do not fit in memory.

    """
    kept = [drawing for drawing in drawings if not drawing.plan.overwrites]
    if build is None or (not users_code and all(map(_is_constant, kept))):
        return None
    ensure_fits(sum(bytes_of(drawing.tensor) for drawing in kept), "the values that no rule overwrites")
    overwritten = {name for drawing in drawings if drawing.plan.overwrites for name in drawing.plan.target.record.names}
    with _naming_dtypes():
        return build(overwritten)


def with_padding(drawing: Drawing) -> Drawing:
    """Return a drawing that leaves a padding row as torch's functions do, which know of none."""
    plan = drawing.plan
    return replace(drawing, plan=replace(plan, target=replace(plan.target, padding_row=None)))


def bytes_of_script(drawings: Sequence[Drawing], *, copies: int) -> int:
    """Return the memory that drawing takes, where so many copies of all values are kept; runs count nothing."""
    kept = copies * sum(bytes_of(drawing.tensor) for drawing in drawings)
    whole = (drawing for drawing in drawings if not all(map(_in_runs, drawing.steps)))
    return kept + max((_TEMPORARIES * bytes_of(drawing.tensor) for drawing in whole), default=0)


def _is_constant(drawing: Drawing) -> bool:
    """Tell whether a layer writes the same values into a parameter whatever the seed."""
    writes_nothing_random = all(write.scheme.name in {"constant", "ones", "zeros"} for write in drawing.program)
    return drawing.tensor.is_meta and bool(drawing.program) and writes_nothing_random


def produce_as_script(
    drawings: Sequence[Drawing],
    tensors: Sequence[torch.Tensor],
    seed: int,
    put: Put,
    *,
    threads: int | None = None,
    with_values: bool = False,
    hist: bool = False,
) -> list[InitializedParameter]:
    """Draw and measure every parameter as a script does: one thread draws, the others measure and write.

    Args:
        drawings: how each parameter gets its values; padding rows are nobody's.
        tensors: each parameter of the script's model, on meta where its values are drawn.
        seed: the seed.
        put: takes the values, under the `id()` of the drawing's tensor.
        threads: how many threads there are, at most; None for as many as there are cores for this process.
        with_values: whether the reports hold the elements; then they are kept.
        hist: whether their statistics have histograms.

    Raises:
        ParamctlError: if a rule cannot be followed, or the values cannot be put.

    """
    workers = (threads or available_threads()) - 1
    script = _Script(seed, put, with_values, hist, free=_memory(2 * workers + 2))
    runs = script.runs(drawings, tensors)
    with _naming_dtypes():
        if workers == 0:
            with one_thread():
                return script.rows(drawings, map(script.take, runs))
        with one_thread_each(workers) as pool:
            return script.rows(drawings, in_order(pool, script.take, runs))


@contextmanager
def _naming_dtypes() -> Iterator[None]:
    """Say it in our words where torch, and so a script, cannot draw in a dtype."""
    try:
        yield
    except ParamctlError as error:
        told = _NO_KERNEL.search(str(error.__cause__))
        if told is None:
            raise
        hint = "without --rng torch it is drawn in float32, and rounded"
        whats = (each.message.partition(f": {type(error.__cause__).__name__}")[0] for each in error.problems)
        raise ParamctlError(
            *(
                replace(each, message=f"{what}: torch draws nothing in {told[1].lower()}", hint=hint)
                for each, what in zip(error.problems, whats, strict=True)
            )
        ) from error


def _memory(count: int) -> SimpleQueue[torch.Tensor]:
    """Return so many pieces of memory, each for the longest run of any dtype."""
    free: SimpleQueue[torch.Tensor] = SimpleQueue()
    for _ in range(count):
        free.put(torch.empty(2 * _RUN, dtype=torch.complex128, device="cpu"))
    return free


class _Run(NamedTuple):
    """Elements of a parameter, the first of the number `start`, in a piece of memory that is used again."""

    drawing: int
    key: int
    start: int
    elements: torch.Tensor
    memory: torch.Tensor


def _in_runs(step: InitRule) -> bool:
    """Tell whether torch's own function has the same bits when it fills one run after the other."""
    return isinstance(step.scheme, Scheme) and step.label in ELEMENTWISE.keys() - {"trunc_normal"}


def _is_drawn_in_runs(drawing: Drawing, tensor: torch.Tensor) -> bool:
    """Tell whether a parameter is: one that lies in memory otherwise is drawn in the order of its memory."""
    return tensor.is_contiguous() and drawing.is_blockwise and all(map(_in_runs, drawing.steps))


@dataclass(frozen=True, slots=True)
class _Script:
    """A script that runs: its generator is where the parameters before have left it."""

    seed: int
    put: Put
    with_values: bool
    hist: bool
    free: SimpleQueue[torch.Tensor]
    scratches: ScratchPool = field(default_factory=ScratchPool)
    values: dict[int, TensorValues] = field(default_factory=dict)
    generator: torch.Generator = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "generator", torch.Generator().manual_seed(self.seed))

    def runs(self, drawings: Sequence[Drawing], tensors: Sequence[torch.Tensor]) -> Iterator[_Run]:
        """Draw every parameter; what lies in the memory of another one has its values once the last is drawn."""
        meeting = find_meeting({id(tensor): tensor for tensor in tensors if not tensor.is_meta})
        drawn: list[tuple[int, Drawing, torch.Tensor, torch.Tensor | None]] = []
        for i, (drawing, tensor) in enumerate(zip(drawings, tensors, strict=True)):
            whole = None
            if self.with_values or not (tensor.is_meta and _is_drawn_in_runs(drawing, tensor)):
                whole = self.whole(drawing, tensor)
                if self.with_values:
                    self.values[i] = TensorValues(whole)
            if id(tensor) in meeting:
                drawn.append((i, drawing, tensor, whole))
            else:
                yield from self.runs_of(i, drawing, tensor, whole)
        for each in drawn:
            yield from self.runs_of(*each)

    def runs_of(self, i: int, drawing: Drawing, tensor: torch.Tensor, whole: torch.Tensor | None) -> Iterator[_Run]:
        """Yield a parameter in runs, which are drawn as they come where it is not drawn whole."""
        fills = drawing.fills() if whole is None else []
        flat = None if whole is None else whole.reshape(-1)
        for start, stop in spans(0, tensor.numel(), _RUN):
            memory = self.free.get()
            elements = memory.view(tensor.dtype)[: stop - start]
            if flat is not None:
                elements.copy_(flat[start:stop])
            for fill in fills:
                fill(elements, self.generator)
            yield _Run(i, id(drawing.tensor), start, elements, memory)

    def whole(self, drawing: Drawing, tensor: torch.Tensor) -> torch.Tensor:
        """Draw a parameter at once, laid out in memory as it is; what a constructor has made is changed in place."""
        values = tensor.detach()
        if tensor.is_meta:
            values = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cpu")
            if drawing.plan.target.unwritten:
                values.zero_()
        if values.numel() == 0:
            return values
        for i, step in enumerate(drawing.steps if tensor.is_meta else drawing.plan.steps):
            with drawing.explaining(step):
                self.apply(drawing, step, i, values, made=not tensor.is_meta)
        return values

    def apply(self, drawing: Drawing, step: InitRule, number: int, values: torch.Tensor, *, made: bool) -> None:
        """Do what the script's line does to a parameter; `made` says whether its constructor gave it values."""
        name = drawing.plan.target.record.name
        if step.scheme is DEFAULT.scheme:
            if not made:
                run_program(drawing.program, values, lambda *_: self.generator)
            return
        if _in_runs(step):
            drawing.fill_of(step)(values, self.generator)
            return
        with self.in_torchs_place(name, number), one_thread(), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the report's expected moments state what torch warns of
            if isinstance(step.scheme, Scheme):
                getattr(nn.init, f"{step.scheme.name}_")(values, **step.options)
            else:
                drawing.call(step, values)

    @contextmanager
    def in_torchs_place(self, name: str, number: int) -> Iterator[None]:
        """Let the script's generator be torch's global one for a while; Python's and NumPy's have streams of theirs."""
        with streams.global_stream(self.seed, name, number):
            torch.set_rng_state(self.generator.get_state())
            yield
            self.generator.set_state(torch.get_rng_state())

    def take(self, run: _Run) -> tuple[int, Partial]:
        """Put and measure a run, and let its memory be used again."""
        try:
            self.put(run.key, run.start, run.elements)
            with self.scratches.lend() as scratch:
                return run.drawing, measure_block(run.elements, scratch, hist=self.hist)
        finally:
            self.free.put(run.memory)

    def rows(self, drawings: Sequence[Drawing], taken: Iterator[tuple[int, Partial]]) -> list[InitializedParameter]:
        """Merge what was measured of each parameter."""
        nothing = measure_block(torch.empty(0, device="cpu"), Scratch(), hist=self.hist)
        partials = {i: merged(part for _, part in group) for i, group in groupby(taken, key=itemgetter(0))}
        return [
            describe_measured(drawing, partials.get(i, nothing).statistics(), self.values.get(i))
            for i, drawing in enumerate(drawings)
        ]
