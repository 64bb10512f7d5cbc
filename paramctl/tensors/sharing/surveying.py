"""A live module -> what of it may share memory: a pass that looks at each parameter once and keeps little of it.

Most parameters have one name and a storage of their own. They are summed up; only the others become records.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from torch import nn

from paramctl.analysis.sharing import MemorySurvey
from paramctl.records import Kind, ParameterRecord, StorageSpan, join
from paramctl.tensors.collect import bytes_of, dtype_name, places_of_modules
from paramctl.tensors.storages import Memory, Region, regions_of, repeated_in, storages_of

Place: TypeAlias = tuple[int, str, str, nn.Module]
"""Where a tensor stands: the number of its name in model order, its module's path, its attribute there, the module."""


class Tensors(NamedTuple):
    """What a module holds.

    Attributes:
        paths: the paths of every place of a module in it.
        modules: the module at each.
        parameters: the distinct parameters by `id()`, in model order.
        buffers: the distinct buffers, alike.
        repeated: the parameters that have several names.
    """

    paths: list[str]
    modules: list[nn.Module]
    parameters: dict[int, nn.Parameter]
    buffers: dict[int, torch.Tensor]
    repeated: set[int]


def survey(root: nn.Module, *, every: bool = False) -> MemorySurvey:
    """Survey the parameters of a module, and the buffers that lie in their storages.

    Args:
        root: the module.
        every: whether every parameter becomes a record, also those that share nothing.

    """
    return survey_tensors(find_tensors(root), every=every)


def survey_tensors(tensors: Tensors, *, every: bool = False) -> MemorySurvey:
    """Survey what a module holds; see `survey`."""
    _, _, parameters, buffers, repeated = tensors
    memory, beside = storages_of(parameters), storages_of(buffers)
    regions = regions_of([*memory.addresses, *beside.addresses], [*memory.sizes, *beside.sizes])
    kept = parameters if every else _with_company(parameters, repeated, memory, regions.keys() | set(beside.addresses))
    storages, numbers = memory.storages(kept), _Numbers(regions)
    places = _places(tensors, kept.keys(), "_parameters") if kept else {}
    buffer_places = _places(tensors, buffers.keys(), "_buffers") if kept and buffers else {}
    records = [
        _record(tensor, places[key], "parameter", numbers.span(tensor, storages.get(key)))
        for key, tensor in kept.items()
    ]
    identities = {record.name: key for record, key in zip(records, kept, strict=True)}
    order = {join(path, attribute): number for key in kept for number, path, attribute, _ in places[key]}
    records += [
        _record(buffers[key], buffer_places[key], "buffer", numbers.span(buffers[key], storage))
        for key, storage in beside.storages(buffers).items()
        if numbers.has(storage)
    ]
    return MemorySurvey(
        records=records,
        identities=identities,
        order=order,
        alone_numel=_beyond(kept, parameters, torch.Tensor.numel),
        alone_nbytes=_beyond(kept, parameters, bytes_of),
    )


def _with_company(
    parameters: Mapping[int, torch.Tensor], repeated: AbstractSet[int], memory: Memory, meeting: AbstractSet[int]
) -> dict[int, torch.Tensor]:
    """Return the parameters with several names, or with a storage that holds anything but their elements, each once."""
    shared = repeated_in(memory.addresses) | meeting
    keys = repeated | memory.odd
    if shared:
        pairs = zip(memory.keys, memory.addresses, strict=True)
        keys |= {key for key, address in pairs if address in shared}
    return {key: parameters[key] for key in filter(keys.__contains__, parameters)}


def _beyond(
    kept: Mapping[int, torch.Tensor], parameters: Mapping[int, torch.Tensor], size: Callable[[torch.Tensor], int]
) -> int:
    """Return the size of all parameters but those that are kept."""
    return sum(map(size, parameters.values())) - sum(map(size, kept.values()))


def find_tensors(root: nn.Module) -> Tensors:
    """Find what a module holds, and which parameters it holds under several names, by `id()`."""
    # The public generators over these take several times as long, and a model may have a million parameters.
    paths, modules = places_of_modules(root)
    every = [tensor for module in modules for tensor in module._parameters.values()]  # noqa: SLF001
    keys = list(map(id, every))
    parameters: dict[int, Any] = dict(zip(keys, every, strict=True))
    parameters.pop(id(None), None)
    buffers = {
        id(buffer): buffer
        for module in modules
        if module._buffers  # noqa: SLF001
        for buffer in module._buffers.values()  # noqa: SLF001
        if buffer is not None
    }
    return Tensors(paths, modules, parameters, buffers, repeated_in(keys) - {id(None)})


def _places(
    tensors: Tensors, keys: AbstractSet[int], slots: Literal["_parameters", "_buffers"]
) -> dict[int, list[Place]]:
    """Return everywhere that the tensors of these `id()`s stand."""
    standing = [
        (id(tensor), path, attribute, module)
        for path, module in zip(tensors.paths, tensors.modules, strict=True)
        for attribute, tensor in getattr(module, slots).items()
        if id(tensor) in keys
    ]
    found: dict[int, list[Place]] = {}
    for number, (key, path, attribute, module) in enumerate(standing):
        found.setdefault(key, []).append((number, path, attribute, module))
    return found


def find_repeated(root: nn.Module) -> dict[int, list[Place]]:
    """Return everywhere that those parameters of a module stand that have several names, by their `id()`."""
    tensors = find_tensors(root)
    return _places(tensors, tensors.repeated, "_parameters") if tensors.repeated else {}


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


def _record(tensor: torch.Tensor, places: Sequence[Place], kind: Kind, span: StorageSpan | None) -> ParameterRecord:
    name, *aliases = [join(path, attribute) for _, path, attribute, _ in places]
    _, path, _, module = places[0]
    return ParameterRecord(
        name,
        path,
        type(module).__name__,
        kind,
        tuple(tensor.shape),
        dtype_name(tensor.dtype),
        tensor.requires_grad,
        tuple(aliases),
        len({(id(holder), attribute) for _, _, attribute, holder in places}),
        span=span,
    )
