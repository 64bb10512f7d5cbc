"""Drawings -> what each gives, handed on block by block or one parameter at a time, on all cores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from threading import Event
from typing import Final, TypeAlias

import torch

from paramctl.reports.init import InitializedParameter
from paramctl.tensors.blocks import draw_blocks, is_blockwise
from paramctl.tensors.collect import bytes_of
from paramctl.tensors.initialize import Drawing, describe_measured
from paramctl.tensors.materialize import float32_bytes
from paramctl.tensors.statistics import BLOCK, Partial, measure, measure_block
from paramctl.tensors.threads import available_threads, one_thread_each
from paramctl.tensors.values import TensorValues

Put: TypeAlias = Callable[[int, int, torch.Tensor], None]
"""Takes elements of a tensor of the model: its `id()`, the number of the first element, and the elements. It is called
from several threads, and the elements are overwritten once it returns."""


_WITH_TEMPORARIES: Final = frozenset({"trunc_normal", "orthogonal"})
_TEMPORARIES: Final = 3
"""The schemes that take several times the memory of the tensor that they fill, and how many times; measured."""


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
        threads: how many threads draw and measure blocks; None for as many as there are cores for this process.
        with_values: whether the reports hold the elements; then every parameter is drawn whole, and kept.
        hist: whether their statistics have histograms.

    Raises:
        ParamctlError: if a rule cannot be followed, or the values cannot be put.

    """
    in_blocks = set() if with_values else {i for i, drawing in enumerate(drawings) if is_blockwise(drawing)}
    rows: dict[int, InitializedParameter] = {}
    for i, drawing in enumerate(drawings):
        if i not in in_blocks:
            values = drawing.draw(seed)
            put(id(drawing.tensor), 0, values)
            stats = measure(values, threads=threads, hist=hist)
            rows[i] = describe_measured(drawing, stats, TensorValues(values) if with_values else None)
    if in_blocks:
        blockwise = {i: drawings[i] for i in sorted(in_blocks)}
        rows |= _all_in_blocks(blockwise, seed, put, threads or available_threads(), hist=hist)
    return [rows[i] for i in range(len(drawings))]


def _all_in_blocks(
    drawings: Mapping[int, Drawing], seed: int, put: Put, threads: int, *, hist: bool
) -> dict[int, InitializedParameter]:
    stop = Event()
    with one_thread_each(min(threads, len(drawings))) as pool:
        pending = {i: pool.submit(_in_blocks, drawing, seed, put, stop, hist=hist) for i, drawing in drawings.items()}
        try:
            return {i: future.result() for i, future in pending.items()}
        except BaseException:
            stop.set()  # an interrupt does not wait for the parameters that are being drawn
            raise


def _in_blocks(drawing: Drawing, seed: int, put: Put, stop: Event, *, hist: bool) -> InitializedParameter:
    total = Partial()
    for start, block in draw_blocks(drawing, seed):
        if stop.is_set():
            break
        put(id(drawing.tensor), start, block)
        measured = (measure_block(part, hist=hist) for part in torch.split(block, BLOCK))
        total = reduce(Partial.merged, measured, total)
    return describe_measured(drawing, total.statistics())


def drop(_: int, __: int, ___: torch.Tensor) -> None:
    """Take values that nobody asked to keep."""


def bytes_needed(drawings: Sequence[Drawing], *, copies: int) -> int:
    """Return the memory that producing takes, where so many copies of all values are kept; blocks count nothing."""
    whole = [drawing for drawing in drawings if copies or not is_blockwise(drawing)]
    kept = copies * sum(bytes_of(drawing.tensor) for drawing in drawings)
    drawn = (_working_bytes(drawing) + (0 if copies else bytes_of(drawing.tensor)) for drawing in whole)
    return kept + max(drawn, default=0)


def _working_bytes(drawing: Drawing) -> int:
    """Return what drawing takes beside the tensor: temporaries of some schemes, and float32 for what is smaller."""
    narrow = float32_bytes(drawing.tensor)
    if _WITH_TEMPORARIES.isdisjoint(step.label for step in drawing.steps):
        return narrow
    return narrow + _TEMPORARIES * (narrow or bytes_of(drawing.tensor))
