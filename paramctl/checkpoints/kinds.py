"""The path of a checkpoint -> what it holds, by the kind of file that its name tells."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

from paramctl.checkpoints import safetensors
from paramctl.checkpoints.directory import DCP_METADATA
from paramctl.checkpoints.stored import Checkpoint
from paramctl.errors import failure

INDEX_SUFFIXES: Final = (".safetensors.index.json", ".bin.index.json")
TORCH_SUFFIXES: Final = (".pt", ".pth", ".bin", ".ckpt")
SUFFIXES: Final = (*INDEX_SUFFIXES, ".safetensors", *TORCH_SUFFIXES)
"""How the name of a checkpoint ends."""


def read_checkpoint(path: Path, name: str, key: str | None = None) -> Checkpoint:
    """Read a file or a directory; the elements of its tensors are not read.

    Args:
        path: the file.
        name: what messages call it.
        key: the dotted path of the part that is wanted, of a file of torch.save; None for the weights.

    Raises:
        ParamctlError: naming what is wrong with it.

    """
    if path.name == DCP_METADATA:
        from paramctl.checkpoints.distributed import read_distributed

        return read_distributed(path, name, key)
    if path.name.endswith(INDEX_SUFFIXES):
        from paramctl.checkpoints.sharded import read_sharded

        return read_sharded(path, name, partial(_read_file, key=key))
    return _read_file(path, name, key)


def _read_file(path: Path, name: str, key: str | None) -> Checkpoint:
    if path.name.endswith(".safetensors"):
        if key is not None:
            hint = "its tensors stand side by side; --include 'GLOB' picks some"
            raise failure(f"{name} has no parts", where="--key", hint=hint)
        return safetensors.read_file(path, name)
    from paramctl.checkpoints import torch_checkpoint

    return torch_checkpoint.read_file(path, name, key)
