"""A module -> a small copy of it that shares memory as it does, on which anything can be tried.

Modules are those of the model, with their own hooks and methods; only their tensors are small stand-ins.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from operator import mul

import torch
from torch import nn

from paramctl.records import ParameterRecord, Shape, StorageSpan

MOST_BYTES = 2**26
"""The largest storage that is copied in its own size, where it cannot be made small."""


class NotTriedError(Exception):
    """Something cannot be tried on a copy; the message says why."""


def small_copy(
    module: nn.Module, records: Sequence[ParameterRecord], identities: Mapping[str, int], device: str = "cpu"
) -> nn.Module:
    """Return a copy of a module with small tensors that share memory as the module's do.

    Args:
        module: the module, which is only looked at.
        records: the parameters that share something.
        identities: the `id()` of each, by its first name.
        device: where the tensors of the copy are: on the CPU they hold 0, 1, 2 … in each storage.

    Raises:
        NotTriedError: if a storage is large and cannot be made small, or the module cannot be copied.

    """
    try:
        copied: nn.Module = copy.deepcopy(module, _memo(module, records, identities, device))
    except NotTriedError:
        raise
    except Exception as error:
        message = f"the model cannot be copied: {type(error).__name__}: {error}"
        raise NotTriedError(message) from error
    return copied


def _memo(
    module: nn.Module, records: Sequence[ParameterRecord], identities: Mapping[str, int], device: str
) -> dict[int, object]:
    """Return the stand-in of every tensor of a module, by its `id()`, for `deepcopy` to put in its place."""
    tensors = {id(each): each for each in (*module.parameters(), *module.buffers())}
    by_storage: dict[int, list[ParameterRecord]] = {}
    for record in records:
        if record.span is not None and record.kind == "parameter":
            by_storage.setdefault(record.span.storage, []).append(record)
    stand_ins = {
        identities[record.name]: stand_in
        for sharing in by_storage.values()
        for record, stand_in in zip(sharing, _stand_ins(sharing, device), strict=True)
    }
    for key, tensor in tensors.items():
        if key not in stand_ins:
            stand_ins[key] = torch.zeros([min(size, 1) for size in tensor.shape], dtype=tensor.dtype, device=device)
    return {key: _like(tensors[key], stand_in) for key, stand_in in stand_ins.items()}


def _like(original: torch.Tensor, stand_in: torch.Tensor) -> torch.Tensor:
    if isinstance(original, nn.Parameter):
        return nn.Parameter(stand_in, requires_grad=original.requires_grad)
    return stand_in


def _stand_ins(records: Sequence[ParameterRecord], device: str) -> list[torch.Tensor]:
    """Return small tensors that share a storage as those of the records do; in their own size if that is not large."""
    spans = [record.span for record in records if record.span is not None]
    small = _shrunk(records, spans)
    if small is None:
        nbytes = spans[0].storage_nbytes or 0
        if nbytes > MOST_BYTES:
            names = " and ".join(record.name for record in records[:2])
            raise NotTriedError(f"the storage of {names} is large ({nbytes:,} bytes), and cannot be made small")
        if any(span.base % span.itemsize for span in spans):
            raise NotTriedError(f"{records[0].name} lies between the elements of another array")
        small = [(record.shape, span) for record, span in zip(records, spans, strict=True)]
    else:
        nbytes = max(_reach(shape, span) for shape, span in small)
    dtype = getattr(torch, records[0].dtype)
    storage = torch.zeros(nbytes, dtype=torch.uint8, device=device)
    if device != "meta" and nbytes % dtype.itemsize == 0:
        counted = storage.view(dtype)
        counted.copy_(torch.arange(counted.numel(), device=device) % 100)
    return [
        torch.empty(0, dtype=getattr(torch, record.dtype), device=device).set_(
            storage.untyped_storage(), span.offset + span.base // span.itemsize, shape, span.strides
        )
        for record, (shape, span) in zip(records, small, strict=True)
    ]


def _reach(shape: Shape, span: StorageSpan) -> int:
    """Return the bytes from the start of a storage to the end of a tensor."""
    last = sum((size - 1) * stride for size, stride in zip(shape, span.strides, strict=True))
    return (span.offset + last + 1) * span.itemsize


def _shrunk(records: Sequence[ParameterRecord], spans: Sequence[StorageSpan]) -> list[tuple[Shape, StorageSpan]] | None:
    """Return smaller shapes and strides where all tensors are the whole storage, in whatever order of dimensions.

    None where they are not: what overlaps in part, say, would overlap otherwise.
    """
    orders = {tuple(_memory_order(record.shape, span)) for record, span in zip(records, spans, strict=True)}
    sizes, strides = zip(*next(iter(orders)), strict=True) if () not in orders else ((), ())
    is_whole = all(
        span.offset == span.base == 0 and span.storage_nbytes == record.nbytes
        for record, span in zip(records, spans, strict=True)
    )
    if len(orders) > 1 or not is_whole or strides != _row_major(sizes) or len({each.dtype for each in records}) > 1:
        return None
    small_strides = _row_major([min(size, 2) for size in sizes])
    small = dict(zip(strides, small_strides, strict=True))
    return [
        (
            tuple(min(size, 2) for size in record.shape),
            span._replace(strides=tuple(small.get(stride, 1) for stride in span.strides)),
        )
        for record, span in zip(records, spans, strict=True)
    ]


def _row_major(sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the strides of a contiguous tensor."""
    return tuple(accumulate(reversed(sizes), mul, initial=1))[-2::-1]


def _memory_order(shape: Shape, span: StorageSpan) -> Iterable[tuple[int, int]]:
    """Return the sizes and strides of the dimensions that have more than one element, the largest stride first."""
    pairs = zip(shape, span.strides, strict=True)
    return sorted(((size, stride) for size, stride in pairs if size != 1), key=lambda pair: -pair[1])
