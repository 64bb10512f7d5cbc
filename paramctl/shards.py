"""How a model is laid out over several safetensors files: sizes, splitting, names and index, as by huggingface_hub."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from paramctl.errors import failure, nearest

_UNITS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
        "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
    }
)  # fmt: skip
_SIZE: Final = re.compile(r"(\d{1,20}(?:\.\d{1,20})?) ?([A-Za-z]*)", re.ASCII)


def parse_size(text: str, where: str) -> int:
    """Return a number of bytes: ``5GB`` is 5 · 10⁹, ``5GiB`` 5 · 2³⁰, and what has no unit are bytes.

    Units are written as here and no other way: accelerate reads ``5Gb`` as bits, huggingface_hub as bytes.

    Args:
        text: the size as the user typed it.
        where: the option, for messages.

    Raises:
        ParamctlError: if it is no size, or less than a byte.

    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise failure(f"{text!r} is no size", where=where, hint="such as 5GB, 500MB or 2GiB")
    number, unit = found.groups()
    if unit and unit not in _UNITS:
        hint = nearest(unit, _UNITS) or f"one of {', '.join(_UNITS)}"
        raise failure(f"{text!r} has no unit of bytes", where=where, hint=hint)
    whole, _, fraction = number.partition(".")
    parts: int = 10 ** len(fraction)
    nbytes = int(whole + fraction) * _UNITS[unit or "B"] // parts
    if nbytes == 0:
        raise failure(f"{text!r} is less than a byte", where=where, hint="such as 5GB, 500MB or 2GiB")
    return nbytes


def split(sizes: Mapping[str, int], limit: int) -> list[list[str]]:
    """Return the names of the tensors in each shard, filled in the order given.

    A tensor above the limit has a shard of its own, which stands before the one that is being filled. This is the rule
    of huggingface_hub's ``split_torch_state_dict_into_shards`` and, by it, of transformers' ``save_pretrained``.

    Args:
        sizes: the bytes of each tensor by its name.
        limit: the most bytes of tensors in a shard of several.

    """
    shards: list[list[str]] = []
    filling: list[str] = []
    filled = 0
    for name, size in sizes.items():
        if size > limit:
            shards.append([name])
            continue
        if filled + size > limit:
            shards.append(filling)
            filling, filled = [], 0
        filling.append(name)
        filled += size
    return [*shards, filling] if filling else shards


def shard_path(out: Path, number: int, count: int) -> Path:
    """Return the path of a shard: the first of three is ``model-00001-of-00003.safetensors``."""
    return out.with_name(f"{out.stem}-{number:05d}-of-{count:05d}{out.suffix}")


def index_path(out: Path) -> Path:
    """Return the path of the index of ``model.safetensors``: ``model.safetensors.index.json``."""
    return out.with_name(f"{out.name}.index.json")


def is_part(path: Path, out: Path) -> bool:
    """Tell whether a path is what the index or some shard of `out` is called."""
    shard = rf"{re.escape(out.stem)}-\d{{5,}}-of-\d{{5,}}{re.escape(out.suffix)}"
    return path.parent == out.parent and (path == index_path(out) or re.fullmatch(shard, path.name) is not None)


def index_text(shards: Mapping[Path, Sequence[str]], total: int, ties: Mapping[str, str]) -> str:
    """Return the index of a model.

    Args:
        shards: the shards with the names of the tensors that each holds.
        total: the bytes of all tensors.
        ties: other names of stored tensors, with the names that they are stored under; huggingface_hub, too, notes them
            in the index's metadata.

    """
    weight_map = {name: path.name for path, names in shards.items() for name in names}
    size = {"total_size": total}
    return json.dumps({"metadata": size | {**ties} | size, "weight_map": weight_map}, indent=2) + "\n"


def older_files(out: Path, shards: Sequence[Path]) -> list[Path]:
    """Return what is left of a model that was written to `out` before and is now replaced, its index first.

    That is the one file, or the index with the shards that it lists, less what is written over. What no index lists
    belongs to no model that could be loaded, and is not touched.

    Args:
        out: the file that the user named.
        shards: the shards that are written instead of it; none where it is written itself.

    """
    index = index_path(out)
    listed = sorted({out.with_name(name) for name in _listed(index)})
    written = {*shards, index} if shards else {out}
    older = [index, out, *(path for path in listed if is_part(path, out) and path != index)]
    return [path for path in older if path not in written and path.is_file()]


def _listed(index: Path) -> Iterator[str]:
    """Yield the names of the files that an index lists; none where there is no index that can be read."""
    try:
        files = json.loads(index.read_bytes())["weight_map"].values()
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return
    yield from (file for file in files if isinstance(file, str) and file == Path(file).name)
