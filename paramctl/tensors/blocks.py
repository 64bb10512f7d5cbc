"""The values of a tensor block by block, in memory that is used again: bit for bit those of the whole tensor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import torch

from paramctl.rules import InitRule
from paramctl.schemes import Scheme
from paramctl.tensors import streams
from paramctl.tensors.initialize import DEFAULT, Drawing
from paramctl.tensors.kernels import ELEMENTWISE, Fill
from paramctl.tensors.statistics import BLOCK

_VECTOR = 16
"""torch draws normal values 16 at a time.

Blocks of a multiple of it, the last of it or more, have the bits of a tensor that is drawn at once.
"""

Block: TypeAlias = tuple[int, torch.Tensor]
"""The number of the first element, and the elements; they are overwritten by the next block."""


def is_blockwise(drawing: Drawing) -> bool:
    """Tell whether each element of a tensor is drawn for itself, so that blocks can be drawn in turn."""
    return (
        drawing.tensor.is_meta
        and drawing.tensor.numel() > 0
        and drawing.tensor.dtype.is_floating_point
        and drawing.plan.target.padding_row is None
        and all(_call_of(drawing, step) is not None for step in drawing.steps)
    )


def draw_blocks(drawing: Drawing, seed: int) -> Iterator[Block]:
    """Yield the values of a drawing that `is_blockwise`, in row-major order.

    Raises:
        ParamctlError: if its numbers overflow together.

    """
    record, dtype = drawing.plan.target.record, drawing.tensor.dtype
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    fills = [(step, fill, streams.generator(seed, record.name, i)) for i, (step, fill) in enumerate(_fills(drawing))]
    scratch = torch.empty(min(record.numel, BLOCK + _VECTOR), dtype=wide, device="cpu")
    narrow = scratch if dtype == wide else torch.empty_like(scratch, dtype=dtype)
    for start, size in _spans(record.numel):
        block, rounded = scratch[:size], narrow[:size]
        for step, fill, generator in fills:
            with drawing.explaining(step):
                fill(block, generator)
            if dtype != wide:
                rounded.copy_(block)
                block.copy_(rounded)
        yield start, rounded


def _fills(drawing: Drawing) -> Sequence[tuple[InitRule, Fill]]:
    made = []
    for step in drawing.steps:
        call = _call_of(drawing, step)
        assert call is not None, "the drawing is blockwise"
        scheme, options = call
        with drawing.explaining(step):
            made.append((step, ELEMENTWISE[scheme.name](drawing.facts(step), **options)))
    return made


def _call_of(drawing: Drawing, step: InitRule) -> tuple[Scheme, dict[str, object]] | None:
    """Return the elementwise scheme of a step with its options; None where the step is something else."""
    scheme, options = step.scheme, step.options
    if scheme is DEFAULT.scheme:
        if len(drawing.program) != 1 or drawing.program[0].view is not None:
            return None
        scheme, options = drawing.program[0].scheme, drawing.program[0].options
    if isinstance(scheme, Scheme) and scheme.name in ELEMENTWISE:
        return scheme, dict(options)
    return None


def _spans(numel: int) -> Iterator[tuple[int, int]]:
    """Yield the start and the size of every block."""
    start = 0
    while start < numel:
        left = numel - start
        size = left if left < BLOCK + _VECTOR else BLOCK
        yield start, size
        start += size
