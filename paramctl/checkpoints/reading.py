"""Positioned reads from a checkpoint's file, and what a file is that is no checkpoint."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from paramctl.errors import ParamctlError, failure

_LFS = b"version https://git-lfs"
_MAGIC = (
    (_LFS, "a Git LFS pointer, not the file that it stands for", "fetch that with: git lfs pull"),
    (b"<!DOCTYPE", "a web page", "what was downloaded is no checkpoint: was a login or another address needed?"),
    (b"<html", "a web page", "what was downloaded is no checkpoint: was a login or another address needed?"),
    (b"GGUF", "a GGUF file", "paramctl reads safetensors, torch.save and torch.distributed.checkpoint"),
    (b"\x89HDF\r\n", "an HDF5 file", "paramctl reads safetensors, torch.save and torch.distributed.checkpoint"),
    (b"\x1f\x8b", "compressed with gzip", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "unpack it first"),
)


_LONGEST = 400


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A regular file, or a stretch of one, that is open for positioned reads.

    Attributes:
        path: the file.
        name: what messages call it.
        descriptor: the open file.
        size: the bytes of the stretch.
        base: the byte of the file at which the stretch begins; positions are counted from there, but in messages.

    """

    path: Path
    name: str
    descriptor: int
    size: int
    base: int = 0

    def read(self, start: int, length: int) -> bytes:
        """Return bytes of the file; fewer, where it ends before.

        Raises:
            ParamctlError: if they cannot be read.

        """
        pieces = []
        length = min(length, self.size - start)
        try:
            while length > 0:
                piece = os.pread(self.descriptor, length, self.base + start)
                if not piece:
                    break
                pieces.append(piece)
                start, length = start + len(piece), length - len(piece)
        except OSError as error:
            raise failure(f"it cannot be read: {error.strerror}", where=self.name) from error
        return b"".join(pieces)

    def fill(self, memory: memoryview, start: int) -> None:
        """Read bytes of the file into memory.

        Raises:
            ParamctlError: if they cannot be read, or the file ends before.

        """
        try:
            while memory:
                count = os.preadv(self.descriptor, [memory], self.base + start)
                if count == 0:
                    raise failure("it has become shorter while it was read", where=self.name)
                memory, start = memory[count:], start + count
        except OSError as error:
            raise failure(f"it cannot be read: {error.strerror}", where=self.name) from error

    def stretch(self, start: int, size: int) -> OpenFile:
        """Return a stretch of the file, which may be shorter where the file ends before."""
        return replace(self, base=self.base + start, size=max(0, min(size, self.size - start)))

    def wrong(self, message: str, *, byte: int | None = None, tensor: str | None = None) -> ParamctlError:
        """Return the error for a mistake in the file, at a byte or in what it says of a tensor."""
        place = f"byte {self.base + byte:,}" if byte is not None else tensor and clipped(tensor)
        return failure(clipped(message), where=self.name, path=place, hint=_meant(self.read(0, 32)))


def clipped(text: str) -> str:
    """Return a text that a file has part in, cut to what a person reads: it may be of any length."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def doubled(names: Iterable[str]) -> str:
    """Return the first name that has been met before; there must be one."""
    met: set[str] = set()
    for name in names:
        if name in met:
            return name
        met.add(name)
    raise AssertionError("no name stands there twice")


@contextmanager
def opened(path: Path, name: str) -> Iterator[OpenFile]:
    """Open a file for positioned reads.

    Raises:
        ParamctlError: if it cannot be opened, or is no regular file.

    """
    try:
        # Without O_NONBLOCK the opening of a pipe that nobody writes to would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise failure(f"it cannot be read: {reason}", where=name) from error
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise failure("it is a directory", where=name)
        if not stat.S_ISREG(status.st_mode):
            raise failure("it is no regular file", where=name, hint="a checkpoint is read by position")
        yield OpenFile(path, name, descriptor, status.st_size)
    finally:
        os.close(descriptor)


def _meant(beginning: bytes) -> str | None:
    for magic, what, hint in _MAGIC:
        if beginning.startswith(magic):
            return f"it is {what}: {hint}"
    return None
