"""A live module -> what of it may share memory: a pass that looks at each parameter once and keeps little of it.

Most parameters have one name and a storage of their own. They are summed up; only the others become records.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

import torch
from torch import nn

from paramctl.analysis.sharing import MemorySurvey
from paramctl.records import Kind, ParameterRecord, StorageSpan, join
from paramctl.tensors.collect import bytes_of, dtype_name, places_of_modules
from paramctl.tensors.sharing.slots import Place, Slots, find_slots, numbers_of
from paramctl.tensors.storages import Memory, Region, regions_of, repeated_in, storages_of


class Tensors(NamedTuple):
    """The slots of a module's parameters, and those of its buffers."""

    parameters: Slots
    buffers: Slots


def survey(root: nn.Module, *, every: bool = False) -> MemorySurvey:
    """Survey the parameters of a module, and the buffers that lie in their storages.

    Args:
        root: the module.
        every: whether every parameter becomes a record, also those that share nothing.

    """
    return survey_tensors(find_tensors(root), every=every)


def find_tensors(root: nn.Module) -> Tensors:
    """Find what a module holds, and which parameters it holds under several names, by `id()`."""
    paths, modules = places_of_modules(root)
    return Tensors(find_slots(paths, modules, "_parameters"), find_slots(paths, modules, "_buffers"))


def survey_tensors(tensors: Tensors, *, every: bool = False) -> MemorySurvey:
    """Survey what a module holds; see `survey`."""
    slots, buffers = tensors
    keys, distinct = slots.distinct
    memory, beside = storages_of(keys, distinct), storages_of(*buffers.distinct)
    regions = regions_of([*memory.addresses, *beside.addresses], [*memory.sizes, *beside.sizes])
    wanted = set(keys) if every else _with_company(slots, memory, regions.keys() | set(beside.addresses))
    standing = numbers_of(wanted, slots.keys)
    storages, numbering = memory.storages(standing), _Numbers(regions)
    records = [
        _record(slots, numbers, "parameter", numbering.span(slots.tensors[numbers[0]], storages.get(key)))
        for key, numbers in standing.items()
    ]
    order = {
        name: number
        for record, numbers in zip(records, standing.values(), strict=True)
        for name, number in zip(record.names, numbers, strict=True)
    }
    kept = [slots.tensors[first] for first, *_ in standing.values()]
    without = [tensor for tensor in memory.without if id(tensor) not in standing]
    return MemorySurvey(
        records=[*records, *_buffers_beside(buffers, beside, numbering)] if records else [],
        identities={record.name: key for record, key in zip(records, standing, strict=True)},
        order=order,
        alone_numel=sum(map(torch.Tensor.numel, distinct)) - sum(map(torch.Tensor.numel, kept)),
        # What is not kept takes all of its storage.
        alone_nbytes=sum(memory.sizes) - sum(each.nbytes for each in storages.values()) + sum(map(bytes_of, without)),
    )


def _with_company(slots: Slots, memory: Memory, meeting: AbstractSet[int]) -> set[int]:
    """Return the parameters with several names, or with a storage that holds anything but their elements."""
    shared = repeated_in(memory.addresses) | meeting
    keys = memory.odd.union(slots.repeated)
    if shared:
        pairs = zip(memory.keys, memory.addresses, strict=True)
        keys |= {key for key, address in pairs if address in shared}
    return keys


def _buffers_beside(buffers: Slots, memory: Memory, numbering: _Numbers) -> Iterator[ParameterRecord]:
    """Yield the buffers that lie in a storage of a parameter."""
    storages = {key: each for key, each in memory.storages(buffers.keys).items() if numbering.has(each)}
    for key, numbers in numbers_of(storages, buffers.keys).items():
        yield _record(buffers, numbers, "buffer", numbering.span(buffers.tensors[numbers[0]], storages[key]))


def find_repeated(root: nn.Module) -> dict[int, list[Place]]:
    """Return everywhere that those parameters of a module stand that have several names, by their `id()`."""
    slots = find_slots(*places_of_modules(root), "_parameters")
    return {key: [slots.place(number) for number in numbers] for key, numbers in slots.repeated.items()}


class _Numbers:
    """Numbers storages from 0 as they are met; storages that meet are one."""

    def __init__(self, regions: Mapping[int, Region]) -> None:
        self.regions = regions
        self.numbers: dict[int, int] = {}

    def has(self, storage: Region) -> bool:
        """Tell whether a storage has been met."""
        return self.region(storage).start in self.numbers

    def region(self, storage: Region) -> Region:
        return self.regions.get(storage.start, storage)

    def span(self, tensor: torch.Tensor, storage: Region | None) -> StorageSpan | None:
        """Return the memory of a tensor."""
        if storage is None or tensor.layout is not torch.strided or tensor.is_nested:
            return None
        region = self.region(storage)
        return StorageSpan(
            storage=self.numbers.setdefault(region.start, len(self.numbers)),
            offset=int(tensor.storage_offset()),
            strides=tensor.stride(),
            itemsize=tensor.element_size(),
            storage_nbytes=region.nbytes,
            base=storage.start - region.start,
        )


def _record(slots: Slots, numbers: Sequence[int], kind: Kind, span: StorageSpan | None) -> ParameterRecord:
    tensor, places = slots.tensors[numbers[0]], [slots.place(number) for number in numbers]
    name, *aliases = [join(path, attribute) for path, attribute, _ in places]
    path, _, module = places[0]
    return ParameterRecord(
        name,
        path,
        type(module).__name__,
        kind,
        tuple(tensor.shape),
        dtype_name(tensor.dtype),
        tensor.requires_grad,
        tuple(aliases),
        len({(id(holder), attribute) for _, attribute, holder in places}),
        span=span,
    )
