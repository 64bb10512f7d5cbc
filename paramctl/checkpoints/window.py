"""A stretch of a file that is read from its beginning on, a part at a time."""

from __future__ import annotations

from paramctl.checkpoints.reading import OpenFile

_PART = 2**20
_LONGEST_LINE = 2**16


class TruncatedError(ValueError):
    """What was asked for reaches behind the end of the stretch."""


class Window:
    """The bytes from `start` to `end` of a file; `position` counts from the start of the file."""

    def __init__(self, file: OpenFile, start: int, end: int) -> None:
        self._file = file
        self._end = end
        self._part = b""
        self._at = 0
        self._behind = start

    @property
    def position(self) -> int:
        """The byte of the file that is taken next."""
        return self._behind - len(self._part) + self._at

    def take(self, length: int) -> bytes:
        """Return the next bytes; what is not there is refused before anything is allocated for it.

        Raises:
            TruncatedError: if the stretch ends before.

        """
        stop = self._at + length
        if stop > len(self._part):
            left = self._end - self.position
            if length > left:
                raise TruncatedError(f"{length:,} bytes are to follow, {max(left, 0):,} do")
            self._refill(length)
            stop = length
        taken = self._part[self._at : stop]
        self._at = stop
        return taken

    def line(self) -> bytes:
        """Return the bytes before the next newline, and step behind it.

        Raises:
            TruncatedError: if there is none near.

        """
        found = self._part.find(b"\n", self._at)
        if found < 0:
            self._refill(min(_LONGEST_LINE, self._end - self.position))
            found = self._part.find(b"\n", self._at)
        if found < 0:
            raise TruncatedError("a line has no end")
        taken = self._part[self._at : found]
        self._at = found + 1
        return taken

    def _refill(self, length: int) -> None:
        rest = self._part[self._at :]
        more = self._file.read(self._behind, min(max(length, _PART), self._end - self._behind))
        self._behind += len(more)
        self._part, self._at = rest + more, 0
        if len(self._part) < length:
            raise TruncatedError("the file ends")
