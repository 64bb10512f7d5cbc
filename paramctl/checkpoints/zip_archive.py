"""A zip archive of torch.save -> where each of its records lies in the file; nothing is unpacked."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections.abc import Mapping
from typing import Final, NamedTuple

from paramctl.checkpoints.reading import OpenFile, doubled

SIGNATURE: Final = b"PK\x03\x04"
MAX_DIRECTORY: Final = 100_000_000
"""The longest list of records, in bytes, that is read; that of a million tensors takes as much."""
_LOCAL: Final = struct.Struct("<4sHHHHHIIIHH")
_END: Final = struct.Struct("<4sHHHHIIH")
_LONGEST_COMMENT: Final = 2**16
_DAMAGED: Final = (
    *(zipfile.BadZipFile, NotImplementedError, struct.error),
    *(OSError, EOFError, OverflowError, ValueError),
)
"""What Python's zipfile raises where an archive is damaged."""


class Extent(NamedTuple):
    """A stretch of a file."""

    start: int
    nbytes: int


class ZipArchive(NamedTuple):
    """The records of an archive, by their names without the folder that all are in."""

    records: Mapping[str, zipfile.ZipInfo]

    def extent(self, file: OpenFile, name: str) -> Extent:
        """Return where a record lies.

        Raises:
            ParamctlError: if it is compressed, or does not lie where the archive says.

        """
        info = self.records[name]
        if info.flag_bits & 1:
            raise file.wrong("the record is encrypted", tensor=info.filename)
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            message = f"the record is compressed, to {info.compress_size:,} of {info.file_size:,} bytes"
            raise file.wrong(f"{message}; torch.save compresses none", tensor=info.filename)
        if not 0 <= info.header_offset < file.size:
            message = f"the record begins at byte {info.header_offset:,}; the file has {file.size:,}"
            raise file.wrong(message, tensor=info.filename)
        local = file.read(info.header_offset, _LOCAL.size)
        if len(local) < _LOCAL.size or local[:4] != SIGNATURE:
            raise file.wrong(f"there is no header of the record {info.filename}", byte=info.header_offset)
        *_, name_length, extra_length = _LOCAL.unpack(local)
        start = info.header_offset + _LOCAL.size + name_length + extra_length
        if start + info.file_size > file.size:
            message = f"the record {info.filename} has {info.file_size:,} bytes; the file ends at byte {file.size:,}"
            raise file.wrong(message, byte=start)
        return Extent(start, info.file_size)


def read_archive(file: OpenFile) -> ZipArchive:
    """Read the list of records at the end of an archive.

    Raises:
        ParamctlError: if there is none, or it is damaged.

    """
    _check_directory(file)
    try:
        with zipfile.ZipFile(io.BufferedReader(_Stream(file))) as archive:
            infos = archive.infolist()
    except _DAMAGED as error:
        raise file.wrong(f"the zip archive is damaged: {error}") from None
    records = {_inside(info.filename): info for info in infos}
    if len(records) < len(infos):
        twice = doubled(_inside(info.filename) for info in infos)
        _, second, *_ = (info.filename for info in infos if _inside(info.filename) == twice)
        raise file.wrong("a record stands in the archive twice", tensor=second)
    return ZipArchive(records)


class _Stream(io.RawIOBase):
    """A file as what Python's zipfile reads."""

    def __init__(self, file: OpenFile) -> None:
        super().__init__()
        self._file = file
        self._at = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._file.size}[whence]
        if self._at < 0:
            raise ValueError("a position before the file")
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        content = self._file.read(self._at, len(buffer))
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)


def _inside(name: str) -> str:
    return name.partition("/")[2] or name


def _check_directory(file: OpenFile) -> None:
    """Refuse a list of records so long that no checkpoint has it, before it is read."""
    start = max(0, file.size - _END.size - _LONGEST_COMMENT)
    tail = file.read(start, file.size - start)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        message = "the zip archive has no list of its records, which stands at its end: the file was cut short"
        raise file.wrong(message, byte=file.size)
    nbytes, offset = _END.unpack_from(tail, at)[5:7]
    if nbytes == 0xFFFFFFFF:
        nbytes = int.from_bytes(file.read(start + at - 36, 8), "little")  # of the record for large archives before it
    if nbytes > MAX_DIRECTORY:
        raise file.wrong(f"the list of records has {nbytes:,} bytes; {MAX_DIRECTORY:,} are read", byte=offset)
