"""Tensors -> a safetensors file whose bytes depend on nothing but the tensors, their names and the metadata.

The library's own writer puts the metadata in another order in every process.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias

import torch

from paramctl.checkpoints.safetensors_entries import DTYPES
from paramctl.checkpoints.safetensors_header import MAX_HEADER
from paramctl.errors import failure
from paramctl.render import text
from paramctl.tensors.collect import bytes_of, dtype_name
from paramctl.tensors.writing.positioned import writing_at

Place: TypeAlias = Callable[[str, int, torch.Tensor], None]
"""Writes elements of a tensor: its name, the number of the first element, and the elements. Threads may call it."""

CODES: Final[Mapping[str, str]] = MappingProxyType({dtype: code for code, dtype in DTYPES.items()})
"""The format's name of each dtype that it can hold."""

_ALIGNMENT = 8


@contextmanager
def writing(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> Iterator[Place]:
    """Write the header of a file, and give what writes elements to their place; all tensors must be given theirs.

    Those of the widest dtype stand first, so that all are aligned, else they stand in the order given.

    Args:
        path: the file.
        tensors: the tensors by name; of those on the meta device, as of all, only shape and dtype count.
        metadata: the file's.

    Raises:
        ParamctlError: if the format cannot hold a dtype or so many names, or the disk cannot hold the file.
        OSError: if the file cannot be written.

    """
    header, offsets, size = _layout(path, tensors, metadata)
    ensure_room(path.parent, size, "the file")
    path.write_bytes(header)
    with writing_at(path, size) as write:

        def place(name: str, start: int, elements: torch.Tensor) -> None:
            held = elements.detach().cpu().resolve_conj().resolve_neg().contiguous()
            write(held.view(-1).view(torch.uint8), offsets[name] + start * held.element_size())

        yield place


def ensure_room(directory: Path, nbytes: int, what: str) -> None:
    """Refuse to write what the disk cannot hold.

    Raises:
        ParamctlError: with the bytes needed and the bytes free.

    """
    free = shutil.disk_usage(directory).free
    if nbytes > free:
        message = f"{what} would take {text.size(nbytes)} of disk; {text.size(free)} are free"
        raise failure(message, where=str(directory))


def _layout(
    path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]
) -> tuple[bytes, dict[str, int], int]:
    """Return the header, the place in the file of each tensor's first element, and the size of the file."""
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    offsets: dict[str, int] = {}
    end = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: -item[1].element_size()):
        code, shape = _code(name, tensor), list(tensor.shape)
        offsets[name], end = end, end + bytes_of(tensor)
        header[name] = {"dtype": code, "shape": shape, "data_offsets": [offsets[name], end]}
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % _ALIGNMENT)
    if len(encoded) > MAX_HEADER:
        raise failure(
            f"the names take {len(encoded):,} bytes; a safetensors header holds {MAX_HEADER:,}", where=str(path)
        )
    front = len(encoded).to_bytes(8, "little") + encoded
    return front, {name: len(front) + offset for name, offset in offsets.items()}, len(front) + end


def _code(name: str, tensor: torch.Tensor) -> str:
    dtype = dtype_name(tensor.dtype)
    if tensor.layout is not torch.strided:
        raise failure(f"safetensors cannot hold {name}, which is sparse", hint="write a .pt file")
    if dtype not in CODES:
        raise failure(f"safetensors cannot hold {name}, of dtype {dtype}", hint="write a .pt file")
    return CODES[dtype]
