"""A model's state -> a file: safetensors, where a tie is stored once, or what `torch.save` makes of a state dict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from paramctl.errors import failure
from paramctl.files import replacing
from paramctl.records import join
from paramctl.tensors import safetensors_file
from paramctl.tensors.collect import named_modules

_WHERE = "--out"


def state_names(net: nn.Module) -> dict[int, list[str]]:
    """Return the names of every parameter and persistent buffer, in model order, by the tensor's id."""
    names: dict[int, list[str]] = {}
    stored = net.state_dict().keys()
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


def save_state(path: Path, tensors: Mapping[int, torch.Tensor], names: Mapping[int, list[str]]) -> None:
    """Write a state.

    Args:
        path: the file; its suffix is the format.
        tensors: the values, by the id of the tensor in the model.
        names: the names of each, by the same id.

    Raises:
        ParamctlError: if the file cannot be written, or the format cannot hold a dtype.

    """
    with replacing(path, _WHERE) as temporary:
        _WRITERS[path.suffix](temporary, tensors, names)


def notes_on_ties(path: Path, names: Mapping[int, list[str]]) -> list[str]:
    """Return the note on how a file with ties is loaded, where its format stores each tensor once."""
    tied = [other for _, *others in names.values() for other in others]
    if path.suffix != ".safetensors" or not tied:
        return []
    listed = ", ".join(tied[:3]) + (f" and {len(tied) - 3:,} more" if tied[3:] else "")
    return [f"{listed}: stored under the first of its names; safetensors.torch.load_model restores the tie"]


def _save_safetensors(path: Path, tensors: Mapping[int, torch.Tensor], names: Mapping[int, list[str]]) -> None:
    metadata = {"format": "pt"}
    for first, *others in names.values():
        metadata |= dict.fromkeys(others, first)
    safetensors_file.write(path, {first: tensors[key] for key, (first, *_) in names.items()}, metadata)


def _save_pickle(path: Path, tensors: Mapping[int, torch.Tensor], names: Mapping[int, list[str]]) -> None:
    state: dict[str, torch.Tensor] = {}
    for key, every in names.items():
        state |= dict.fromkeys(every, tensors[key].detach())
    # Given a path, torch would write its name into the file, and this is a temporary one.
    with path.open("wb") as file:
        torch.save(state, file)


_WRITERS: Mapping[str, Callable[..., Any]] = {
    ".safetensors": _save_safetensors,
    ".pt": _save_pickle,
    ".pth": _save_pickle,
    ".bin": _save_pickle,
}
