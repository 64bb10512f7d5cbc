"""The header of a safetensors file -> its tensors, every number in it checked; the elements are not read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from math import prod
from operator import gt, sub
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NoReturn, TypeAlias

from paramctl.checkpoints.reading import OpenFile, opened
from paramctl.checkpoints.stored import Checkpoint, Piece, contiguous_piece
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
_MAX_DEPTH: Final = 100
_MANY: Final = 16
"""From so many dimensions on, a product of sizes is watched while it grows."""
_LARGEST: Final = 2**63 - 1
_DIGITS: Final = 12
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
    content = file.read(_LENGTH, length)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        byte = content[error.start]
        raise file.wrong(f"the byte 0x{byte:02X} is not UTF-8", byte=_LENGTH + error.start) from None
    pairs = _parse(file, text)
    names = [name for name, _ in pairs]
    if len(set(names)) < len(pairs):
        raise file.wrong("the header has this name twice", tensor=_doubled(pairs))
    _check_unicode(file, names)
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


def _parse(file: OpenFile, text: str) -> tuple[tuple[str, Any], ...]:
    """Return the members of the header's object; objects become tuples of pairs, so that doubled keys are seen."""

    def at(position: int) -> int:
        return _LENGTH + len(text[:position].encode())

    def refuse(constant: str) -> NoReturn:
        raise file.wrong(f"{constant} is no JSON", byte=at(text.find(constant)))

    try:
        parsed = json.loads(text, object_pairs_hook=tuple, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise file.wrong(f"the header is no JSON: {error.msg}", byte=at(error.pos)) from None
    except RecursionError:
        raise file.wrong("the header is nested too deeply", byte=at(_deep(text))) from None
    except ValueError:  # Python reads no number of more than 4,300 digits
        number = re.search(r"\d{4300}", text)
        raise file.wrong("a number is too long", byte=at(number.start() if number else 0)) from None
    if not isinstance(parsed, tuple):
        raise file.wrong(f"the header is {_kind(parsed)}, not an object", byte=at(len(text) - len(text.lstrip())))
    return parsed


def _deep(text: str) -> int:
    """Return the position at which brackets are open to a depth that no header needs."""
    depth = 0
    for match in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(match.group(), 0)
        if depth > _MAX_DEPTH:
            return match.start()
    return 0


def _doubled(pairs: Sequence[tuple[str, Any]]) -> str:
    met: set[str] = set()
    return next(name for name, _ in pairs if name in met or met.add(name))  # type: ignore[func-returns-value]


def _check_unicode(file: OpenFile, texts: Sequence[str]) -> None:
    """Refuse halves of surrogate pairs, which JSON can spell and no text can hold."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        name = next(text for text in texts if any("\ud800" <= character <= "\udfff" for character in text))
        raise file.wrong("the name has half of a surrogate pair", tensor=ascii(name)[1:-1]) from None


def _read_metadata(file: OpenFile, fields: object) -> dict[str, str]:
    if fields is None:
        return {}
    if not isinstance(fields, tuple):
        raise file.wrong(f"the metadata are {_kind(fields)}, not an object", tensor=_METADATA)
    for key, value in fields:
        if not isinstance(value, str):
            raise file.wrong(f"{key!r} is {_kind(value)}, not a text", tensor=_METADATA)
    metadata = dict(fields)
    if len(metadata) < len(fields):
        raise file.wrong(f"{_doubled(fields)!r} stands there twice", tensor=_METADATA)
    return metadata


def _columns(file: OpenFile, pairs: Sequence[tuple[str, Any]], metadata: Mapping[str, str], data: int) -> Header:
    entries = _entries(file, pairs)
    if not entries:
        if data != file.size:
            raise file.wrong(f"{file.size - data:,} bytes at the end belong to no tensor", byte=data)
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
        and max(map(len, shapes)) < _MANY
        and {int}.issuperset(map(type, chain(starts, ends, chain.from_iterable(shapes))))
        and min(chain.from_iterable(shapes), default=0) >= 0
        and max(chain.from_iterable(shapes), default=0) <= _LARGEST
        and starts[0] == 0
        and starts[1:] == ends[:-1]
        and ends[-1] == nbytes
        and _fit(codes, shapes, starts, ends)
    )


def _fit(codes: Sequence[str], shapes: Sequence[list[int]], starts: Sequence[int], ends: Sequence[int]) -> bool:
    sizes = [prod(shape) * _SIZES[code] for code, shape in zip(codes, shapes, strict=True)]
    return 0 not in sizes and sizes == list(map(sub, ends, starts))


def _check_entry(file: OpenFile, entry: _Entry, nbytes: int) -> None:
    """Refuse an entry whose dtype, sizes and offsets are none, or contradict each other or the size of the file."""
    name, code, shape, start, end = entry
    dtype = _dtype(file, name, code)
    if type(start) is not int or type(end) is not int or not 0 <= start <= end:
        raise file.wrong(f"the offsets {_short([start, end])} are no stretch of bytes", tensor=name)
    if end > nbytes:
        message = f"its offsets {_short([start, end])} end behind the file, which holds {nbytes:,} bytes of data"
        raise file.wrong(message, tensor=name)
    if type(shape) is not list or any(type(size) is not int or not 0 <= size <= _LARGEST for size in shape):
        raise file.wrong(f"{_short(shape)} is no shape", tensor=name)
    if _guarded_product(size for size in shape if size) > _LARGEST:
        raise file.wrong(f"the sizes of {_short(shape)} overflow 64 bits", tensor=name)
    needed = prod(shape) * ITEM_SIZES[dtype]
    if needed != end - start:
        held = f"its offsets {[start, end]} hold {end - start:,}"
        raise file.wrong(f"{_short(shape)} of {dtype} takes {needed:,} bytes; {held}", tensor=name)


def _any_order(file: OpenFile, name: str, fields: Any) -> _Entry:
    """Return name, dtype, shape and offsets of an entry in another order, or with more fields; or say what is wrong."""
    if not isinstance(fields, tuple):
        raise file.wrong(f"the entry is {_kind(fields)}, not an object", tensor=name)
    known = dict(fields)
    for field in _FIELDS:
        if field not in known:
            raise file.wrong(f"the entry has no {field!r}", tensor=name)
    if len(known) < len(fields):
        raise file.wrong(f"the entry has {_doubled(fields)!r} twice", tensor=name)
    offsets = known["data_offsets"]
    if not isinstance(offsets, list) or len(offsets) != 2:
        raise file.wrong(f"data_offsets is {_short(offsets)}, not two numbers", tensor=name)
    return name, known["dtype"], known["shape"], offsets[0], offsets[1]


def _dtype(file: OpenFile, name: str, code: object) -> str:
    if not isinstance(code, str):
        raise file.wrong(f"the dtype is {_kind(code)}, not a text", tensor=name)
    if code in _PACKED:
        raise file.wrong(f"its elements are packed as {code}, which torch does not read", tensor=name)
    if code not in DTYPES:
        hint = nearest(code, DTYPES)
        raise file.wrong(f"there is no dtype {code!r}" + (f"; {hint}" if hint else ""), tensor=name)
    return DTYPES[code]


def _guarded_product(sizes: Iterable[int]) -> int:
    """Return the product, or the first part of it that overflows: thousands of sizes have one of millions of digits."""
    product = 1
    for size in sizes:
        product *= size
        if product > _LARGEST:
            break
    return product


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
        raise file.wrong(f"{left:,} bytes at the end belong to no tensor", byte=data + reached)


def _kind(value: object) -> str:
    kinds = {tuple: "an object", list: "a list", str: "a text", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")


def _short(value: object) -> str:
    text = re.sub(r"\s+", " ", str(value)) if isinstance(value, list | int | float) else _kind(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def records_of(header: Header) -> list[ParameterRecord]:
    """Return the records of a file's tensors, in the order that they have in its model.

    The format's own library sorts tensors by the size of their dtype, then by name, so that ``layers.10`` comes before
    ``layers.2``. A file that is sorted so is put into an order in which the numbers count; any other is left as it is.
    """
    names = header.names
    modules = [name.rpartition(".")[0] for name in names]
    nothing = repeat(None)
    records = list(
        map(ParameterRecord, names, modules, nothing, repeat("tensor"), header.shapes, header.dtypes, nothing)
    )
    ties = header.ties()
    if ties:
        records = [record._replace(aliases=tuple(ties.get(record.name, ()))) for record in records]
    if sum(map(gt, names, names[1:])) >= len(set(header.dtypes)):
        return records
    keys = {module: _padded(module) for module in dict.fromkeys(modules)}
    return [records[i] for i in sorted(range(len(names)), key=[keys[module] for module in modules].__getitem__)]


def _padded(path: str) -> str:
    """Return a path whose numbers are sorted as numbers when it is sorted as a text."""
    return ".".join([part.zfill(_DIGITS) if part.isdigit() else part for part in path.split(".")])


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
    records = records_of(header)
    places = dict(zip(header.names, range(len(header.names)), strict=True))

    def locate(tensor: str) -> tuple[Piece, ...]:
        i = places[tensor]
        return (contiguous_piece(path, header.starts[i], header.shapes[i], header.dtypes[i]),)

    return Checkpoint(records=records, locate=locate)
