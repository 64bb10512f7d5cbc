"""The distinct layers of a spec, each built once on the meta device, and what follows for the model's size."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from paramctl.errors import failure
from paramctl.records import Inventory
from paramctl.spec.layers import MAX_NAMES
from paramctl.spec.model import Layer, LayerCall, ModuleSpec, Repeat, Spec
from paramctl.tensors.collect import take_inventory
from paramctl.tensors.construct import BuildModule, check_child_names, construct


class Extent(NamedTuple):
    """How large a part of a model is: its parameter names at every place, the bytes and modules that it takes."""

    names: int
    nbytes: int
    modules: int

    @classmethod
    def of(cls, inventory: Inventory) -> Extent:
        """Return the size of one layer."""
        tensors = (*inventory.parameters, *inventory.buffers)
        names = sum(1 + len(record.aliases) for record in inventory.parameters)
        return cls(names, sum(record.nbytes for record in tensors), len(inventory.modules))


@dataclass(slots=True)
class Prototypes:
    """Lists what each layer holds when it stands alone, on the meta device.

    Attributes:
        spec: the spec.
        dtype: what floating parameters are made as.
        build: builds the layers among a layer's arguments.
    """

    spec: Spec
    dtype: str | None
    build: BuildModule
    _made: dict[LayerCall, Inventory] = field(default_factory=dict)

    def of(self, layer: Layer) -> Inventory:
        """Return what a layer holds; layers that are written alike are built once.

        Raises:
            ParamctlError: with what the constructor raised.
        """
        made = self._made.get(layer.call)
        if made is None:
            where = self.spec.position(layer)
            made = take_inventory(construct(layer, where, device="meta", dtype=self.dtype, build=self.build))
            self._made[layer.call] = made
        return made

    def extent(self) -> Extent:
        """Return the size of the whole model: what `Repeat` copies as often, what an alias repeats in names alone.

        Raises:
            ParamctlError: if a constructor fails, or if the model has more than `MAX_NAMES` names.
        """
        extent = self._extent(self.spec.root, {})
        if extent.names > MAX_NAMES:
            message = f"the model has {extent.names:,} parameter names, more than the limit of {MAX_NAMES:,}"
            raise failure(message, where=self.spec.source, hint="Repeat and every alias count")
        return extent

    def _extent(self, node: ModuleSpec, met: dict[int, Extent]) -> Extent:
        if node.shared and id(node) in met:
            return Extent(met[id(node)].names, 0, 0)
        if isinstance(node, Layer):
            extent = Extent.of(self.of(node))
        elif isinstance(node, Repeat):
            names, nbytes, modules = self._extent(node.body, met)
            extent = Extent(node.times * names, node.times * nbytes, node.times * modules + 1)
        else:
            check_child_names(node, self.spec.position(node))
            below = [self._extent(child, met) for child in node.children]
            names, nbytes, modules = (sum(each) for each in zip(*below, strict=True)) if below else (0, 0, 0)
            extent = Extent(names, nbytes, modules + 1)
        if node.shared:
            met[id(node)] = extent
        return extent
