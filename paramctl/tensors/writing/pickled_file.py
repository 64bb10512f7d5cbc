"""A model's state -> the file that `torch.save` makes of its state dict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from paramctl.tensors import user_code
from paramctl.tensors.initializing.producing import Put
from paramctl.tensors.writing.safetensors_file import ensure_room


def state_dict_of(net: nn.Module) -> dict[str, Any]:
    """Return the state dict of a model: its parameters and persistent buffers, and whatever its own code adds.

    Raises:
        ParamctlError: if that code fails.

    """
    state: dict[str, Any] = user_code.call_theirs("state_dict", net.state_dict)
    return state


@contextmanager
def writing(
    path: Path, tensors: Mapping[int, torch.Tensor], names: Mapping[int, list[str]], net: nn.Module
) -> Iterator[Put]:
    """Give what takes the values of a model's tensors, and write its state dict once the block has succeeded.

    Args:
        path: the file.
        tensors: the tensors of the model, by their ids; those that are not on meta have their values in the end.
        names: the names of each in the state dict, by the same ids.
        net: the model.

    Raises:
        ParamctlError: if the disk cannot hold the file.
        OSError: if the file cannot be written.

    """
    values = {
        key: torch.empty(made.shape, dtype=made.dtype, device="cpu") if made.is_meta else made.detach()
        for key, made in ((key, tensors[key]) for key in names)
    }
    if path.is_file():
        ensure_room(path.parent, _bytes_in_memory(values.values()), "the file")

    def put(key: int, start: int, elements: torch.Tensor) -> None:
        if key in values and tensors[key].is_meta:
            values[key].view(-1)[start : start + elements.numel()] = elements.detach().reshape(-1)

    yield put
    state = state_dict_of(net)
    for key, every in names.items():
        state.update(dict.fromkeys(every, values[key]))
    # Given a path, torch would write its name into the file, and this is a temporary one.
    with path.open("wb") as file, _telling_why():
        torch.save(state, file)


def _bytes_in_memory(tensors: Iterable[torch.Tensor]) -> int:
    """Return the bytes of the storages that tensors lie in, which is what `torch.save` writes, each counted once."""
    dense = (tensor.untyped_storage() for tensor in tensors if tensor.layout is torch.strided)
    return sum({storage.data_ptr(): storage.nbytes() for storage in dense}.values())


@contextmanager
def _telling_why() -> Iterator[None]:
    """Raise the error of a write that failed, which torch replaces by one about the end of its archive."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from error
        raise
