"""A model's state -> a file: safetensors, where a tie is stored once, or what `torch.save` makes of a state dict."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import torch
from torch import nn

from paramctl.errors import failure
from paramctl.files import replacing
from paramctl.records import join
from paramctl.tensors import safetensors_file, user_code
from paramctl.tensors.collect import named_modules
from paramctl.tensors.producing import Put

_WHERE = "--out"


def state_names(net: nn.Module) -> dict[int, list[str]]:
    """Return the names of every parameter and persistent buffer, in model order, by the tensor's id.

    Raises:
        ParamctlError: if code of the user's own, which may add to a state, fails.

    """
    names: dict[int, list[str]] = {}
    stored = user_code.call_theirs("state_dict", net.state_dict).keys()
    for path, module in named_modules(net):
        parameters = module.named_parameters(recurse=False, remove_duplicate=False)
        buffers = module.named_buffers(recurse=False, remove_duplicate=False)
        for attribute, tensor in (*parameters, *buffers):
            name = join(path, attribute)
            if name in stored:
                names.setdefault(id(tensor), []).append(name)
    return names


def check_out(path: Path) -> None:
    """Refuse a file that no state can be written to, before anything is computed.

    Raises:
        ParamctlError: if its suffix names no format, or there is no such directory.

    """
    if path.suffix not in _WRITERS:
        hint = f"it ends in {', '.join(_WRITERS)}"
        raise failure(f"cannot tell the format of {path}", where=_WHERE, hint=hint)
    if not path.absolute().parent.is_dir():
        raise failure(f"there is no directory {path.parent}", where=_WHERE)


def holds_nothing(path: Path) -> bool:
    """Tell whether a file of this format is written as the values come, without holding them."""
    return path.suffix == ".safetensors"


@contextmanager
def writing_state(path: Path, tensors: Mapping[int, torch.Tensor], names: Mapping[int, list[str]]) -> Iterator[Put]:
    """Give what takes the values of a model's tensors, and have them in the file once the block has succeeded.

    Args:
        path: the file; its suffix is the format.
        tensors: the tensors of the model, by their ids; only shapes and dtypes count.
        names: the names of each that is stored, by the same ids.

    Raises:
        ParamctlError: if the file cannot be written, or the format cannot hold a dtype.

    """
    with replacing(path, _WHERE) as temporary, _WRITERS[path.suffix](temporary, tensors, names) as put:
        yield put


def notes_on_ties(path: Path, names: Mapping[int, list[str]]) -> list[str]:
    """Return the note on how a file with ties is loaded, where its format stores each tensor once."""
    tied = [other for _, *others in names.values() for other in others]
    if path.suffix != ".safetensors" or not tied:
        return []
    listed = ", ".join(tied[:3]) + (f" and {len(tied) - 3:,} more" if tied[3:] else "")
    return [f"{listed}: stored under the first of its names; safetensors.torch.load_model restores the tie"]


@contextmanager
def _safetensors(path: Path, tensors: Mapping[int, torch.Tensor], names: Mapping[int, list[str]]) -> Iterator[Put]:
    metadata = {"format": "pt"}
    for first, *others in names.values():
        metadata |= dict.fromkeys(others, first)
    stored = {key: first for key, (first, *_) in names.items()}
    named = {name: tensors[key] for key, name in stored.items()}
    with _seekable(path) as file, safetensors_file.writing(file, named, metadata) as place:

        def put(key: int, start: int, elements: torch.Tensor) -> None:
            if key in stored:
                place(stored[key], start, elements)

        yield put


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


@contextmanager
def _pickle(path: Path, tensors: Mapping[int, torch.Tensor], names: Mapping[int, list[str]]) -> Iterator[Put]:
    values = {
        key: torch.empty_like(tensors[key], device="cpu") if tensors[key].is_meta else tensors[key].detach()
        for key in names
    }

    def put(key: int, start: int, elements: torch.Tensor) -> None:
        if key in values and tensors[key].is_meta:
            values[key].view(-1)[start : start + elements.numel()] = elements.detach().reshape(-1)

    yield put
    state = {name: values[key] for key, every in names.items() for name in every}
    # Given a path, torch would write its name into the file, and this is a temporary one.
    with path.open("wb") as file:
        torch.save(state, file)


_WRITERS: Mapping[str, Callable[..., AbstractContextManager[Put]]] = {
    ".safetensors": _safetensors,
    ".pt": _pickle,
    ".pth": _pickle,
    ".bin": _pickle,
}
