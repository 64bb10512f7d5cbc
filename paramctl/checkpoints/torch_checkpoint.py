"""A file of torch.save -> the records of the tensors in it, or in one part of it, and where their elements lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from paramctl.checkpoints.nesting import pick
from paramctl.checkpoints.stored import Checkpoint, Piece, record_of
from paramctl.checkpoints.torch_file import read_torch_file
from paramctl.checkpoints.torch_objects import Tensor
from paramctl.records import ITEM_SIZES, StorageSpan


def read_file(path: Path, name: str, key: str | None = None, *, with_modules: bool = False) -> Checkpoint:
    """Read what a file holds; entries with the very same elements are one tensor under several names.

    Args:
        path: the file.
        name: what messages call it.
        key: the dotted path of the part that is wanted; None for the weights.
        with_modules: whether the state of a module that was pickled whole is taken, too.

    Raises:
        ParamctlError: naming what is wrong with it, or what it would run.

    """
    root, storages = read_torch_file(path, name, with_modules=with_modules)
    part = pick(root, key, name)
    names: dict[tuple[str, str] | int, list[str]] = {}
    for each, tensor in part.tensors.items():
        names.setdefault(_identity(tensor), []).append(each)
    records = [
        record_of(first, part.tensors[first].shape, part.tensors[first].dtype, tuple(others))
        for first, *others in names.values()
    ]

    def locate(wanted: str) -> Sequence[Piece]:
        tensor = part.tensors[wanted]
        assert tensor.storage is not None, "a tensor without a storage is unreadable"
        extent = storages[tensor.storage.key]
        start = extent.start + tensor.storage.first
        return (
            Piece(
                path,
                start,
                tensor.storage.nbytes,
                tensor.offset,
                tensor.shape,
                tensor.strides,
                (0,) * len(tensor.shape),
            ),
        )

    def spans() -> Mapping[str, StorageSpan | None]:
        numbers: dict[str, int] = {}

        def span(tensor: Tensor) -> StorageSpan | None:
            if tensor.storage is None:
                return None
            key, itemsize = tensor.storage.key, ITEM_SIZES[tensor.dtype]
            number = numbers.setdefault(key, len(numbers))
            nbytes, base = storages[key].nbytes, tensor.storage.first
            return StorageSpan(number, tensor.offset, tensor.strides, itemsize, nbytes, base)

        return {each: span(tensor) for each, tensor in part.tensors.items()}

    unreadable = {each: tensor.unreadable for each, tensor in part.tensors.items() if tensor.unreadable is not None}
    return Checkpoint(records=records, locate=locate, spans=spans, unreadable=unreadable, notes=part.notes)


def _identity(tensor: Tensor) -> tuple[str, str] | int:
    """Return what is equal for the very same elements, in the same order.

    Its numbers are in a text: with those that a file may choose, any number of tensors have one hash. Two that lie in
    no storage are not the same for being alike.
    """
    return id(tensor) if tensor.storage is None else (tensor.storage.key, str((tensor.storage.first, *tensor[1:])))
