"""A live module -> the records of its parameters, buffers and modules; identity is that of the Python objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import nn

from paramctl.errors import ParamctlError, failure
from paramctl.records import Inventory, Kind, ModuleRecord, ParameterRecord, join


def take_inventory(root: nn.Module) -> Inventory:
    """List what a module holds, in the order of `named_parameters()`, `named_buffers()` and `named_modules()`."""
    parameters: dict[int, _Found] = {}
    buffers: dict[int, _Found] = {}
    modules: list[ModuleRecord] = []
    places: dict[int, str] = {}
    for path, module in named_modules(root):
        type_name = type(module).__name__
        modules.append(ModuleRecord(path, type_name, places.get(id(module))))
        places.setdefault(id(module), path)
        # The public generators over these take five times as long, and a spec may have 100,000 layers.
        _note(parameters, module._parameters, path, module, type_name)  # noqa: SLF001
        _note(buffers, module._buffers, path, module, type_name)  # noqa: SLF001
    return Inventory(_records(parameters, "parameter"), _records(buffers, "buffer"), tuple(modules))


def distinct_parameters(root: nn.Module) -> list[nn.Parameter]:
    """Return the parameters of a module, each once, in the order of its inventory.

    A class may override `parameters()`, to hand an optimizer the trainable ones alone, say.
    """
    return _distinct(root, "_parameters")


def distinct_tensors(root: nn.Module) -> list[torch.Tensor]:
    """Return the parameters and the buffers of a module, each once."""
    return [*distinct_parameters(root), *_distinct(root, "_buffers")]


def _distinct(root: nn.Module, slots: str) -> list[Any]:
    _, modules = places_of_modules(root)
    held = (tensor for module in modules for tensor in getattr(module, slots).values() if tensor is not None)
    return list({id(tensor): tensor for tensor in held}.values())


class _Found(NamedTuple):
    """One tensor met on the way: where first, under which names, and in which (module, attribute) slots."""

    tensor: torch.Tensor
    module: str
    type_name: str
    names: list[str]
    slots: set[tuple[int, str]]


def _note(
    found: dict[int, _Found],
    held: Mapping[str, torch.Tensor | None],
    path: str,
    module: nn.Module,
    type_name: str,
) -> None:
    for attribute, tensor in held.items():
        if tensor is None:
            continue
        name = f"{path}.{attribute}" if path else attribute
        known = found.get(id(tensor))
        if known is None:
            found[id(tensor)] = _Found(tensor, path, type_name, [name], {(id(module), attribute)})
        else:
            known.names.append(name)
            known.slots.add((id(module), attribute))


def _records(found: dict[int, _Found], kind: Kind) -> tuple[ParameterRecord, ...]:
    return tuple(
        [
            ParameterRecord(
                names[0],
                module,
                type_name,
                kind,
                tuple(tensor.shape),
                dtype_name(tensor.dtype),
                tensor.requires_grad,
                tuple(names[1:]),
                len(slots),
            )
            for tensor, module, type_name, names, slots in found.values()
        ]
    )


def named_modules(root: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield every place of a module, depth first, also those of a module met before."""
    return zip(*places_of_modules(root), strict=True)


def places_of_modules(root: nn.Module) -> tuple[list[str], list[nn.Module]]:
    """Return the paths of every place of a module, as `named_modules` orders them, and the module at each.

    Torch's own `named_modules` makes a generator for each module, and takes three times as long.

    Raises:
        ParamctlError: if a module holds itself, or modules are nested deeper than Python calls functions.

    """
    paths: list[str] = []
    modules: list[nn.Module] = []
    try:
        _walk(root, "", paths, modules)
    except RecursionError as error:
        raise _endless(root) from error
    return paths, modules


def _walk(module: nn.Module, path: str, paths: list[str], modules: list[nn.Module]) -> None:
    paths.append(path)
    modules.append(module)
    prefix = f"{path}." if path else ""
    for name, child in module._modules.items():  # noqa: SLF001  torch has no public way to the slots
        if child is not None:
            if child._modules:  # noqa: SLF001  as above
                _walk(child, prefix + name, paths, modules)
            else:
                paths.append(prefix + name)
                modules.append(child)


def _endless(root: nn.Module) -> ParamctlError:
    """Make the error for a walk that came to no end, or deeper than Python follows."""
    above = {id(root): ""}
    done: set[int] = set()
    pending = [("", root, iter(list(root._modules.items())))]  # noqa: SLF001  as in the walk
    while pending:
        path, module, children = pending[-1]
        name, child = next(children, ("", None))
        if child is not None and id(child) in above:
            owner = above[id(child)] or "the model itself"
            hint = "what stands in a tuple is referred to and not registered: self.parent = (parent,)"
            return failure(f"{join(path, name)} is {owner}, which holds it: no walk through the model ends", hint=hint)
        if child is not None and id(child) not in done:
            above[id(child)] = join(path, name)
            pending.append((join(path, name), child, iter(list(child._modules.items()))))  # noqa: SLF001  likewise
        elif not name:
            pending.pop()
            done.add(id(module))
            del above[id(module)]
    return failure("the modules are nested too deeply", hint="torch itself cannot walk through them")


def module_at(root: nn.Module, path: str) -> nn.Module:
    """Return the module at a path; `get_submodule` does the same, and not in what TorchScript compiled."""
    found = root
    for name in path.split(".") if path else ():
        held = found._modules[name]  # noqa: SLF001  torch has no public way to the slots
        assert held is not None, "a path leads through modules"
        found = held
    return found


@cache
def dtype_name(dtype: torch.dtype) -> str:
    """Return the canonical name of a dtype: torch's, without ``torch.``."""
    return str(dtype).removeprefix("torch.")


def bytes_of(tensor: torch.Tensor) -> int:
    """Return the bytes of a tensor's elements; of a sparse one, those that it would take as a dense one."""
    return tensor.numel() * tensor.element_size()
