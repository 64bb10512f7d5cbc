"""What a module that a caller hands over must be: a module, with shapes, and with memory where values are needed."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter, is_lazy

from paramctl.errors import failure
from paramctl.records import join
from paramctl.tensors.collect import named_modules


def check_module(module: object, where: str = "module") -> None:
    """Refuse what is no module, and a module that does not know its shapes yet; `where` names it in messages.

    Raises:
        ParamctlError: naming the type of what was given, or the first tensor without a shape.

    """
    check_type(module, where)
    assert isinstance(module, nn.Module), "its type was checked"
    check_shapes(module, (tensor for _, tensor in named_tensors(module)), where)


def check_type(module: object, where: str = "module") -> None:
    """Refuse what is no module.

    Raises:
        ParamctlError: naming the type of what was given.

    """
    if not isinstance(module, nn.Module):
        given = f"the class {module.__name__}" if inspect.isclass(module) else type(module).__name__
        raise failure(f"expected a torch.nn.Module, not {given}", where=where, hint=_module_hint(module))


def check_shapes(module: nn.Module, tensors: Iterable[torch.Tensor], where: str = "module") -> None:
    """Refuse a module that has tensors of lazy layers among its own, which do not know their shapes yet.

    Raises:
        ParamctlError: naming the first tensor without a shape.

    """
    kinds = set(map(type, tensors))
    if any(issubclass(kind, UninitializedParameter | UninitializedBuffer) for kind in kinds):
        lazy = [name for name, tensor in named_tensors(module) if is_lazy(tensor)]
        others = f", and {len(lazy) - 1:,} more have none" if lazy[1:] else ""
        hint = "run the model on an input first, in the code that makes it: lazy layers take their shapes from it"
        raise failure(f"{lazy[0]} has no shape yet{others}", where=where, hint=hint)


def check_memory(named: Iterable[tuple[str, torch.Tensor]]) -> None:
    """Refuse tensors on the meta device.

    Raises:
        ParamctlError: naming the first one.

    """
    for name, tensor in named:
        if tensor.is_meta:
            hint = "give the module memory first, with module.to_empty(device=...)"
            raise failure(f"{name} is on the meta device", hint=hint)


def check_python(module: nn.Module, where: str = "module") -> None:
    """Refuse a module that TorchScript compiled: it has no hooks, and its modules cannot be told apart.

    Raises:
        ParamctlError: naming the compiled module.

    """
    for path, each in module.named_modules():
        if isinstance(each, torch.jit.RecursiveScriptModule):  # type: ignore[attr-defined]  # it is there
            name = f"{path} is" if path else "the module is"
            hint = "give what it was compiled from; either can be listed and asked what it shares"
            raise failure(f"{name} compiled by TorchScript", where=where, hint=hint)


def named_parameters(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield the parameters of a module under all their names; a class may override its own generator."""
    yield from _named(module, "_parameters")


def named_tensors(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the parameters and the buffers of a module under all their names."""
    yield from _named(module, "_parameters")
    yield from _named(module, "_buffers")


def _named(module: nn.Module, slots: str) -> Iterator[tuple[str, Any]]:
    for path, each in named_modules(module):
        for attribute, tensor in getattr(each, slots).items():
            if tensor is not None:
                yield join(path, attribute), tensor


def _module_hint(given: object) -> str | None:
    if inspect.isclass(given) and issubclass(given, nn.Module):
        return f"make a module of it: {given.__name__}(...)"
    if isinstance(given, Mapping):
        return "a state_dict holds tensors alone; load it into its module and give that"
    return None
