"""Random streams that are addressed by a seed and a name, so that no draw depends on the draws before it.

A generator's whole state is set, all 624 words of its Mersenne Twister: a seed would keep only 32 bits, and among a
million parameters two would share a stream.
"""

from __future__ import annotations

import hashlib
import operator
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

_WORDS = 624
_FIRST_WORD = 24
"""Where the words begin in torch's serialised state, each in 8 bytes, behind the seed and the position."""


def generator(seed: int, *address: str | int) -> torch.Generator:
    """Return the CPU generator of one stream; equal arguments give equal draws, others independent ones."""
    stream = torch.Generator()
    stream.set_state(_state(seed, address))
    return stream


@contextmanager
def global_stream(seed: int, *address: str | int) -> Iterator[None]:
    """Put the global generators of torch, Python and NumPy (if it is loaded) at the start of a stream for a while."""
    with _restored_generators():
        torch.set_rng_state(_state(seed, address))
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch leaves it untyped
            torch.cuda.manual_seed_all(int.from_bytes(_digest(seed, address, 8)) >> 1)
        random.seed(_digest(seed, address))
        numpy = sys.modules.get("numpy")
        if numpy:
            numpy.random.seed(list(_digest(seed, address)))
        yield


@contextmanager
def manual_seed(seed: int) -> Iterator[Callable[[], None]]:
    """Seed the global generators for a while, as a script does that begins with `torch.manual_seed(seed)`.

    Yields:
        What seeds them once more.

    """

    def reseed() -> None:
        torch.manual_seed(seed)
        random.seed(seed)
        numpy = sys.modules.get("numpy")
        if numpy:
            numpy.random.seed(seed % 2**32)

    with _restored_generators():
        reseed()
        yield reseed


@contextmanager
def _restored_generators() -> Iterator[None]:
    numpy = sys.modules.get("numpy")
    torch_before, python_before = torch.get_rng_state(), random.getstate()
    numpy_before = numpy.random.get_state() if numpy else None
    cuda_before = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]  # torch leaves it untyped
    try:
        yield
    finally:
        torch.set_rng_state(torch_before)
        if cuda_before:
            torch.cuda.set_rng_state_all(cuda_before)
        random.setstate(python_before)
        if numpy:
            numpy.random.set_state(numpy_before)


def _digest(seed: int, address: tuple[str | int, ...], size: int = 32) -> bytes:
    return hashlib.shake_128(repr((int(operator.index(seed)), *address)).encode(errors="surrogatepass")).digest(size)


def _state(seed: int, address: tuple[str | int, ...]) -> torch.Tensor:
    digest = bytearray(_digest(seed, address, 4 * _WORDS))
    words = torch.frombuffer(digest, dtype=torch.uint32).to(torch.int64)
    state = torch.Generator().manual_seed(0).get_state()
    state[_FIRST_WORD : _FIRST_WORD + 8 * _WORDS] = words.view(torch.uint8)
    return state
