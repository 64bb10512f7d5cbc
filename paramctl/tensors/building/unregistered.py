"""A live module -> the tensors in its attributes that are neither parameters nor buffers, and what would register them.

`nn.Module` registers what is assigned to an attribute if it is a Parameter or a module. A plain tensor it does not, nor
what stands in a list, a tuple or a dict: an optimizer never sees it, and `.to()` and `state_dict()` leave it out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from paramctl.records import Inventory, UnregisteredRecord, join
from paramctl.tensors.collect import dtype_name, take_inventory

_OF_EVERY_MODULE: Final = frozenset(vars(nn.Module()))
_CONTAINERS: Final = (list, tuple, dict, set, frozenset, deque)
_PLAIN: Final = frozenset({int, float, bool, str, bytes, type(None)})
_DEEPEST: Final = 8
"""How many containers inside each other are looked into."""
_COMPUTED: Final = ("_orig", "_v")
"""What pruning and the older spectral and weight norm append to the name of the parameter that they compute from."""


def take_full_inventory(root: nn.Module) -> Inventory:
    """List what a module holds, and what it has not registered."""
    return take_inventory(root)._replace(unregistered=find_unregistered(root))


def find_unregistered(root: nn.Module) -> tuple[UnregisteredRecord, ...]:
    """List the attributes at and below a module that hold tensors which are not registered anywhere in it.

    Left out is what nobody could mean to register: what shares memory with a registered tensor, what was computed from
    one, and plain tensors in attributes whose name begins with an underscore or whose module moves its tensors itself.
    """
    registered = _Registered.of(root)
    return tuple(
        _record(path, module, name, value, held)
        for path, module in root.named_modules()
        for name, value in _attributes(module)
        if (held := _Held.of(value, registered)).tensors and not _is_meant(module, name, held)
    )


@dataclass(frozen=True, slots=True)
class _Registered:
    """The registered tensors: their ids, and the memory that they have."""

    ids: frozenset[int]
    storages: frozenset[int]

    @classmethod
    def of(cls, root: nn.Module) -> _Registered:
        tensors = [*root.parameters(), *root.buffers()]
        return cls(frozenset(map(id, tensors)), frozenset(filter(None, map(_storage_of, tensors))))

    def has(self, tensor: torch.Tensor) -> bool:
        return id(tensor) in self.ids or _storage_of(tensor) in self.storages or tensor.grad_fn is not None


def _storage_of(tensor: torch.Tensor) -> int | None:
    if is_lazy(tensor):
        return None
    try:
        key: int = tensor.untyped_storage()._cdata  # noqa: SLF001  on the meta device there is no pointer to compare
    except (NotImplementedError, RuntimeError):  # a sparse tensor, and others that hold theirs elsewhere
        return None
    return key


@dataclass(slots=True)
class _Held:
    """What an attribute holds that is not registered."""

    registered: _Registered
    tensors: dict[int, torch.Tensor] = field(default_factory=dict)
    modules: dict[int, nn.Module] = field(default_factory=dict)
    met: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, value: object, registered: _Registered) -> _Held:
        held = cls(registered)
        held.add(value, 0)
        return held

    def add(self, value: object, depth: int) -> None:
        if type(value) in _PLAIN:  # a vocabulary has many
            return
        if isinstance(value, torch.Tensor):
            if not self.registered.has(value) and not value.is_nested:  # which has no shape
                self.tensors.setdefault(id(value), value)
        elif isinstance(value, nn.Module):
            inside = [*value.parameters(), *value.buffers()]
            own = {id(each): each for each in inside if not self.registered.has(each)}
            if own:
                self.modules.setdefault(id(value), value)
                self.tensors |= own
        elif isinstance(value, _CONTAINERS) and depth < _DEEPEST and id(value) not in self.met:
            self.met.add(id(value))
            for each in list(value.values() if isinstance(value, dict) else value):
                self.add(each, depth + 1)

    @property
    def trainable(self) -> bool:
        """Whether there is a module or a Parameter in it, which somebody must have meant to train."""
        return bool(self.modules) or any(isinstance(each, nn.Parameter) for each in self.tensors.values())


def _attributes(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield what stands in a module's attributes and was not assigned past its registration on purpose."""
    own = vars(module)
    for name, value in own.items():
        if name not in _OF_EVERY_MODULE and not isinstance(value, nn.Parameter | nn.Module):
            yield name, value
    for cls in type(module).__mro__:
        if cls.__module__.partition(".")[0] != "torch":
            yield from ((name, value) for name, value in vars(cls).items() if not name.startswith("__"))


def _is_meant(module: nn.Module, name: str, held: _Held) -> bool:
    """Tell whether a module holds tensors outside on purpose."""
    names = {*module._parameters, *module._buffers}  # noqa: SLF001  torch has no public way to the names alone
    if any(name + ending in names for ending in _COMPUTED):
        return True
    if name.startswith("_"):
        return not held.trainable or type(module).__module__.startswith("torch.")
    moves_its_own = not type(module)._apply.__module__.startswith("torch.")  # noqa: SLF001  what .to() calls
    return moves_its_own and not held.trainable


def _record(path: str, module: nn.Module, name: str, value: object, held: _Held) -> UnregisteredRecord:
    tensors = list(held.tensors.values())
    shapes = [tensor for tensor in tensors if not is_lazy(tensor)]
    alone = isinstance(value, torch.Tensor)
    dtypes = {dtype_name(tensor.dtype) for tensor in tensors}
    return UnregisteredRecord(
        name=join(path, name),
        module=path,
        module_type=type(module).__name__,
        holder=_holder(value),
        modules=len(held.modules),
        tensors=len(tensors),
        shape=tuple(tensors[0].shape) if alone and shapes else None,
        dtype=dtypes.pop() if len(dtypes) == 1 else None,
        numel=sum(tensor.numel() for tensor in shapes),
        fix=_fix(value, held),
    )


def _holder(value: object) -> str:
    if isinstance(value, torch.Tensor):
        return "tensor"
    return "module" if isinstance(value, nn.Module) else type(value).__name__


def _fix(value: object, held: _Held) -> str:
    if isinstance(value, nn.Module | nn.Parameter):  # an attribute of the class
        return "assign it to self in __init__"
    if isinstance(value, torch.Tensor):
        floating = value.is_floating_point() or value.is_complex()
        return "nn.Parameter or register_buffer" if floating else "register_buffer"
    kind = "Dict" if isinstance(value, Mapping) else "List"
    if held.modules:
        return f"nn.Module{kind}"
    parameters = all(isinstance(each, nn.Parameter) for each in held.tensors.values())
    return f"nn.Parameter{kind}" if parameters else f"nn.Parameter{kind} or register_buffer"
