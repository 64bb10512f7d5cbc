"""Drawings -> what each gives, handed on block by block or one parameter at a time, on all cores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from threading import Event
from typing import Final, TypeAlias

import torch

from paramctl.reports.init import InitializedParameter
from paramctl.tensors.collect import bytes_of
from paramctl.tensors.initializing.blocks import chunks_of, precision_of
from paramctl.tensors.initializing.drawing import Drawing
from paramctl.tensors.initializing.targets import describe_measured
from paramctl.tensors.memory import available_bytes
from paramctl.tensors.scratch import Scratch
from paramctl.tensors.statistics import Partial, measure, measure_block, merged
from paramctl.tensors.storages import find_meeting
from paramctl.tensors.threads import Budget, available_threads, in_order, one_thread_each
from paramctl.tensors.values import TensorValues
from paramctl.watching import Advance

Put: TypeAlias = Callable[[int, int, torch.Tensor], None]
"""Takes elements of a tensor of the model: its `id()`, the number of the first element, and the elements. It is called
from several threads, and the elements are overwritten once it returns."""


_TEMPORARIES: Final = 3
"""The memory that `orthogonal` takes beside the tensor that it fills, in tensors; measured."""
_WHOLE_AT_ONCE: Final = 2**28
"""The bytes for each thread within which whole parameters are drawn at the same time; a larger one is drawn alone."""


def produce(
    drawings: Sequence[Drawing],
    seed: int,
    put: Put,
    *,
    threads: int | None = None,
    with_values: bool = False,
    hist: bool = False,
) -> list[InitializedParameter]:
    """Draw and measure every parameter.

    Neither values nor statistics depend on the number of threads.

    Args:
        drawings: how each parameter gets its values.
        seed: the seed.
        put: takes the values.
        threads: how many threads draw and measure; None for as many as there are cores for this process.
        with_values: whether the reports hold the elements; then every parameter is drawn whole, and kept.
        hist: whether their statistics have histograms.

    Raises:
        ParamctlError: if a rule cannot be followed, or the values cannot be put.

    """
    workers = threads or available_threads()
    producer = _Producer(seed, put, with_values, hist, Budget(_at_once(workers)))
    meeting = find_meeting({id(each.tensor): each.tensor for each in drawings if not each.tensor.is_meta})
    numbers: dict[str, list[int]] = {"together": [], "alone": [], "whole": [], "blockwise": []}
    for i, drawing in enumerate(drawings):
        way = "together" if id(drawing.tensor) in meeting else _way(drawing, with_values=with_values)
        numbers[way].append(i)
    # What lies in the memory of another parameter has its values once the last of them is drawn.
    together = [(i, drawings[i].draw(seed)) for i in numbers["together"]]
    rows = {i: producer.take(drawings[i], values, workers) for i, values in together}
    rows |= {i: producer.alone(drawings[i], workers) for i in numbers["alone"]}
    with one_thread_each(workers) as pool:
        try:
            whole = in_order(pool, producer.whole, (drawings[i] for i in numbers["whole"]))
            rows |= zip(numbers["whole"], whole, strict=True)
            chunks = ((i, chunk) for i in numbers["blockwise"] for chunk in chunks_of(drawings[i].tensor.numel()))
            partials = in_order(pool, lambda task: (task[0], producer.chunk(drawings[task[0]], task[1])), chunks)
            for i, each in groupby(partials, key=itemgetter(0)):
                total = merged(partial for _, several in each for partial in several)
                rows[i] = describe_measured(drawings[i], total.statistics())
        except BaseException:
            producer.stop.set()  # an interrupt does not wait for what is being drawn
            raise
    return [rows[i] for i in range(len(drawings))]


def _at_once(workers: int) -> int:
    """Return the bytes within which whole parameters are drawn at the same time: half of what is left, at most."""
    available, enough = available_bytes(), workers * _WHOLE_AT_ONCE
    return enough if available is None else min(enough, available // 2)


def _way(drawing: Drawing, *, with_values: bool) -> str:
    """Return how a parameter is drawn: alone, whole beside others, or blockwise beside others."""
    if not drawing.is_concurrent:
        return "alone"
    return "blockwise" if drawing.tensor.is_meta and drawing.is_blockwise and not with_values else "whole"


@dataclass(frozen=True, slots=True)
class _Producer:
    seed: int
    put: Put
    with_values: bool
    hist: bool
    budget: Budget
    stop: Event = field(default_factory=Event)

    def alone(self, drawing: Drawing, threads: int) -> InitializedParameter:
        return self.take(drawing, drawing.draw(self.seed), threads)

    def take(self, drawing: Drawing, values: torch.Tensor, threads: int) -> InitializedParameter:
        self.put(id(drawing.tensor), 0, values)
        stats = measure(values, threads=threads, hist=self.hist)
        kept = None
        if self.with_values:
            # What was there before is the model's, which may write to it.
            kept = TensorValues(values) if drawing.tensor.is_meta else TensorValues.copied(values)
        return describe_measured(drawing, stats, kept)

    def whole(self, drawing: Drawing) -> InitializedParameter:
        with self.budget.holding(_bytes_made(drawing) + _bytes_beside(drawing)):
            return self.alone(drawing, 1)

    def chunk(self, drawing: Drawing, chunk: int) -> list[Partial]:
        partials: list[Partial] = []
        scratch = Scratch()
        for start, block in drawing.draw_chunk(self.seed, chunk):
            if self.stop.is_set():
                break
            self.put(id(drawing.tensor), start, block)
            partials.append(measure_block(block, scratch, hist=self.hist))
        return partials


def drop(_: int, __: int, ___: torch.Tensor) -> None:
    """Take values that nobody asked to keep."""


def watched(put: Put, advance: Advance) -> Put:
    """Return what puts elements and tells how many bytes they are."""

    def put_and_advance(key: int, start: int, elements: torch.Tensor) -> None:
        put(key, start, elements)
        advance(bytes_of(elements))

    return put_and_advance


def bytes_needed(drawings: Iterable[Drawing], *, kept: int = 0) -> int:
    """Return the memory that drawing takes, one after the other, where so many bytes of values are kept.

    Blocks count nothing, and neither does what has values, which is changed in place.
    """
    drawn = (_bytes_beside(each) + (0 if kept else _bytes_made(each)) for each in drawings if not each.is_blockwise)
    return kept + max(drawn, default=0)


def _bytes_made(drawing: Drawing) -> int:
    return bytes_of(drawing.tensor) if drawing.tensor.is_meta else 0


def _bytes_beside(drawing: Drawing) -> int:
    """Return what drawing takes beside the tensor: temporaries of some schemes, and float32 for what is smaller."""
    if drawing.is_blockwise:
        return 0
    wide = drawing.tensor.numel() * precision_of(drawing.tensor.dtype).itemsize
    temporaries = _TEMPORARIES if any(step.label == "orthogonal" for step in drawing.steps) else 0
    return (wide if wide > bytes_of(drawing.tensor) else 0) + temporaries * wide
