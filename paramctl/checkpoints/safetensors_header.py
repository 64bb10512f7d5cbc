"""The header of a safetensors file as columns, every number in it checked; the elements are not read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import prod
from operator import mul, sub
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from paramctl.checkpoints.reading import OpenFile, doubled
from paramctl.checkpoints.safetensors_entries import DTYPES, FIELDS, checked_entries
from paramctl.checkpoints.stored import MAX_DIMENSIONS, MAX_NAME
from paramctl.checkpoints.strict_json import Pairs, check_texts, kind, parse_object
from paramctl.records import ITEM_SIZES, Shape

MAX_HEADER: Final = 100_000_000
"""The longest header, in bytes, that the format's own library reads."""
_LENGTH: Final = 8
"""The bytes of the header's length, with which a file begins."""
_METADATA: Final = "__metadata__"
_SIZES: Final = MappingProxyType({code: ITEM_SIZES[dtype] for code, dtype in DTYPES.items()})


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says, as columns: a file may have 100,000 tensors, and an object for each takes time.

    Attributes:
        names: the names of the tensors, in the order of the header.
        dtypes: their dtypes, by torch's names.
        shapes: their sizes.
        starts: the bytes of the file at which their elements begin.
        metadata: what the writer added.

    """

    names: Sequence[str]
    dtypes: Sequence[str]
    shapes: Sequence[Shape]
    starts: Sequence[int]
    metadata: Mapping[str, str]

    def ties(self) -> dict[str, list[str]]:
        """Return the names that `save_model` left out, by the name under which their tensor is stored.

        Metadata are free text: an item is a tie only where its value names a tensor of the file and its key does not.
        """
        if not self.metadata:
            return {}
        stored = set(self.names)
        ties: dict[str, list[str]] = {}
        for other, first in self.metadata.items():
            if first in stored and other not in stored:
                ties.setdefault(first, []).append(other)
        return ties


class _Columns(NamedTuple):
    """The fields of entries, unchecked."""

    codes: list[Any]
    shapes: list[Any]
    starts: list[Any]
    ends: list[Any]


_TAKEN: Final[Pairs] = (("", None),)
"""What stays in the place of an entry whose fields were taken into columns; no other object is this one."""


def read_header(file: OpenFile) -> Header:
    """Read and check the header of a file.

    Raises:
        ParamctlError: naming what is wrong, at which byte or of which tensor.

    """
    length = _header_length(file)
    content, data = file.read(_LENGTH, length), _LENGTH + length
    return _read_at_once(file, content, data) or _read_one_by_one(file, content, data)


def _read_at_once(file: OpenFile, content: bytes, data: int) -> Header | None:
    """Read a header whose entries are as every writer writes them; None where anything is otherwise."""
    columns = _Columns([], [], [], [])
    pairs = parse_object(file, content, _LENGTH, "the header", _taking(columns))
    names = [name for name, fields in pairs if fields is _TAKEN]
    others = [name for name, fields in pairs if fields is not _TAKEN]
    # What looks like an entry and stands inside another object is in the columns, too.
    alone = len(names) == len(columns.codes) and others in ([], [_METADATA]) and _METADATA not in names
    short = max(map(len, names), default=0) <= MAX_NAME
    if not alone or not short or not _all_right(columns, file.size - data):
        return None
    return _header(names, columns, _metadata(file, pairs), data)


def _read_one_by_one(file: OpenFile, content: bytes, data: int) -> Header:
    """Read any header, and say what is wrong where something is."""
    pairs = parse_object(file, content, _LENGTH, "the header")
    metadata = _metadata(file, pairs)
    entries = checked_entries(file, [pair for pair in pairs if pair[0] != _METADATA], data)
    names, *fields = map(list, zip(*entries, strict=True)) if entries else ([], [], [], [], [])
    return _header(names, _Columns(*fields), metadata, data)


def _header(names: Sequence[str], columns: _Columns, metadata: Mapping[str, str], data: int) -> Header:
    """Return the header that checked columns tell; `data` is the byte of the file at which elements begin."""
    return Header(
        names,
        [DTYPES[code] for code in columns.codes],
        list(map(tuple, columns.shapes)),
        [data + start for start in columns.starts],
        metadata,
    )


def _taking(columns: _Columns) -> Callable[[Pairs], Pairs]:
    """Return what takes the fields of an entry into columns, and returns any other object as it is.

    An object for each entry would be made, held and looked into in twice the time and memory.
    """
    take_code, take_shape, take_start, take_end = (column.append for column in columns)

    def take(pairs: Pairs) -> Pairs:
        try:
            (first, code), (second, shape), (third, (start, end)) = pairs
        except (TypeError, ValueError):
            return tuple(pairs)
        if (first, second, third) != FIELDS:
            return tuple(pairs)
        take_code(code)
        take_shape(shape)
        take_start(start)
        take_end(end)
        return _TAKEN

    return take


def _header_length(file: OpenFile) -> int:
    beginning = file.read(0, _LENGTH)
    if len(beginning) < _LENGTH:
        raise file.wrong(
            f"the file ends here; a safetensors file begins with the {_LENGTH} bytes of its header's length",
            byte=len(beginning),
        )
    length = int.from_bytes(beginning, "little")
    if length > MAX_HEADER:
        raise file.wrong(f"the header's length is {length:,} bytes; the format allows {MAX_HEADER:,}", byte=0)
    if length > file.size - _LENGTH:
        raise file.wrong(f"the header's length is {length:,} bytes; {file.size - _LENGTH:,} follow", byte=0)
    return length


def _metadata(file: OpenFile, pairs: Pairs) -> dict[str, str]:
    """Return what the writer added to a header, whose members these are."""
    fields = next((fields for name, fields in pairs if name == _METADATA), None)
    if fields is None:
        return {}
    if not isinstance(fields, tuple):
        raise file.wrong(f"the metadata are {kind(fields)}, not an object", tensor=_METADATA)
    for key, value in fields:
        if not isinstance(value, str):
            raise file.wrong(f"{key!r} is {kind(value)}, not a text", tensor=_METADATA)
    metadata = dict(fields)
    if len(metadata) < len(fields):
        raise file.wrong(f"{doubled(key for key, _ in fields)!r} stands there twice", tensor=_METADATA)
    check_texts(file, [text for pair in fields for text in pair])
    return metadata


def _all_right(columns: _Columns, nbytes: int) -> bool:
    """Tell whether all entries fit each other and the file, stand in the order of their bytes and leave no gap.

    Where this is so, as it nearly always is, nothing needs to be looked at one by one.
    """
    codes, shapes, starts, ends = columns
    if not codes:
        return nbytes == 0
    return (
        set(map(type, codes)) == {str}
        and DTYPES.keys() >= set(codes)
        and set(map(type, shapes)) == {list}
        and max(map(len, shapes)) <= MAX_DIMENSIONS
        and {int}.issuperset(map(type, chain(starts, ends, chain.from_iterable(shapes))))
        and min(chain.from_iterable(shapes), default=0) >= 0
        and starts[0] == 0
        and starts[1:] == ends[:-1]
        and ends[-1] == nbytes
        and _fit(codes, shapes, starts, ends)
    )


def _fit(codes: Sequence[str], shapes: Sequence[list[int]], starts: Sequence[int], ends: Sequence[int]) -> bool:
    """Tell whether every shape takes the bytes that it has; no size is larger than they are, as none is 0."""
    sizes = list(map(mul, map(prod, shapes), map(_SIZES.__getitem__, codes)))
    return 0 not in sizes and sizes == list(map(sub, ends, starts))
