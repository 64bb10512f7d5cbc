"""Tensors of a checkpoint -> what stands for their values, read in logical order, of which a part is in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import prod
from typing import Final, TypeAlias

import torch

from paramctl.analysis.equality import Digests
from paramctl.analysis.storages import listed
from paramctl.checkpoints.reading import opened
from paramctl.checkpoints.stored import Checkpoint, Piece, contiguous_strides, span_of
from paramctl.records import ITEM_SIZES, ParameterRecord, Shape
from paramctl.tensors.sharing.digests import digests_of
from paramctl.tensors.stored import StoredReader, why_unreadable
from paramctl.tensors.threads import Budget

_AT_ONCE: Final = 2**19
"""The elements that are read at once of a tensor that lies in its file as it is hashed."""
_IN_SLABS: Final = 2**26
"""The bytes that all threads together hold of tensors that lie in another order, or in several parts."""
_MOST_REPEATED: Final = 2**30
"""The bytes of a tensor that repeats its elements which are hashed: a file of a few bytes could hold any number."""
_MOST_VIEWS: Final = 16
"""How often the bytes of a storage are read for its views, where that is more than `_MOST_REPEATED`."""

_Box: TypeAlias = tuple[slice, ...]
"""A part of a tensor, in each dimension."""


def digests_of_stored(checkpoint: Checkpoint, records: Iterable[ParameterRecord]) -> tuple[Digests, list[str]]:
    """Return the digest of each tensor by its first name, and notes on those that were not read.

    Each element is read once, on all cores, but for those that lie in another order than they are counted in, such as
    a transposed tensor's: of these, as much is read again as does not fit in memory at once.

    Raises:
        ParamctlError: if a file cannot be read.

    """
    readable: list[ParameterRecord] = []
    left_out: dict[str, list[str]] = {}
    spent: dict[int, int] = {}
    for record in records:
        why = why_unreadable(checkpoint, record) or _why_too_long(record, spent)
        if why is None:
            readable.append(record)
        else:
            left_out.setdefault(why, []).append(record.name)
    budget = Budget(_IN_SLABS)
    found = digests_of((record.name, _blocks(checkpoint, record, budget)) for record in readable)
    return found, [f"not compared by value: {listed(names)}: {why}" for why, names in left_out.items()]


def _why_too_long(record: ParameterRecord, spent: dict[int, int]) -> str | None:
    """Tell why a tensor is not read; `spent` counts the bytes that are read of each storage, by its number."""
    if record.span is None:
        return None
    if record.nbytes > _MOST_REPEATED and record.numel > span_of(record.shape, record.span.strides):
        return "elements are repeated in place to more than 1 GiB"
    held = record.span.storage_nbytes
    if held is not None:
        nbytes = spent.get(record.span.storage, 0) + record.nbytes
        if nbytes > max(_MOST_REPEATED, _MOST_VIEWS * held):
            return f"with the views before it more than {_MOST_VIEWS} times their storage would be read"
        spent[record.span.storage] = nbytes
    return None


def _blocks(checkpoint: Checkpoint, record: ParameterRecord, budget: Budget) -> Iterator[torch.Tensor]:
    """Yield the elements of a tensor in logical order; each block is another one when the next is asked for."""
    pieces = checkpoint.locate(record.name)
    if len(pieces) == 1 and _is_contiguous(pieces[0]):
        yield from _consecutive(pieces[0], getattr(torch, record.dtype))
        return
    reader = StoredReader()
    itemsize = ITEM_SIZES[record.dtype]
    for box in _boxes(record.shape, _IN_SLABS // itemsize):
        part = record._replace(shape=tuple(each.stop - each.start for each in box))
        with budget.holding(part.nbytes):
            yield reader.load(part, list(_within(pieces, box))).reshape(-1)


def _is_contiguous(piece: Piece) -> bool:
    steps = zip(piece.shape, piece.strides, contiguous_strides(piece.shape), strict=True)
    return all(stride == expected for size, stride, expected in steps if size > 1)


def _consecutive(piece: Piece, dtype: torch.dtype) -> Iterator[torch.Tensor]:
    """Yield elements that lie one behind the other, in memory that is used again."""
    left = prod(piece.shape) * dtype.itemsize
    start = piece.start + piece.offset * dtype.itemsize
    memory = bytearray(min(left, _AT_ONCE * dtype.itemsize))
    with opened(piece.path, str(piece.path)) as file:
        while left:
            nbytes = min(left, len(memory))
            file.fill(memoryview(memory)[:nbytes], start)
            yield torch.frombuffer(memory, dtype=dtype, count=nbytes // dtype.itemsize)
            start, left = start + nbytes, left - nbytes


def _boxes(shape: Shape, most: int, index: _Box = ()) -> Iterator[_Box]:
    """Cut a tensor into parts that follow one another in logical order, of so many elements at most."""
    inner = prod(shape[1:])
    rows = max(most // inner, 1)
    for start in range(0, shape[0], rows):
        at = (*index, slice(start, min(start + rows, shape[0])))
        if inner > most:
            yield from _boxes(shape[1:], most, at)
        else:
            yield (*at, *[slice(0, size) for size in shape[1:]])


def _within(pieces: Sequence[Piece], box: _Box) -> Iterator[Piece]:
    """Yield what of pieces lies in a part of their tensor, with their places in that part."""
    for piece in pieces:
        first = [max(at, each.start) for at, each in zip(piece.at, box, strict=True)]
        behind = [min(at + size, each.stop) for at, size, each in zip(piece.at, piece.shape, box, strict=True)]
        shape = tuple(b - a for a, b in zip(first, behind, strict=True))
        if min(shape) > 0:
            skipped = zip(first, piece.at, piece.strides, strict=True)
            offset = piece.offset + sum((a - at) * stride for a, at, stride in skipped)
            place = tuple(a - each.start for a, each in zip(first, box, strict=True))
            yield piece._replace(offset=offset, shape=shape, at=place)
