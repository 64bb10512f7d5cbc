"""Values -> what stands for them, in one pass over blocks, so that equal tensors are found without a second look.

Equal means the same bits in the same logical order: a NaN equals a NaN of the same bits, and 0.0 differs from -0.0.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator
from hashlib import blake2b

import torch

from paramctl.tensors.statistics import BLOCK
from paramctl.tensors.threads import available_threads, one_thread_each

_SIZE = 32
"""Bytes of a digest: for two different tensors to have one, 2^128 would have to be compared."""


class Digest:
    """The digest of a tensor that comes block by block, and whether all its elements are equal."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=_SIZE)
        self._first: bytes | None = None
        self._is_constant = True

    def update(self, block: torch.Tensor) -> None:
        """Take the next elements, in logical order."""
        if block.numel() == 0:
            return
        held = block.detach().cpu().resolve_conj().resolve_neg().contiguous()
        memory = memoryview((ctypes.c_char * held.nbytes).from_address(held.data_ptr())).cast("B")
        self._hash.update(memory)
        if self._is_constant:
            if self._first is None:
                self._first = bytes(memory[: held.element_size()])
            self._is_constant = bytes(memory) == self._first * held.numel()

    def result(self) -> bytes | None:
        """Return what stands for the elements; None where all are equal."""
        return None if self._is_constant else self._hash.digest()


def digest(blocks: Iterable[torch.Tensor]) -> bytes | None:
    """Return what stands for the elements of a tensor, given in logical order; None where all are equal."""
    total = Digest()
    for block in blocks:
        total.update(block)
    return total.result()


def digests(named: Iterable[tuple[str, Iterable[torch.Tensor]]]) -> dict[str, bytes | None]:
    """Return the digest of each tensor, by name; each is read once, and no more than a block of it is held."""
    return {name: digest(blocks) for name, blocks in named}


def digests_in_memory(tensors: Iterable[tuple[str, torch.Tensor]]) -> dict[str, bytes | None]:
    """Return the digest of each tensor in memory, by name, on all cores.

    Args:
        tensors: dense tensors with values, on any device.

    """
    pairs = list(tensors)
    with one_thread_each(min(available_threads(), len(pairs) or 1)) as pool:
        found = pool.map(lambda pair: digest(blocks_of(pair[1])), pairs)
        return {name: each for (name, _), each in zip(pairs, found, strict=True)}


def blocks_of(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield the elements of a dense tensor in logical order; of what is not contiguous, a block is copied at a time."""
    tensor = tensor.detach()
    if tensor.is_contiguous():
        yield from torch.split(tensor.view(-1), BLOCK)
        return
    rows = BLOCK // max(tensor[0].numel(), 1)
    for part in torch.split(tensor, rows) if rows else tensor:
        yield from [part.reshape(-1)] if rows else blocks_of(part)
