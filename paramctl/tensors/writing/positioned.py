"""Bytes -> their places in a file: large ones past the page cache, beside the work that makes the next ones."""

from __future__ import annotations

import errno
import mmap
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, TypeAlias

import torch

from paramctl.tensors.scratch import memory_of
from paramctl.tensors.threads import available_threads

WriteAt: TypeAlias = Callable[[torch.Tensor, int], None]
"""Writes a vector of bytes to the place in the file where its first one belongs. Threads may call it."""

_ALIGNMENT: Final = 4096
"""What a place, a length and an address must be multiples of to pass the page cache by; no disk has larger blocks."""
_PIECE: Final = 2**20
"""Bytes that are written at once: so many that a call costs nothing, so few that they are still in a core's cache."""
_IN_FLIGHT: Final = 8
"""How many pieces may wait for the disk; what comes while so many do goes through the cache."""
_BEGUN: Final = 1024
"""How many pages that are not yet full may wait for the rest of them."""
_LARGE: Final = 2**26
"""Bytes of a file from which on it is written past the cache. A smaller one is there sooner than the disk has it."""


@contextmanager
def writing_at(path: Path, size: int) -> Iterator[WriteAt]:
    """Open a file that is there, reserve its disk, and give what writes to it; all is written once the block ends.

    What passes the page cache pushes out of memory nothing that others read, and is on the disk at the end. It needs a
    system and a file system that take it; where they do not, the file is written as any other. So is what comes faster
    than the disk takes it.

    Args:
        path: the file.
        size: its bytes.

    Raises:
        OSError: if the file cannot be written.

    """
    with path.open("r+b") as file:
        _reserve(file.fileno(), size)
        direct = _open_direct(path) if size >= _LARGE else None
        if direct is None:
            yield lambda elements, offset: _write(file.fileno(), memory_of(elements), offset)
            return
        with os.fdopen(direct, "wb", buffering=0), _DirectWriter(file.fileno(), direct).all_written() as write:
            yield write


class _DirectWriter:
    """Writes whole pages past the cache, in threads of its own, and what is left of a page as any other file.

    Runs that follow one another are written as one: a page that a run ends in waits for the next run. Two writes of the
    parts of a page, at every such place, take a fifth of the time that the whole file does.
    """

    def __init__(self, cached: int, direct: int) -> None:
        self._cached = cached
        self._direct = direct
        self._pool = ThreadPoolExecutor(available_threads(), thread_name_prefix="paramctl-write")
        self._free: SimpleQueue[mmap.mmap | None] = SimpleQueue()
        for _ in range(_IN_FLIGHT):
            self._free.put(None)
        self._begun: OrderedDict[int, bytes] = OrderedDict()
        self._failed: BaseException | None = None

    @contextmanager
    def all_written(self) -> Iterator[WriteAt]:
        try:
            yield self.write
        except BaseException:
            self._pool.shutdown(cancel_futures=True)
            raise
        while self._begun:
            self._write_begun()
        self._pool.shutdown()
        self._raise_failed()

    def write(self, elements: torch.Tensor, offset: int) -> None:
        for start in range(0, elements.numel(), _PIECE):
            self._raise_failed()
            self._write_piece(elements[start : start + _PIECE], offset + start)

    def _write_piece(self, piece: torch.Tensor, offset: int) -> None:
        begun = self._begun.pop(offset, b"")
        if not begun:
            piece, offset = self._write_to_page(piece, offset)
        first, end = offset - len(begun), offset + piece.numel()
        last = end // _ALIGNMENT * _ALIGNMENT
        if first < last:
            try:
                buffer = self._free.get_nowait() or mmap.mmap(-1, _PIECE)
            except Empty:  # the disk is slower than the values come: let the cache take some of them
                _write(self._cached, begun, first)
                _write(self._cached, memory_of(piece), offset)
                return
            buffer[: len(begun)] = begun
            whole, piece, begun = piece[: last - offset], piece[last - offset :], b""
            memory = torch.frombuffer(buffer, dtype=torch.uint8, offset=offset - first, count=whole.numel())
            memory.copy_(whole)
            self._pool.submit(self._write_pages, buffer, last - first, first).add_done_callback(self._note_failure)
        self._begin_page(begun + bytes(memory_of(piece)), end)

    def _write_to_page(self, piece: torch.Tensor, offset: int) -> tuple[torch.Tensor, int]:
        """Write what lies in a page that begins before it; return what is left, and its place."""
        length = min(-offset % _ALIGNMENT, piece.numel())
        _write(self._cached, memory_of(piece[:length]), offset)
        return piece[length:], offset + length

    def _begin_page(self, begun: bytes, end: int) -> None:
        """Keep the first bytes of a page until what comes after them does."""
        if begun:
            self._begun[end] = begun
        while len(self._begun) > _BEGUN:
            self._write_begun()

    def _write_begun(self) -> None:
        with suppress(KeyError):  # another thread has taken the last one
            end, begun = self._begun.popitem(last=False)
            _write(self._cached, begun, end - len(begun))

    def _write_pages(self, buffer: mmap.mmap, length: int, offset: int) -> None:
        try:
            with memoryview(buffer)[:length] as pages:
                written = self._write_direct(pages, offset)
                _write(self._cached, pages[written:], offset + written)
        finally:
            self._free.put(buffer)

    def _write_direct(self, pages: memoryview, offset: int) -> int:
        try:
            return os.pwrite(self._direct, pages, offset)
        except OSError as error:
            if error.errno != errno.EINVAL:  # which says that this file system wants another alignment
                raise
            return 0

    def _note_failure(self, done: Future[None]) -> None:
        if not done.cancelled() and done.exception() is not None:
            self._failed = self._failed or done.exception()

    def _raise_failed(self) -> None:
        if self._failed is not None:
            raise self._failed


def _open_direct(path: Path) -> int | None:
    """Open a file to be written past the page cache; None where the system or the file system has no such way."""
    flag = getattr(os, "O_DIRECT", None)
    if flag is not None:
        with suppress(OSError):
            return os.open(path, os.O_WRONLY | flag | getattr(os, "O_CLOEXEC", 0))
    return None


def _write(descriptor: int, elements: memoryview | bytes, offset: int) -> None:
    memory = memoryview(elements)
    while memory:
        written = os.pwrite(descriptor, memory, offset)
        memory, offset = memory[written:], offset + written


def _reserve(descriptor: int, size: int) -> None:
    """Give a file its size, and its disk where the system can: what is reserved is written to three times as fast."""
    if size and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.ftruncate(descriptor, size)
