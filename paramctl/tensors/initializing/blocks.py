"""A tensor in chunks, each drawn from a stream of its own, and in blocks that fit a core's cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

import torch

CHUNK: Final = 2**22
"""Elements that one stream draws.

So many or fewer have the bits of torch's own function under that stream; what is larger is drawn on several cores, and
any part of it without the rest.
"""
BLOCK: Final = 2**18
"""Elements of a block: so few that it stays in cache between drawing, measuring and writing."""
_VECTOR: Final = 16
"""torch draws normal values 16 at a time.

Blocks of a multiple of it, the last of it or more, have the bits of a chunk that is drawn at once.
"""

Fill: TypeAlias = Callable[[torch.Tensor, torch.Generator], object]
"""Fills or changes a run of elements in place."""
Stream: TypeAlias = Callable[..., torch.Generator]
"""Makes the generator of a chunk, by its number."""
Block: TypeAlias = tuple[int, torch.Tensor]
"""The number of the first element, and the elements; the next block may overwrite them."""


def chunks_of(numel: int) -> range:
    """Return the numbers of the chunks of a tensor."""
    return range(-(-numel // CHUNK))


def precision_of(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype that values are made in, and rounded from once: float32 for a floating dtype that is smaller."""
    return torch.float32 if dtype.is_floating_point and dtype != torch.float64 else dtype


def draw_blocks(tensor: torch.Tensor, fills: Sequence[tuple[Fill, Stream]], chunk: int) -> Iterator[Block]:
    """Fill a chunk of a tensor and yield its blocks, in row-major order.

    Args:
        tensor: a contiguous tensor on the CPU, changed in place; or one on meta, for which memory is used again.
        fills: what is done to every block, in order, with the stream of each.
        chunk: the number of the chunk.

    """
    wide = precision_of(tensor.dtype)
    runs = list(spans(chunk * CHUNK, min((chunk + 1) * CHUNK, tensor.numel()), BLOCK))
    longest = max(stop - start for start, stop in runs)
    memory = torch.empty(longest, dtype=tensor.dtype, device="cpu") if tensor.is_meta else tensor.view(-1)
    scratch = None if tensor.dtype == wide else torch.empty(longest, dtype=wide, device="cpu")
    generators = [(fill, stream(chunk)) for fill, stream in fills]
    for start, stop in runs:
        block = memory[: stop - start] if tensor.is_meta else memory[start:stop]
        work = block if scratch is None else scratch[: stop - start]
        for fill, generator in generators:
            if scratch is not None:
                work.copy_(block)
            fill(work, generator)
            if scratch is not None:
                block.copy_(work)
        yield start, block


def fill_blocks(tensor: torch.Tensor, fills: Sequence[tuple[Fill, Stream]]) -> None:
    """Fill a contiguous tensor on the CPU, block by block."""
    for chunk in chunks_of(tensor.numel()):
        for _ in draw_blocks(tensor, fills, chunk):
            pass


def spans(start: int, stop: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield where every run of so many elements starts and stops; the last may be a little longer."""
    while start < stop:
        end = stop if stop - start < size + _VECTOR else start + size
        yield start, end
        start = end
