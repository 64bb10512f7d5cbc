"""Memory that a thread works in, used again for the next block: fresh memory takes longer to get than to fill."""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Scratch:
    """Vectors for one thread at a time, by what they are for and their dtype."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, torch.dtype], torch.Tensor] = {}

    def vector(self, purpose: str, length: int, dtype: torch.dtype) -> torch.Tensor:
        """Return a vector on the CPU with any values; it is overwritten once it is asked for again."""
        held = self._held.get((purpose, dtype))
        if held is None or held.numel() < length:
            held = self._held[purpose, dtype] = torch.empty(length, dtype=dtype, device="cpu")
        return held if held.numel() == length else held[:length]


def memory_of(elements: torch.Tensor) -> memoryview:
    """Return the bytes of a contiguous tensor on the CPU, to be read from a file or written to one."""
    if elements.nbytes == 0:
        return memoryview(b"")
    return memoryview((ctypes.c_char * elements.nbytes).from_address(elements.data_ptr())).cast("B")


class ScratchPool:
    """As many scratch vectors as threads use at the same time."""

    def __init__(self) -> None:
        self._free: deque[Scratch] = deque()

    @contextmanager
    def lend(self) -> Iterator[Scratch]:
        """Give what no other thread has, inside the block."""
        try:
            scratch = self._free.pop()
        except IndexError:
            scratch = Scratch()
        try:
            yield scratch
        finally:
            self._free.append(scratch)
