"""A model's state -> files: safetensors, where a tie is stored once, or what `torch.save` makes of a state dict."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import torch
from torch import nn

from paramctl.errors import failure, few
from paramctl.files import replacing
from paramctl.records import join
from paramctl.shards import index_path, older_files, shard_path, split
from paramctl.tensors.collect import bytes_of, named_modules
from paramctl.tensors.initializing.producing import Put
from paramctl.tensors.writing import pickled_file, safetensors_file
from paramctl.tensors.writing.sharded_file import writing_shards

_WHERE: Final = "--out"
_SUFFIXES: Final = (".safetensors", ".pt", ".pth", ".bin")


def state_names(net: nn.Module) -> tuple[dict[int, list[str]], list[str]]:
    """Return what a model's state consists of.

    Returns:
        The names of every parameter and persistent buffer, in model order, by the tensor's id; and the names of what
        else stands in the state dict, which the model's own code adds.

    Raises:
        ParamctlError: if code of the user's own, which may add to a state, fails.

    """
    names: dict[int, list[str]] = {}
    stored = pickled_file.state_dict_of(net).keys()
    for path, module in named_modules(net):
        parameters = module.named_parameters(recurse=False, remove_duplicate=False)
        buffers = module.named_buffers(recurse=False, remove_duplicate=False)
        for attribute, tensor in (*parameters, *buffers):
            name = join(path, attribute)
            if name in stored:
                names.setdefault(id(tensor), []).append(name)
    known = {name for every in names.values() for name in every}
    return names, [name for name in stored if name not in known]


def check_out(path: Path) -> None:
    """Refuse a file that no state can be written to, before anything is computed.

    Raises:
        ParamctlError: if its suffix names no format, or there is no such directory.

    """
    if path.suffix not in _SUFFIXES:
        hint = f"it ends in {', '.join(_SUFFIXES)}"
        raise failure(f"cannot tell the format of {path}", where=_WHERE, hint=hint)
    if not path.absolute().parent.is_dir():
        raise failure(f"there is no directory {path.parent}", where=_WHERE)


def holds_nothing(path: Path) -> bool:
    """Tell whether a file of this format is written as the values come, without holding them."""
    return path.suffix == ".safetensors"


@dataclass(frozen=True, slots=True)
class Target:
    """The files that a state is written to.

    Attributes:
        out: the file that the user named; its suffix is the format.
        shards: the shards that are written instead, with the ids of their tensors; none where one file holds all.
        older: files of a model that was written to `out` before; they are removed once the new ones are there.

    """

    out: Path
    shards: Mapping[Path, Sequence[int]] = field(default_factory=dict)
    older: Sequence[Path] = ()

    @property
    def written(self) -> Path:
        """The file that a loader is given: the index of the shards, where there are any."""
        return index_path(self.out) if self.shards else self.out


def plan_target(
    out: Path, tensors: Mapping[int, torch.Tensor], names: Mapping[int, list[str]], max_shard_size: int | None
) -> Target:
    """Decide which files a state is written to.

    Args:
        out: the file that the user named.
        tensors: the tensors of the model, by their ids.
        names: the names of each that is stored, by the same ids.
        max_shard_size: the most bytes of tensors in a shard; None for one file whatever its size.

    """
    if max_shard_size is None:
        return Target(out)
    ids = {first: key for key, (first, *_) in names.items()}
    parts = split({name: bytes_of(tensors[key]) for name, key in ids.items()}, max_shard_size)
    shards: dict[Path, list[int]] = {}
    if len(parts) > 1:
        for number, part in enumerate(parts, 1):
            shards[shard_path(out, number, len(parts))] = [ids[name] for name in part]
    return Target(out, shards, older_files(out, list(shards)))


@contextmanager
def writing_state(
    target: Target, tensors: Mapping[int, torch.Tensor], names: Mapping[int, list[str]], net: nn.Module
) -> Iterator[Put]:
    """Give what takes the values of a model's tensors, and have them in the files once the block has succeeded.

    Args:
        target: the files.
        tensors: the tensors of the model, by their ids. Of those on meta only shapes and dtypes count; all others have
            their values once the block ends, be it that these are put as well.
        names: the names of each that is stored, by the same ids.
        net: the model, whose state dict a pickle holds with all that its own code adds to it.

    Raises:
        ParamctlError: if a file cannot be written, or the format cannot hold a dtype.

    """
    with _in_shards(target, tensors, names) if target.shards else _in_one_file(target.out, tensors, names, net) as put:
        yield put
    for path in target.older:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise failure(f"cannot remove {path}: {error.strerror or error}", where=_WHERE) from error


def notes_on(target: Target, names: Mapping[int, list[str]], others: Sequence[str] = ()) -> list[str]:
    """Return what is to be known of the files: how ties are loaded, what they lack, what became of those before them.

    Args:
        target: the files.
        names: the names of each tensor that is stored, by its id.
        others: the names of what else stands in the state dict.

    """
    return [*_on_ties(target, names), *_on_what_is_left_out(target, others), *_on_older_files(target)]


def _on_ties(target: Target, names: Mapping[int, list[str]]) -> Iterator[str]:
    tied = [other for _, *others in names.values() for other in others]
    if tied and target.out.suffix == ".safetensors":
        restored = "safetensors.torch.load_model restores the tie"
        if target.shards:
            restored = "a model that ties them itself takes each shard by load_state_dict(shard, strict=False)"
        yield f"{few(tied)}: stored under the first of its names; {restored}"


def _on_what_is_left_out(target: Target, others: Sequence[str]) -> Iterator[str]:
    if others and holds_nothing(target.out):
        yield f"{few(others)}: neither parameter nor buffer, and left out; a .pt file holds all of the state dict"


def _on_older_files(target: Target) -> Iterator[str]:
    if target.older:
        yield f"removed {few([str(path) for path in target.older])}, of the model that was there before"
    index = index_path(target.out)
    if not target.shards and target.out.suffix == ".safetensors" and index.is_file():
        yield f"{index} stands beside {target.out.name}, and some loaders of the directory take the model that it lists"


@contextmanager
def _in_shards(target: Target, tensors: Mapping[int, torch.Tensor], names: Mapping[int, list[str]]) -> Iterator[Put]:
    stored = {key: first for key, (first, *_) in names.items()}
    shards = {path: {stored[key]: tensors[key] for key in keys} for path, keys in target.shards.items()}
    with writing_shards(target.out, shards, _ties(names), _WHERE) as place:
        yield _putting(place, stored)


@contextmanager
def _in_one_file(
    path: Path, tensors: Mapping[int, torch.Tensor], names: Mapping[int, list[str]], net: nn.Module
) -> Iterator[Put]:
    with replacing(path, _WHERE) as temporary:
        if holds_nothing(path):
            writing = _safetensors(temporary, tensors, names)
        else:
            writing = pickled_file.writing(temporary, tensors, names, net)
        with writing as put:
            yield put


def _putting(place: safetensors_file.Place, stored: Mapping[int, str]) -> Put:
    """Return what puts the elements of the tensors that are stored, by their ids, and drops all others."""

    def put(key: int, start: int, elements: torch.Tensor) -> None:
        if key in stored:
            place(stored[key], start, elements)

    return put


def _ties(names: Mapping[int, list[str]]) -> dict[str, str]:
    """Return the names that nothing is stored under, with those that their tensors are stored under."""
    return {other: first for first, *others in names.values() for other in others}


@contextmanager
def _safetensors(path: Path, tensors: Mapping[int, torch.Tensor], names: Mapping[int, list[str]]) -> Iterator[Put]:
    stored = {key: first for key, (first, *_) in names.items()}
    named = {name: tensors[key] for key, name in stored.items()}
    with _seekable(path) as file, safetensors_file.writing(file, named, {"format": "pt", **_ties(names)}) as place:
        yield _putting(place, stored)


@contextmanager
def _seekable(path: Path) -> Iterator[Path]:
    """Give a file in which elements can be put in any order: for a pipe or a device, one that is copied to it."""
    if path.is_file():
        yield path
        return
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "state")
        yield file
        with file.open("rb") as source, path.open("wb") as target:
            shutil.copyfileobj(source, target)
