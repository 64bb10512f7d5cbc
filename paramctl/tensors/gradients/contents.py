"""What is in a value that modules take or return: the tensors in containers and dataclasses, and where they stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch


def tensors_in(value: Any, path: str = "", met: set[int] | None = None) -> Iterator[tuple[torch.Tensor, str]]:
    """Yield the tensors in a value with their paths, each container's once.

    Args:
        value: the value.
        path: where it stands itself.
        met: the containers, by `id()`, that were looked into already.

    """
    met = set() if met is None else met
    if isinstance(value, torch.Tensor):
        yield value, path
    elif id(value) not in met:
        met.add(id(value))
        for _, item, place in items_of(value, path):
            yield from tensors_in(item, place, met)


def items_of(value: Any, path: str) -> list[tuple[object, Any, str]]:
    """Return the name, the value and the path of what a container or a dataclass holds; anything else holds nothing."""
    if isinstance(value, Mapping):
        return [(key, each, f"{path}[{key!r}]") for key, each in value.items()]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return [(name, getattr(value, name), f"{path}.{name}") for name in value._fields]
    if isinstance(value, tuple | list):
        return [(i, each, f"{path}[{i}]") for i, each in enumerate(value)]
    if is_dataclass(value) and not isinstance(value, type):
        return [(each.name, getattr(value, each.name), f"{path}.{each.name}") for each in fields(value)]
    return []
