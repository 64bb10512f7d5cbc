"""The path of a checkpoint -> what it holds, by the kind of file that its name tells."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from paramctl.checkpoints.directory import DCP_METADATA
from paramctl.checkpoints.stored import Checkpoint

INDEX_SUFFIXES: Final = (".safetensors.index.json", ".bin.index.json")
TORCH_SUFFIXES: Final = (".pt", ".pth", ".bin", ".ckpt", ".pth.tar")
SUFFIXES: Final = (*INDEX_SUFFIXES, ".safetensors", *TORCH_SUFFIXES)
"""How the name of a checkpoint ends."""


def read_checkpoint(path: Path, name: str, key: str | None = None, *, with_modules: bool = False) -> Checkpoint:
    """Read a file or a directory; the elements of its tensors are not read.

    Args:
        path: the file.
        name: what messages call it.
        key: the dotted path of the part that is wanted; None for the weights.
        with_modules: whether the state of a module that was pickled whole is taken, too.

    Raises:
        ParamctlError: naming what is wrong with it.

    """
    # Each kind is imported for itself: a header is read in less time than it takes to import the other kinds.
    if path.name == DCP_METADATA:
        from paramctl.checkpoints.distributed import read_distributed

        return read_distributed(path, name, key)
    if path.name.endswith(INDEX_SUFFIXES):
        from paramctl.checkpoints.sharded import read_sharded

        held = read_sharded(path, name, _read_file)
        return held if key is None else held.below(key, name)
    return _read_file(path, name, key, with_modules=with_modules)


def _read_file(path: Path, name: str, key: str | None = None, *, with_modules: bool = False) -> Checkpoint:
    if path.name.endswith(".safetensors"):
        from paramctl.checkpoints import safetensors

        held = safetensors.read_file(path, name)
        return held if key is None else held.below(key, name)
    from paramctl.checkpoints import torch_checkpoint

    return torch_checkpoint.read_file(path, name, key, with_modules=with_modules)
