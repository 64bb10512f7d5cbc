"""Tensors of a checkpoint -> their statistics and elements, read by position into memory that is used again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import prod
from typing import Final, NamedTuple

import torch

from paramctl.analysis.listing import ListOptions, Measure
from paramctl.checkpoints.reading import OpenFile, opened
from paramctl.checkpoints.stored import Checkpoint, Piece, span_of
from paramctl.errors import failure
from paramctl.records import ParameterRecord, Shape, Statistics, Values
from paramctl.tensors.memory import ensure_fits
from paramctl.tensors.scratch import Scratch, ScratchPool, memory_of
from paramctl.tensors.statistics import BLOCK, MEASURED, Partial, measure_blocks, merged
from paramctl.tensors.threads import available_threads, share_out
from paramctl.tensors.values import TensorValues

_CHUNK: Final = BLOCK
"""How many elements are read at once: so many that a call costs nothing, so few that they stay in a core's cache."""


def measurer(checkpoint: Checkpoint, options: ListOptions) -> Measure:
    """Return what measures the tensors of a checkpoint by any of their names, as `options` says."""
    records = {name: record for record in checkpoint.records for name in record.names}
    reader = StoredReader(hist=options.hist)

    def measure_named(name: str) -> tuple[Statistics | None, Values | None]:
        record = records[name]
        if options.values:
            check_readable(checkpoint, record)
        elif why_unreadable(checkpoint, record) is not None:
            return None, None
        pieces = checkpoint.locate(record.name)
        stats = reader.measure(record, pieces) if options.measures else None
        values = TensorValues(reader.load(record, pieces)) if options.values else None
        return stats, values

    return measure_named


class _Chunk(NamedTuple):
    """Elements that are read at once.

    Attributes:
        place: where they belong in their tensor.
        first: the number of the first one.
        length: how many are read from there.
        shape: the sizes of those that count.
        strides: the steps between them.

    """

    place: tuple[slice, ...]
    first: int
    length: int
    shape: Shape
    strides: Shape


@dataclass(frozen=True, slots=True)
class StoredReader:
    """Reads tensors of files, on all cores.

    Attributes:
        hist: whether elements are counted by their size, where they are measured.
        scratches: what chunks are read into and blocks are measured in.

    """

    hist: bool = False
    scratches: ScratchPool = field(default_factory=ScratchPool)

    def measure(self, record: ParameterRecord, pieces: Sequence[Piece]) -> Statistics:
        """Return the statistics of a tensor, of which a few blocks are in memory at a time.

        Raises:
            ParamctlError: if a file cannot be read.

        """
        dtype = getattr(torch, record.dtype)
        total = merged(self._measure_piece(piece, dtype, record) for piece in pieces)
        return total.statistics()

    def load(self, record: ParameterRecord, pieces: Sequence[Piece]) -> torch.Tensor:
        """Return a tensor with all its elements.

        Raises:
            ParamctlError: if a file cannot be read, or the elements do not fit in memory.

        """
        dtype = getattr(torch, record.dtype)
        ensure_fits(record.nbytes, f"the elements of {record.name}")
        whole = torch.empty(record.shape, dtype=dtype)
        scratch = Scratch()
        for piece in pieces:
            slices = tuple(slice(at, at + size) for at, size in zip(piece.at, piece.shape, strict=True))
            order = _outermost_first(piece.strides)
            part = whole[slices].permute(order)
            shape, strides = (tuple(each[i] for i in order) for each in (piece.shape, piece.strides))
            with opened(piece.path, str(piece.path)) as file:
                for chunk in _chunks(piece.offset, shape, strides):
                    held = scratch.vector("read", chunk.length * dtype.itemsize, torch.uint8)
                    part[chunk.place].copy_(_read(file, piece, chunk, dtype, held))
        return whole

    def _measure_piece(self, piece: Piece, dtype: torch.dtype, record: ParameterRecord) -> Partial:
        shape, strides, repeats = _distinct(piece)
        if prod(shape) > span_of(shape, strides):
            raise failure(f"elements of {record.name} overlap: they cannot be measured", where=str(piece.path))
        chunks = list(_chunks(piece.offset, shape, strides))
        with opened(piece.path, str(piece.path)) as file:

            def measure_chunk(chunk: _Chunk) -> list[Partial]:
                with self.scratches.lend() as scratch:
                    held = scratch.vector("read", chunk.length * dtype.itemsize, torch.uint8)
                    elements = _read(file, piece, chunk, dtype, held).reshape(-1)
                    return list(measure_blocks(elements, scratch, hist=self.hist))

            partials = share_out(chunks, min(available_threads(), len(chunks)), lambda: measure_chunk)
            total = merged(chain.from_iterable(partials))
        return _repeated(total, repeats)


def check_readable(checkpoint: Checkpoint, record: ParameterRecord) -> None:
    """Refuse a tensor whose elements are not what lies in its file.

    Raises:
        ParamctlError: saying why.

    """
    why = why_unreadable(checkpoint, record)
    if why is not None:
        raise failure(f"the elements of {record.name} cannot be read: {why}")


def why_unreadable(checkpoint: Checkpoint, record: ParameterRecord) -> str | None:
    """Tell why the elements of a tensor are not what lies in its file; None where they are."""
    if record.name in checkpoint.unreadable:
        return checkpoint.unreadable[record.name]
    if getattr(torch, record.dtype) in MEASURED:
        return None
    return f"they are of {record.dtype}, which packs or quantizes them"


def _read(file: OpenFile, piece: Piece, chunk: _Chunk, dtype: torch.dtype, held: torch.Tensor) -> torch.Tensor:
    """Return the elements of a chunk; their bytes are read into a vector of so many, and are others when it is."""
    file.fill(memory_of(held), piece.start + chunk.first * dtype.itemsize)
    # A byte other than 0 and 1 is no bool that torch could count.
    elements = held.ne(0) if dtype == torch.bool else held.view(dtype)
    return elements.as_strided(chunk.shape, chunk.strides)


def _outermost_first(strides: Shape) -> list[int]:
    """Return the dimensions in the order in which a tensor that was merely transposed lies row by row."""
    return sorted(range(len(strides)), key=strides.__getitem__, reverse=True)


def _distinct(piece: Piece) -> tuple[Shape, Shape, int]:
    """Return the shape and the strides of the elements that differ in place, and how often each of them counts.

    Dimensions that lie one behind the other are one.
    """
    if 0 in piece.shape:
        return (0,), (1,), 1
    shape: list[int] = []
    strides: list[int] = []
    repeats = 1
    for i in _outermost_first(piece.strides):
        size, stride = piece.shape[i], piece.strides[i]
        if stride == 0:
            repeats *= size
        elif shape and strides[-1] == size * stride:
            shape[-1], strides[-1] = shape[-1] * size, stride
        elif size > 1:
            shape.append(size)
            strides.append(stride)
    return tuple(shape) or (1,), tuple(strides) or (1,), repeats


def _chunks(first: int, shape: Shape, strides: Shape, index: tuple[slice, ...] = ()) -> Iterator[_Chunk]:
    """Cut elements, of which the outermost dimension comes first, into chunks that a buffer holds."""
    length = span_of(shape, strides)
    if length <= _CHUNK:
        yield _Chunk(index, first, length, (1,) * len(index) + shape, (1,) * len(index) + strides)
        return
    inner = span_of(shape[1:], strides[1:])
    rows = max(1, (_CHUNK - inner) // strides[0] + 1)
    for start in range(0, shape[0], rows):
        some = min(rows, shape[0] - start)
        place, at = first + start * strides[0], (*index, slice(start, start + some))
        if some == 1:
            yield from _chunks(place, shape[1:], strides[1:], at)
        else:
            ones = (1,) * len(index)
            span = span_of((some, *shape[1:]), strides)
            yield _Chunk(at, place, span, (*ones, some, *shape[1:]), (*ones, *strides))


def _repeated(partial: Partial, times: int) -> Partial:
    """Return the sums of elements each of which counts several times."""
    total = Partial()
    while times:
        if times & 1:
            total = total.merged(partial)
        partial, times = partial.merged(partial), times >> 1
    return total
