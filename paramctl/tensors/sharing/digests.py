"""Values -> what stands for them, in one pass over blocks, so that equal tensors are found without a second look.

Equal means the same bits in the same logical order: a NaN equals a NaN of the same bits, and 0.0 differs from -0.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Final

import torch

from paramctl.tensors.scratch import memory_of
from paramctl.tensors.threads import available_threads, in_order, one_thread_each

BLOCK: Final = 2**16
"""Elements that are hashed at once: what is copied of a tensor that is not contiguous."""
_SIZE: Final = 32
"""Bytes of a digest: for two different tensors to have one, 2^128 would have to be compared."""


def digest(blocks: Iterable[torch.Tensor]) -> bytes | None:
    """Return what stands for the elements of a tensor; None where all of them are equal.

    Args:
        blocks: the elements in logical order; each block is read before the next one is asked for.

    """
    total = blake2b(digest_size=_SIZE)
    first: bytes | None = None
    is_constant = True
    for block in blocks:
        held = block.detach().cpu().resolve_conj().resolve_neg().contiguous()
        if held.numel() == 0:
            continue
        memory = memory_of(held)
        total.update(memory)
        if is_constant:
            first = first or bytes(memory[: held.element_size()])
            is_constant = bytes(memory) == first * held.numel()
    return None if is_constant else total.digest()


def digests_of(named: Iterable[tuple[str, Iterable[torch.Tensor]]]) -> dict[str, bytes | None]:
    """Return the digest of each tensor by name, on all cores.

    Args:
        named: the blocks of each tensor in logical order. Several tensors are read at the same time, each once and by
            one thread, and no more than a block of each is held here.

    """
    with one_thread_each(available_threads()) as pool:
        return dict(in_order(pool, lambda pair: (pair[0], digest(pair[1])), named))


def blocks_of(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield the elements of a dense tensor in logical order; of what is not contiguous, a block is copied at a time."""
    tensor = tensor.detach()
    if tensor.is_contiguous():
        yield from torch.split(tensor.view(-1), BLOCK)
        return
    rows = BLOCK // max(tensor[0].numel(), 1)
    for part in torch.split(tensor, rows) if rows else tensor:
        yield from [part.reshape(-1)] if rows else blocks_of(part)
