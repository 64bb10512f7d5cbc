"""A live module -> the records of its parameters, buffers and modules; identity is that of the Python objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import nn

from paramctl.records import Kind, ModuleRecord, ParameterRecord


@dataclass(slots=True)
class _Found:
    """One tensor met on the way: where first, under which names, and in which (module, attribute) slots."""

    tensor: torch.Tensor
    module: str
    module_type: str
    kind: Kind
    names: list[str] = field(default_factory=list)
    slots: set[tuple[int, str]] = field(default_factory=set)


def collect_records(root: nn.Module, *, buffers: bool = False) -> tuple[ParameterRecord, ...]:
    """Return one record per distinct Parameter object, in `named_parameters()` order, then one per buffer."""
    found: dict[int, _Found] = {}
    for path, module in named_modules(root):
        for attribute, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            _note(found, path, module, attribute, parameter, "parameter")
    if buffers:
        for path, module in named_modules(root):
            for attribute, buffer in module.named_buffers(recurse=False, remove_duplicate=False):
                _note(found, path, module, attribute, buffer, "buffer")
    return tuple(map(_record, found.values()))


def collect_modules(root: nn.Module) -> tuple[ModuleRecord, ...]:
    """Return a record of every module, the root first, each place of a module that is used several times included."""
    first: dict[int, str] = {}
    records = []
    for path, module in named_modules(root):
        same_as = first.get(id(module))
        records.append(ModuleRecord(path, type(module).__name__, same_as))
        first.setdefault(id(module), path)
    return tuple(records)


def named_modules(root: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield every place of a module, depth first, also those of a module met before."""
    yield from root.named_modules(remove_duplicate=False)


def dtype_name(dtype: torch.dtype) -> str:
    """Return the canonical name of a dtype: torch's, without ``torch.``."""
    return str(dtype).removeprefix("torch.")


def _note(
    found: dict[int, _Found], path: str, module: nn.Module, attribute: str, tensor: torch.Tensor, kind: Kind
) -> None:
    entry = found.get(id(tensor))
    if entry is None:
        entry = found[id(tensor)] = _Found(tensor, path, type(module).__name__, kind)
    entry.names.append(f"{path}.{attribute}" if path else attribute)
    entry.slots.add((id(module), attribute))


def _record(found: _Found) -> ParameterRecord:
    name, *aliases = found.names
    return ParameterRecord(
        name=name,
        module=found.module,
        module_type=found.module_type,
        kind=found.kind,
        shape=tuple(found.tensor.shape),
        dtype=dtype_name(found.tensor.dtype),
        requires_grad=found.tensor.requires_grad,
        aliases=tuple(aliases),
        owners=len(found.slots),
    )
