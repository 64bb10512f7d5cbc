"""The header of a safetensors file -> its tensors, every number in it checked; the elements are not read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from math import prod
from operator import mul, sub
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from paramctl.checkpoints.ordering import in_model_order
from paramctl.checkpoints.reading import OpenFile, doubled, opened
from paramctl.checkpoints.stored import MAX_DIMENSIONS, MAX_NAME, Checkpoint, Piece, contiguous_piece
from paramctl.checkpoints.strict_json import check_texts, kind, parse_object, short
from paramctl.errors import nearest
from paramctl.records import ITEM_SIZES, ParameterRecord, Shape

DTYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32", "I32": "int32",
        "U64": "uint64", "I64": "int64", "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64",
        "C64": "complex64", "F8_E4M3": "float8_e4m3fn", "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2": "float8_e5m2",
        "F8_E5M2FNUZ": "float8_e5m2fnuz", "F8_E8M0": "float8_e8m0fnu",
    }
)  # fmt: skip
"""The dtypes of the format, by torch's names."""
_SIZES: Final = MappingProxyType({code: ITEM_SIZES[dtype] for code, dtype in DTYPES.items()})

MAX_HEADER: Final = 100_000_000
"""The longest header, in bytes, that the format's own library reads."""
_LENGTH: Final = 8
"""The bytes of the header's length, with which a file begins."""
_LARGEST: Final = 2**63 - 1
_METADATA: Final = "__metadata__"
_FIELDS: Final = ("dtype", "shape", "data_offsets")
_PACKED: Final = frozenset({"F4", "F6_E2M3", "F6_E3M2"})


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


_Entry: TypeAlias = tuple[str, Any, Any, Any, Any]
"""What stands under a name, unchecked: the name, dtype, shape, and offsets of the first byte and behind the last."""


def read_header(file: OpenFile) -> Header:
    """Read and check the header of a file.

    Raises:
        ParamctlError: naming what is wrong, at which byte or of which tensor.

    """
    length = _header_length(file)
    pairs = parse_object(file, file.read(_LENGTH, length), _LENGTH, "the header")
    longest = max((name for name, _ in pairs), key=len, default="")
    if len(longest) > MAX_NAME:
        raise file.wrong(f"the name has {len(longest):,} characters; {MAX_NAME:,} are read", tensor=longest)
    metadata = next((_read_metadata(file, fields) for name, fields in pairs if name == _METADATA), {})
    return _columns(file, [pair for pair in pairs if pair[0] != _METADATA], metadata, _LENGTH + length)


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


def _read_metadata(file: OpenFile, fields: object) -> dict[str, str]:
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


def _columns(file: OpenFile, pairs: Sequence[tuple[str, Any]], metadata: Mapping[str, str], data: int) -> Header:
    entries = _entries(file, pairs)
    if not entries:
        if data != file.size:
            raise file.wrong(
                f"what stands from here to the end, {file.size - data:,} B, belongs to no tensor", byte=data
            )
        return Header((), (), (), (), metadata)
    names, codes, shapes, starts, ends = zip(*entries, strict=True)
    if not _all_right(codes, shapes, starts, ends, file.size - data):
        for entry in entries:
            _check_entry(file, entry, file.size - data)
        _check_coverage(file, entries, data)
    return Header(
        names,
        [DTYPES[code] for code in codes],
        list(map(tuple, shapes)),
        [data + start for start in starts],
        metadata,
    )


def _entries(file: OpenFile, pairs: Sequence[tuple[str, Any]]) -> list[_Entry]:
    entries = []
    for name, fields in pairs:
        try:
            # What every writer writes. Whatever is otherwise is looked at below, and told or refused.
            (first, code), (second, shape), (third, (start, end)) = fields
            ordered = (first, second, third) == _FIELDS
        except (TypeError, ValueError):
            ordered = False
        entries.append((name, code, shape, start, end) if ordered else _any_order(file, name, fields))
    return entries


def _all_right(
    codes: Sequence[Any], shapes: Sequence[Any], starts: Sequence[Any], ends: Sequence[Any], nbytes: int
) -> bool:
    """Tell whether all entries fit each other and the file, stand in the order of their bytes and leave no gap.

    Where this is so, as it nearly always is, nothing needs to be looked at one by one.
    """
    return (
        set(map(type, codes)) == {str}
        and DTYPES.keys() >= set(codes)
        and set(map(type, shapes)) == {list}
        and max(map(len, shapes)) <= MAX_DIMENSIONS
        and {int}.issuperset(map(type, chain(starts, ends, chain.from_iterable(shapes))))
        and min(chain.from_iterable(shapes), default=0) >= 0
        and max(chain.from_iterable(shapes), default=0) <= _LARGEST
        and starts[0] == 0
        and starts[1:] == ends[:-1]
        and ends[-1] == nbytes
        and _fit(codes, shapes, starts, ends)
    )


def _fit(codes: Sequence[str], shapes: Sequence[list[int]], starts: Sequence[int], ends: Sequence[int]) -> bool:
    sizes = list(map(mul, map(prod, shapes), map(_SIZES.__getitem__, codes)))
    return 0 not in sizes and sizes == list(map(sub, ends, starts))


def _check_entry(file: OpenFile, entry: _Entry, nbytes: int) -> None:
    """Refuse an entry whose dtype, sizes and offsets are none, or contradict each other or the size of the file."""
    name, code, shape, start, end = entry
    dtype = _dtype(file, name, code)
    if type(start) is not int or type(end) is not int or not 0 <= start <= end:
        raise file.wrong(f"the offsets {short([start, end])} are no stretch of bytes", tensor=name)
    if end > nbytes:
        message = f"its offsets {short([start, end])} end behind the file, which holds {nbytes:,} bytes of data"
        raise file.wrong(message, tensor=name)
    if type(shape) is not list or any(type(size) is not int or not 0 <= size <= _LARGEST for size in shape):
        raise file.wrong(f"{short(shape)} is no shape", tensor=name)
    if len(shape) > MAX_DIMENSIONS:
        raise file.wrong(f"it has {len(shape):,} dimensions; torch takes {MAX_DIMENSIONS}", tensor=name)
    if prod(size for size in shape if size) > _LARGEST:
        raise file.wrong(f"the sizes of {short(shape)} overflow 64 bits", tensor=name)
    needed = prod(shape) * ITEM_SIZES[dtype]
    if needed != end - start:
        held = f"its offsets {[start, end]} hold {end - start:,}"
        raise file.wrong(f"{short(shape)} of {dtype} takes {needed:,} bytes; {held}", tensor=name)


def _any_order(file: OpenFile, name: str, fields: Any) -> _Entry:
    """Return name, dtype, shape and offsets of an entry in another order, or with more fields; or say what is wrong."""
    if not isinstance(fields, tuple):
        raise file.wrong(f"the entry is {kind(fields)}, not an object", tensor=name)
    known = dict(fields)
    for field in _FIELDS:
        if field not in known:
            raise file.wrong(f"the entry has no {field!r}", tensor=name)
    if len(known) < len(fields):
        raise file.wrong(f"the entry has {doubled(key for key, _ in fields)!r} twice", tensor=name)
    offsets = known["data_offsets"]
    if not isinstance(offsets, list) or len(offsets) != 2:
        raise file.wrong(f"data_offsets is {short(offsets)}, not two numbers", tensor=name)
    return name, known["dtype"], known["shape"], offsets[0], offsets[1]


def _dtype(file: OpenFile, name: str, code: object) -> str:
    if not isinstance(code, str):
        raise file.wrong(f"the dtype is {kind(code)}, not a text", tensor=name)
    if code in _PACKED:
        raise file.wrong(f"its elements are packed as {code}, which torch does not read", tensor=name)
    if code not in DTYPES:
        hint = nearest(code, DTYPES)
        raise file.wrong(f"there is no dtype {code!r}" + (f"; {hint}" if hint else ""), tensor=name)
    return DTYPES[code]


def _check_coverage(file: OpenFile, entries: Sequence[_Entry], data: int) -> None:
    """Refuse elements of two tensors in the same bytes, and bytes that belong to none: nobody would see what is there.

    So does the format's own library.
    """
    reached, last = 0, ""
    for name, _, _, start, end in sorted(entries, key=lambda entry: entry[3:]):
        if start < reached:
            raise file.wrong(f"the elements of {name!r} begin inside those of {last!r}", byte=data + start)
        if start > reached:
            message = f"{start - reached:,} bytes before those of {name!r} belong to no tensor"
            raise file.wrong(message, byte=data + reached)
        reached, last = end, name
    left = file.size - data - reached
    if left:
        raise file.wrong(f"what stands from here to the end, {left:,} B, belongs to no tensor", byte=data + reached)


def records_of(header: Header) -> list[ParameterRecord]:
    """Return the records of a file's tensors, in its order."""
    modules = [name.rpartition(".")[0] for name in header.names]
    nothing, tensor = repeat(None), repeat("tensor")
    columns = (header.names, modules, nothing, tensor, header.shapes, header.dtypes, nothing)
    records = list(map(ParameterRecord, *columns))
    ties = header.ties()
    if not ties:
        return records
    tied = ((record, tuple(ties.get(record.name, ()))) for record in records)
    return [record._replace(aliases=others, owners=1 + len(others)) for record, others in tied]


def read_file(path: Path, name: str) -> Checkpoint:
    """Read what a file holds.

    Args:
        path: the file.
        name: what messages call it.

    Raises:
        ParamctlError: naming what is wrong with it, at which byte or of which tensor.

    """
    with opened(path, name) as file:
        header = read_header(file)
    records = in_model_order(records_of(header), len(set(header.dtypes)))
    places = dict(zip(header.names, range(len(header.names)), strict=True))

    def locate(tensor: str) -> tuple[Piece, ...]:
        i = places[tensor]
        return (contiguous_piece(path, header.starts[i], header.shapes[i], header.dtypes[i]),)

    return Checkpoint(records=records, locate=locate)
