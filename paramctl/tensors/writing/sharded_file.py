"""Tensors -> safetensors shards and their index, which appear under their names only once all of them are complete."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch

from paramctl.errors import failure
from paramctl.files import replacing
from paramctl.shards import index_path, index_text
from paramctl.tensors.collect import bytes_of
from paramctl.tensors.writing import safetensors_file
from paramctl.tensors.writing.safetensors_file import Place


@contextmanager
def writing_shards(
    out: Path, shards: Mapping[Path, Mapping[str, torch.Tensor]], ties: Mapping[str, str], where: str
) -> Iterator[Place]:
    """Give what writes elements to their shards; once the block has succeeded, rename the shards, the index last.

    At no moment does an index list a shard of another model: one whose shards are written over goes before they do.

    Args:
        out: the file that the user named; it is not written.
        shards: the tensors of each shard by name; only shapes and dtypes count.
        ties: other names of these tensors, with the names that they are stored under.
        where: the option that named the file, for messages.

    Raises:
        ParamctlError: if the format cannot hold a dtype, or the disk not all shards, or if a file cannot be written.

    """
    total = sum(bytes_of(tensor) for tensors in shards.values() for tensor in tensors.values())
    safetensors_file.ensure_room(out.absolute().parent, total, "the shards")
    with ExitStack() as renaming:  # what was entered first is renamed last
        index = renaming.enter_context(replacing(index_path(out), where))
        temporary = {path: renaming.enter_context(replacing(path, where)) for path in shards}
        with ExitStack() as opened:
            places: dict[str, tuple[Path, Place]] = {}
            for path, tensors in shards.items():
                of_these = {other: name for other, name in ties.items() if name in tensors}
                with _naming(path, where):
                    file = safetensors_file.writing(temporary[path], tensors, {"format": "pt", **of_these})
                    places |= dict.fromkeys(tensors, (path, opened.enter_context(file)))

            def place(name: str, start: int, elements: torch.Tensor) -> None:
                path, place_in_shard = places[name]
                with _naming(path, where):
                    place_in_shard(name, start, elements)

            yield place
        index.write_text(index_text({path: list(tensors) for path, tensors in shards.items()}, total, ties))
        if any(path.exists() for path in shards):
            Path(os.path.realpath(index_path(out))).unlink(missing_ok=True)


@contextmanager
def _naming(path: Path, where: str) -> Iterator[None]:
    """Name the shard that cannot be written: `replacing`, inside which all are, would name the first."""
    try:
        yield
    except OSError as error:
        hint = "a larger --max-shard-size makes fewer files" if error.errno == errno.EMFILE else None
        raise failure(f"cannot write {path}: {error.strerror or error}", where=where, hint=hint) from error
