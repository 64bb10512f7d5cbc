"""What a checkpoint holds: the records of its tensors, and where their elements lie."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from paramctl.checkpoints.reading import clipped
from paramctl.errors import failure, few, nearest
from paramctl.records import ITEM_SIZES, Inventory, ModuleRecord, ParameterRecord, Shape, StorageSpan

MAX_DIMENSIONS = 64
"""The most dimensions of a tensor; torch's own loops take no more."""
MAX_NAME = 10_000
"""The most characters of a name; names of 100 are long."""
MAX_DEPTH = 200
"""The deepest nesting of modules that a tree shows, as in a spec."""
MAX_MODULES = 1_000_000
"""The most modules that a tree shows."""
_MOST_LIKENED = 1000
"""With how many names a misspelt one is compared."""


class Piece(NamedTuple):
    """Elements of one tensor that lie in one stretch of a file, which is one storage or a part of one.

    Attributes:
        path: the file.
        start: the byte at which the storage begins.
        nbytes: the bytes of the storage.
        offset: the number of the first element, counted in elements from there.
        shape: the sizes of the piece.
        strides: the steps between its elements, counted in elements.
        at: its place in the tensor, in each dimension.

    """

    path: Path
    start: int
    nbytes: int
    offset: int
    shape: Shape
    strides: Shape
    at: Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What was read of a checkpoint.

    Attributes:
        records: its tensors in its own order, each once, whatever the number of its names.
        locate: returns the pieces in which the elements of a tensor lie, by the first of its names; a tensor of several
            shards has several.
        spans: returns the memory that the tensor of each name takes once it is loaded, in the order of the file; None
            for one that lies in no storage, and nothing at all where every tensor has memory of its own.
        unreadable: why the elements of a tensor are not what lies in the file, by the first of its names.
        notes: what the user should know besides.

    """

    records: Sequence[ParameterRecord]
    locate: Callable[[str], Sequence[Piece]]
    spans: Callable[[], Mapping[str, StorageSpan | None]] = dict
    unreadable: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    notes: tuple[str, ...] = ()

    def inventory(self, *, modules: bool) -> Inventory:
        """Return what it holds; its modules, where they are wanted, are the dotted prefixes of its names.

        Raises:
            ParamctlError: if a name has so many parts that no model has such modules.

        """
        records = tuple(self.records)
        return Inventory(records, (), tuple(_modules(records)) if modules else (), unreadable=self.unreadable)

    def below(self, key: str, name: str) -> Checkpoint:
        """Return the tensors whose names begin with a dotted path, under the names that they have behind it.

        Raises:
            ParamctlError: if there is none; `name` is what messages call the checkpoint.

        """
        prefix = f"{key}."
        inside: dict[str, ParameterRecord] = {}
        originals: dict[str, str] = {}
        for record in self.records:
            names = [each.removeprefix(prefix) for each in record.names if each.startswith(prefix)]
            for first in names[:1]:
                inside[first] = record_of(first, record.shape, record.dtype, tuple(names[1:]))
                originals[first] = record.name
        if not inside:
            parts = dict.fromkeys(clipped(each.name.partition(".")[0]) for each in self.records)
            hint = nearest(key, islice(parts, _MOST_LIKENED)) or f"they begin with {few(list(parts), 8)}"
            raise failure(f"no name in {name} begins with {prefix!r}", where="--key", hint=hint)
        return Checkpoint(
            records=list(inside.values()),
            locate=lambda wanted: self.locate(originals[wanted]),
            spans=lambda: {
                each.removeprefix(prefix): span for each, span in self.spans().items() if each.startswith(prefix)
            },
            unreadable={new: self.unreadable[old] for new, old in originals.items() if old in self.unreadable},
            notes=self.notes,
        )


def record_of(name: str, shape: Shape, dtype: str, aliases: tuple[str, ...] = ()) -> ParameterRecord:
    """Return the record of a tensor in a checkpoint, whose module is known by its name alone."""
    module = name.rpartition(".")[0]
    return ParameterRecord(name, module, None, "tensor", shape, dtype, None, aliases, owners=1 + len(aliases))


def contiguous_strides(shape: Shape) -> Shape:
    """Return the strides of a tensor whose elements lie one behind the other in row-major order."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


def contiguous_piece(path: Path, start: int, shape: Shape, dtype: str) -> Piece:
    """Return the piece of a tensor that fills its storage in row-major order."""
    nbytes = prod(shape) * ITEM_SIZES[dtype]
    return Piece(path, start, nbytes, 0, shape, contiguous_strides(shape), (0,) * len(shape))


def span_of(shape: Shape, strides: Shape) -> int:
    """Return the elements from the first to the last of a strided tensor, those between them included."""
    if 0 in shape:
        return 0
    return 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))


def _modules(records: Iterable[ParameterRecord]) -> Iterator[ModuleRecord]:
    """Yield every prefix of a name, the outer ones first."""
    met = {""}
    yield ModuleRecord("", None)
    for record in records:
        for name in record.names:
            path = name.rpartition(".")[0]
            if path not in met:
                missing = list(_new_prefixes(path, met))
                met.update(missing)
                if len(met) > MAX_MODULES:
                    raise failure(f"the names have more than {MAX_MODULES:,} parts that hold others", where="MODEL")
                yield from (ModuleRecord(each, None) for each in reversed(missing))


def _new_prefixes(path: str, met: Container[str]) -> Iterator[str]:
    if path.count(".") > MAX_DEPTH:
        raise failure(f"the name has more than {MAX_DEPTH} parts", path=f"{path[:60]}…")
    while path not in met:
        yield path
        path = path.rpartition(".")[0]
