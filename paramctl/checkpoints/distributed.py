"""A directory of torch.distributed.checkpoint -> its tensors, each of which may lie in parts in several files."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

from paramctl.checkpoints.held import text_of
from paramctl.checkpoints.nesting import pick
from paramctl.checkpoints.parts import overlap
from paramctl.checkpoints.pickle_values import Global, Made, PickleError, key_of
from paramctl.checkpoints.reading import OpenFile, clipped, opened
from paramctl.checkpoints.sharded import is_beside
from paramctl.checkpoints.stored import MAX_NAME, Checkpoint, Piece, contiguous_strides, record_of
from paramctl.checkpoints.torch_file import follow, read_saved, refusal
from paramctl.checkpoints.torch_objects import CALLS, Storage, Tensor, dtype_named, sizes
from paramctl.checkpoints.window import Window
from paramctl.errors import ParamctlError, Problem
from paramctl.records import ITEM_SIZES, Shape

_MODULES: Final = frozenset(
    {
        "torch.distributed.checkpoint.metadata",
        "torch.distributed.checkpoint.filesystem",
        "torch.distributed._shard.sharded_tensor.metadata",
    }
)
_CLASSES: Final = frozenset(
    {
        "Metadata", "StorageMeta", "MetadataIndex", "TensorStorageMetadata", "BytesStorageMetadata",
        "ChunkStorageMetadata", "TensorProperties", "_MEM_FORMAT_ENCODING", "MEM_FORMAT_ENCODING", "_StorageInfo",
    }
)  # fmt: skip
"""The classes that metadata consist of, and where they are or were."""
_OTHERS: Final = frozenset(
    {
        "torch.Size", "torch.serialization._get_layout", "collections.OrderedDict", "pathlib.Path",
        "pathlib.PosixPath", "pathlib.PurePosixPath", "pathlib.WindowsPath", "pathlib._local.PosixPath",
        "pathlib._local.WindowsPath",
    }
)  # fmt: skip


_Places: TypeAlias = Mapping[tuple[str, str], tuple[str, int, int]]
"""The file, first byte and number of bytes of every saved part, by its tensor and its place there, as a text.

Numbers of the file's choice are no keys: see `pickle_values.key_of`.
"""


class _Chunk(NamedTuple):
    """A part of a tensor: its place in the tensor, its sizes, and the stretch of a file that it was saved in."""

    at: Shape
    shape: Shape
    path: str
    start: int
    nbytes: int


def read_distributed(path: Path, name: str, key: str | None = None) -> Checkpoint:
    """Read the metadata of a distributed checkpoint; the files of the tensors are not opened.

    Args:
        path: the file of the metadata.
        name: what messages call it.
        key: the dotted path of the part that is wanted; None for the weights.

    Raises:
        ParamctlError: naming what is wrong with the metadata, what they would run, or which file is missing.

    """
    with opened(path, name) as file:
        metadata = _read_metadata(file)
        try:
            tensors, chunks = _tensors(file, metadata)
            nested = _nested(tensors, metadata.get("planner_data"))
        except PickleError as error:
            raise file.wrong(error.message) from None
    _check_files(path, name, chain.from_iterable(chunks.values()))
    part = pick(nested, key, name)
    records = [record_of(each, tensor.shape, tensor.dtype) for each, tensor in part.tensors.items()]

    def locate(wanted: str) -> Sequence[Piece]:
        tensor = part.tensors[wanted]
        assert tensor.storage is not None, "every tensor of a distributed checkpoint has chunks"
        return [_piece(path.parent, chunk, wanted, tensor.dtype) for chunk in chunks[tensor.storage.key]]

    return Checkpoint(records=records, locate=locate, notes=part.notes)


def _read_metadata(file: OpenFile) -> Mapping[str, Any]:
    if file.size == 0:
        raise file.wrong("the file is empty", byte=0)
    window = Window(file, 0, file.size)
    root, machine, damage = follow(file, window, file.size, _METADATA_CALLS, _no_storage, "these are no metadata: ")
    refused = [each for each in machine.globals if not _is_known(each)]
    if refused:
        raise refusal(file, machine.globals, refused)
    if damage is not None:
        raise damage
    if not isinstance(root, Made) or root.made_by.name != "Metadata" or not isinstance(root.state, dict):
        raise file.wrong("these are no metadata of torch.distributed.checkpoint")
    return root.state


def _is_known(name: Global) -> bool:
    by_class = name.module in _MODULES and name.name in _CLASSES
    return by_class or str(name) in _OTHERS or dtype_named(name) is not None


def _no_storage(_: Any) -> None:
    raise PickleError("there is a storage where there is none in metadata")


_METADATA_CALLS: Final = MappingProxyType({name: call for name, call in CALLS.items() if str(name) in _OTHERS})


def _tensors(file: OpenFile, metadata: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, list[_Chunk]]]:
    """Return the tensors by their full names, and the chunks of each."""
    held, places = metadata.get("state_dict_metadata"), metadata.get("storage_data")
    if not isinstance(held, dict) or not isinstance(places, dict):
        raise file.wrong("the metadata have no tensors or no places of them")
    stored = _stored(file, places)
    tensors: dict[str, Tensor] = {}
    chunks: dict[str, list[_Chunk]] = {}
    for name, value in held.items():
        if not isinstance(name, str) or not isinstance(value, Made):
            raise file.wrong("what stands there is no tensor and no other value", tensor=text_of(name))
        if len(name) > MAX_NAME:
            raise file.wrong(f"the name has {len(name):,} characters; {MAX_NAME:,} are read", tensor=name)
        if value.made_by.name != "TensorStorageMetadata":
            continue
        try:
            dtype, shape, parts = _described(value)
        except PickleError as error:
            raise file.wrong(error.message, tensor=name) from None
        chunks[name] = [_chunk(file, name, stored, at, size) for at, size in parts]
        if sum(prod(size) for _, size in parts) != prod(shape) or overlap(parts):
            raise file.wrong(f"its parts do not make up a tensor of {list(shape)}", tensor=name)
        nbytes = prod(shape) * ITEM_SIZES[dtype]
        tensors[name] = Tensor(Storage(name, dtype, nbytes), 0, shape, contiguous_strides(shape), dtype)
    return tensors, chunks


def _described(value: Made) -> tuple[str, Shape, list[tuple[Shape, Shape]]]:
    """Return dtype and sizes of a tensor, and place and sizes of its parts."""
    state = value.state if isinstance(value.state, dict) else {}
    properties, parts = state.get("properties"), state.get("chunks")
    told = properties.state if isinstance(properties, Made) else None
    named = told[0] if isinstance(told, tuple) and told else told.get("dtype") if isinstance(told, dict) else None
    dtype = dtype_named(named)
    if dtype is None or not isinstance(parts, list):
        raise PickleError("the dtype or the parts of this tensor are missing")
    shape = sizes(state.get("size"), "shape")
    placed = []
    for part in parts:
        fields = part.state if isinstance(part, Made) and isinstance(part.state, dict) else {}
        at, size = sizes(fields.get("offsets"), "offsets"), sizes(fields.get("sizes"), "shape")
        if not len(at) == len(size) == len(shape) or any(a + b > c for a, b, c in zip(at, size, shape, strict=True)):
            raise PickleError(f"a part of {list(size)} at {list(at)} lies outside of {list(shape)}")
        placed.append((at, size))
    return dtype, shape, placed


def _stored(file: OpenFile, places: Mapping[Any, Any]) -> _Places:
    """Return the file, first byte and number of bytes of every saved part, by its tensor and its place there."""
    stored = {}
    for index, place in places.items():
        key = index.state if isinstance(index, Made) and isinstance(index.state, dict) else {}
        value = place.state if isinstance(place, Made) and isinstance(place.state, dict) else {}
        match (key.get("fqn"), key.get("offset"), value):
            case (
                str() as name,
                offset,
                {"relative_path": str() as path, "offset": int() as start, "length": int() as n},
            ):
                if not is_beside(path) or start < 0 or n < 0:
                    raise file.wrong(f"it lies at byte {start} of {path!r}, {n} bytes long", tensor=name)
                if value.get("transform_descriptors"):
                    raise file.wrong("it was compressed or encoded as it was saved", tensor=name)
                stored[name, "" if offset is None else str(sizes(offset, "offsets"))] = (path, start, n)
            case _:
                raise file.wrong("the place of a tensor is none")
    return stored


def _chunk(
    file: OpenFile,
    name: str,
    stored: _Places,
    at: Shape,
    shape: Shape,
) -> _Chunk:
    place = stored.get((name, str(at))) or stored.get((name, ""))
    if place is None:
        raise file.wrong(f"no file is told for its part at {list(at)}", tensor=name)
    return _Chunk(at, shape, *place)


def _check_files(path: Path, name: str, chunks: Iterable[_Chunk]) -> None:
    """Refuse files that are missing, or end before the parts that are said to lie in them.

    Raises:
        ParamctlError: naming every such file.

    """
    ends: dict[str, int] = {}
    for chunk in chunks:
        ends[chunk.path] = max(ends.get(chunk.path, 0), chunk.start + chunk.nbytes)
    problems = []
    for file, end in sorted(ends.items()):
        size = _size(path.parent / file)
        if size is None:
            problems.append(Problem(message=clipped(f"there is no file {file}"), where=name))
        elif size < end:
            message = f"{file} has {size:,} bytes; parts of tensors are said to end at its byte {end:,}"
            problems.append(Problem(message=clipped(message), where=name))
    if problems:
        raise ParamctlError(*problems)


def _size(path: Path) -> int | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _nested(tensors: Mapping[str, Tensor], paths: Any) -> Mapping[str, Any]:
    """Return the tensors nested as they were before their names were joined, where that was noted and leads apart."""
    root: dict[str, Any] = {}
    for name, tensor in tensors.items():
        *outer, last = _steps(name, paths)
        inner: Any = root
        for step in outer:
            inner = inner.setdefault(step, {})
            if not isinstance(inner, dict):
                return tensors
        if last in inner:
            return tensors
        inner[last] = tensor
    return root


def _steps(name: str, paths: Any) -> list[str]:
    path = paths.get(name) if isinstance(paths, dict) else None
    if type(path) is not tuple or len(path) > MAX_NAME or not all(isinstance(each, str | int) for each in path):
        return [name]
    steps = [each if isinstance(each, str) else text_of(key_of(each)) for each in path]
    return steps if ".".join(steps) == name else [name]


def _piece(directory: Path, chunk: _Chunk, name: str, dtype: str) -> Piece:
    """Return where the elements of a part lie; a part was saved as a file of its own inside the file."""
    path = directory / chunk.path
    with opened(path, str(path)) as file:
        if chunk.nbytes == 0:
            raise file.wrong(f"the part at {list(chunk.at)} is said to have no bytes", tensor=name)
        saved = read_saved(file.stretch(chunk.start, chunk.nbytes))
        tensor = saved.root
        if not isinstance(tensor, Tensor) or tensor.storage is None or tensor.unreadable is not None:
            raise file.wrong("what was saved there is no tensor", tensor=name)
        if (tensor.shape, tensor.dtype) != (chunk.shape, dtype):
            message = f"{list(tensor.shape)} of {tensor.dtype} was saved there, not {list(chunk.shape)} of {dtype}"
            raise file.wrong(message, tensor=name)
        start = chunk.start + saved.storages[tensor.storage.key].start + tensor.storage.first
    return Piece(path, start, tensor.storage.nbytes, tensor.offset, tensor.shape, tensor.strides, chunk.at)
