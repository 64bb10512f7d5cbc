"""The slots in which a module and the modules in it hold tensors, numbered in model order, with what stands in each."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, compress
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from torch import nn

from paramctl.tensors.storages import repeated_in

Kind: TypeAlias = Literal["_parameters", "_buffers"]
"""Torch's name for what a slot is for."""
_NOTHING = id(None)


class Place(NamedTuple):
    """Where a slot is: the path of a module, the attribute there, and the module."""

    path: str
    attribute: str
    module: nn.Module


class Distinct(NamedTuple):
    """Tensors, each once and in model order, beside the `id()` of each."""

    keys: list[int]
    tensors: list[Any]


@dataclass(frozen=True)
class Slots:
    """All slots of one kind. What stands in them are plain lists, since a dict of a million objects waits for memory.

    Attributes:
        paths: the paths of every place of a module in the model.
        modules: the module at each.
        held: the tensors of each by attribute.
        tensors: what stands in each slot; None where nothing does.
        keys: the `id()` of that.
        repeated: the numbers of the slots of each tensor that stands in several, by its `id()`.
        empty: the numbers of the slots in which nothing stands.

    """

    paths: Sequence[str]
    modules: Sequence[nn.Module]
    held: Sequence[Mapping[str, torch.Tensor | None]]
    tensors: list[Any]
    keys: list[int]
    repeated: Mapping[int, list[int]]
    empty: Sequence[int]

    @cached_property
    def distinct(self) -> Distinct:
        """The tensors, each once."""
        first = bytearray(b"\x01") * len(self.keys)
        for number in self.empty:
            first[number] = False
        for numbers in self.repeated.values():
            for number in numbers[1:]:
                first[number] = False
        return Distinct(list(compress(self.keys, first)), list(compress(self.tensors, first)))

    @cached_property
    def _begins(self) -> list[int]:
        """The number of each module's first slot."""
        return list(accumulate(map(len, self.held), initial=0))

    def place(self, number: int) -> Place:
        """Return where a slot is."""
        at = bisect_right(self._begins, number) - 1
        # What TorchScript compiled holds its tensors in a mapping that cannot be iterated over itself.
        attribute = list(self.held[at].keys())[number - self._begins[at]]
        return Place(self.paths[at], attribute, self.modules[at])


def find_slots(paths: Sequence[str], modules: Sequence[nn.Module], kind: Kind) -> Slots:
    """Find the slots of modules, and those in which one tensor stands again, by `id()`."""
    # The public generators over these take several times as long, and a model may have a million parameters.
    held = [getattr(module, kind) for module in modules]
    tensors = [tensor for each in held if each for tensor in each.values()]
    keys = list(map(id, tensors))
    repeated = numbers_of({*repeated_in(keys), _NOTHING}, keys)
    empty = repeated.pop(_NOTHING, ())
    return Slots(paths, modules, held, tensors, keys, repeated, empty)


def numbers_of(wanted: Container[int], keys: Sequence[int]) -> dict[int, list[int]]:
    """Return the numbers of the slots in which the tensors of the wanted `id()`s stand, in model order."""
    found: dict[int, list[int]] = {}
    for number in [number for number, key in enumerate(keys) if key in wanted]:
        found.setdefault(keys[number], []).append(number)
    return found
