"""Drawings -> what each gives, handed on block by block or one parameter at a time, on all cores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import TypeAlias

import torch

from paramctl.reports.init import InitializedParameter
from paramctl.tensors.blocks import draw_blocks, is_blockwise
from paramctl.tensors.initialize import Drawing, describe_initialized, describe_measured
from paramctl.tensors.statistics import BLOCK, Partial, measure_block
from paramctl.tensors.threads import available_threads, one_thread_each

Put: TypeAlias = Callable[[int, int, torch.Tensor], None]
"""Takes elements of a tensor of the model: its `id()`, the number of the first element, and the elements. It is called
from several threads, and the elements are overwritten once it returns."""


def produce(
    drawings: Sequence[Drawing], seed: int, put: Put, *, threads: int | None = None, with_values: bool = False
) -> list[InitializedParameter]:
    """Draw and measure every parameter.

    Neither values nor statistics depend on the number of threads.

    Args:
        drawings: how each parameter gets its values.
        seed: the seed.
        put: takes the values.
        threads: how many threads draw blocks; None for as many as there are cores for this process.
        with_values: whether the reports hold the elements; then every parameter is drawn whole, and kept.

    Raises:
        ParamctlError: if a rule cannot be followed, or the values cannot be put.

    """
    in_blocks = set() if with_values else {i for i, drawing in enumerate(drawings) if is_blockwise(drawing)}
    rows: dict[int, InitializedParameter] = {}
    with one_thread_each(min(threads or available_threads(), max(len(in_blocks), 1))) as pool:
        pending = {i: pool.submit(_in_blocks, drawings[i], seed, put) for i in sorted(in_blocks)}
        for i, drawing in enumerate(drawings):
            if i not in pending:
                values = drawing.draw(seed)
                put(id(drawing.tensor), 0, values)
                rows[i] = describe_initialized(drawing, values, with_values=with_values)
        rows |= {i: future.result() for i, future in pending.items()}
    return [rows[i] for i in range(len(drawings))]


def _in_blocks(drawing: Drawing, seed: int, put: Put) -> InitializedParameter:
    total = Partial()
    for start, block in draw_blocks(drawing, seed):
        put(id(drawing.tensor), start, block)
        total = reduce(Partial.merged, map(measure_block, torch.split(block, BLOCK)), total)
    return describe_measured(drawing, total.statistics())
