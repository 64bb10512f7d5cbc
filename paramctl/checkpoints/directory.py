"""A directory -> the checkpoint in it that is meant: the first kind of file that is there, if it is there once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from paramctl.errors import failure, few

DCP_METADATA: Final = ".metadata"
"""The file that tells a directory of torch.distributed.checkpoint."""

_PRECEDENCE: Final[Sequence[Sequence[str]]] = (
    ("*.safetensors.index.json",),
    ("model.safetensors",),
    ("*.safetensors",),
    ("pytorch_model.bin.index.json",),
    ("pytorch_model.bin",),
    (DCP_METADATA,),
    ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pth.tar"),
)
"""What is looked for, the first kind first."""
_MOST_LISTED: Final = 8


def find_checkpoint(directory: Path, model: str) -> Path | None:
    """Return the file in a directory that a MODEL means: an index, a checkpoint, or the metadata of a distributed one.

    None where there is no checkpoint.

    Raises:
        ParamctlError: if several fit alike, or the directory cannot be read.

    """
    try:
        names = sorted(each.name for each in directory.iterdir() if not each.is_dir())
    except OSError as error:
        raise failure(f"cannot read {model}: {error.strerror}", where="MODEL") from error
    for patterns in _PRECEDENCE:
        found = [name for name in names if any(Path(name).match(pattern) for pattern in patterns)]
        if len(found) > 1:
            listed = few([str(directory / name) for name in found], _MOST_LISTED)
            raise failure(f"{model} holds {len(found)} checkpoints", where="MODEL", hint=f"name one: {listed}")
        if found:
            return directory / found[0]
    return None


def holds_checkpoint(directory: Path) -> bool:
    """Tell whether there are checkpoints in a directory; not of one that cannot be read."""
    patterns = [pattern for each in _PRECEDENCE for pattern in each]
    with suppress(OSError):
        return any(each.match(pattern) for each in directory.iterdir() for pattern in patterns)
    return False
