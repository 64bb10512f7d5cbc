"""Tensors -> a safetensors file whose bytes depend on nothing but the tensors, their names and the metadata.

The library's own writer puts the metadata in another order in every process.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import torch

from paramctl.errors import failure
from paramctl.tensors.collect import dtype_name

CODES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "uint32": "U32", "int32": "I32",
        "uint64": "U64", "int64": "I64", "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64",
        "complex64": "C64", "float8_e4m3fn": "F8_E4M3", "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2": "F8_E5M2",
        "float8_e5m2fnuz": "F8_E5M2FNUZ", "float8_e8m0fnu": "F8_E8M0",
    }
)  # fmt: skip
"""The format's name of each dtype that it can hold."""

_ALIGNMENT = 8
_MAX_HEADER = 100_000_000
"""The longest header, in bytes, that the library reads."""


def write(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors to a file: those of the widest dtype first, so that all are aligned, else in the order given.

    Raises:
        ParamctlError: if the format cannot hold a dtype, or so many names.
        OSError: if the file cannot be written.

    """
    ordered = sorted(tensors.items(), key=lambda item: -item[1].element_size())
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    offset = 0
    for name, tensor in ordered:
        end = offset + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": _code(name, tensor), "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % _ALIGNMENT)
    if len(encoded) > _MAX_HEADER:
        raise failure(
            f"the names take {len(encoded):,} bytes; a safetensors header holds {_MAX_HEADER:,}", where=str(path)
        )
    with path.open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little"))
        file.write(encoded)
        for _, tensor in ordered:
            held = tensor.detach().cpu().contiguous()
            nbytes = held.numel() * held.element_size()
            if nbytes:
                file.write((ctypes.c_char * nbytes).from_address(held.data_ptr()))


def _code(name: str, tensor: torch.Tensor) -> str:
    dtype = dtype_name(tensor.dtype)
    if dtype not in CODES:
        raise failure(f"safetensors cannot hold {name}, of dtype {dtype}", hint="write a .pt file")
    return CODES[dtype]
