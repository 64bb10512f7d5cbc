"""The entries of a safetensors header, looked at one by one to say what is wrong, and with which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from paramctl.checkpoints.reading import OpenFile, doubled
from paramctl.checkpoints.stored import MAX_DIMENSIONS, MAX_NAME
from paramctl.checkpoints.strict_json import Pairs, kind, short
from paramctl.errors import nearest
from paramctl.records import ITEM_SIZES

DTYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32", "I32": "int32",
        "U64": "uint64", "I64": "int64", "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64",
        "C64": "complex64", "F8_E4M3": "float8_e4m3fn", "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2": "float8_e5m2",
        "F8_E5M2FNUZ": "float8_e5m2fnuz", "F8_E8M0": "float8_e8m0fnu",
    }
)  # fmt: skip
"""The dtypes of the format, by torch's names."""
_LARGEST: Final = 2**63 - 1
"""The largest size of a dimension, and the most elements."""
FIELDS: Final = ("dtype", "shape", "data_offsets")
"""What an entry says, in the order in which every writer writes it."""
_PACKED: Final = frozenset({"F4", "F6_E2M3", "F6_E3M2"})


class Entry(NamedTuple):
    """What stands under a name: dtype, shape, and the offsets of the first byte and of the one behind the last."""

    name: str
    code: Any
    shape: Any
    start: Any
    end: Any


def checked_entries(file: OpenFile, pairs: Pairs, data: int) -> list[Entry]:
    """Return the entries of a header, in its order.

    Args:
        file: the file.
        pairs: the members of the header, the metadata aside.
        data: the byte of the file at which elements begin.

    Raises:
        ParamctlError: if one of them is wrong or contradicts another, or if bytes of the file belong to none.

    """
    longest = max((name for name, _ in pairs), key=len, default="")
    if len(longest) > MAX_NAME:
        raise file.wrong(f"the name has {len(longest):,} characters; {MAX_NAME:,} are read", tensor=longest)
    entries = [_entry(file, name, fields) for name, fields in pairs]
    for entry in entries:
        _check_entry(file, entry, file.size - data)
    _check_coverage(file, entries, data)
    return entries


def _entry(file: OpenFile, name: str, fields: Any) -> Entry:
    """Return an entry, whatever the order of its fields and whatever else it holds; or say what is wrong with it."""
    if not isinstance(fields, tuple):
        raise file.wrong(f"the entry is {kind(fields)}, not an object", tensor=name)
    known = dict(fields)
    for field in FIELDS:
        if field not in known:
            raise file.wrong(f"the entry has no {field!r}", tensor=name)
    if len(known) < len(fields):
        raise file.wrong(f"the entry has {doubled(key for key, _ in fields)!r} twice", tensor=name)
    offsets = known["data_offsets"]
    if not isinstance(offsets, list) or len(offsets) != 2:
        raise file.wrong(f"data_offsets is {short(offsets)}, not two numbers", tensor=name)
    return Entry(name, known["dtype"], known["shape"], *offsets)


def _check_entry(file: OpenFile, entry: Entry, nbytes: int) -> None:
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


def _dtype(file: OpenFile, name: str, code: object) -> str:
    if not isinstance(code, str):
        raise file.wrong(f"the dtype is {kind(code)}, not a text", tensor=name)
    if code in _PACKED:
        raise file.wrong(f"its elements are packed as {code}, which torch does not read", tensor=name)
    if code not in DTYPES:
        hint = nearest(code, DTYPES)
        raise file.wrong(f"there is no dtype {code!r}" + (f"; {hint}" if hint else ""), tensor=name)
    return DTYPES[code]


def _check_coverage(file: OpenFile, entries: Sequence[Entry], data: int) -> None:
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
