"""Spec -> what its model holds, by the cheapest way that tells: without torch, from one layer of each kind, or built.

The model is built where modules or parameters stand in several places.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from paramctl.records import Inventory
from paramctl.spec import outline as spec_outline
from paramctl.spec.holdings import TORCH_VERSION, holdings_of
from paramctl.spec.model import Layer, LayerCall, ModuleSpec, Spec

if TYPE_CHECKING:
    from torch import nn


def outline(
    spec: Spec, *, dtype: str | None = None, buffers: bool = False, modules: bool = False
) -> tuple[Inventory, list[str]]:
    """List what the model of a spec holds, without allocating any of it.

    Args:
        spec: the spec.
        dtype: what floating parameters are made as, instead of what the spec says.
        buffers: whether buffers are wanted; else none need be listed.
        modules: whether modules are wanted; else none need be listed.

    Returns:
        What it holds, and what the user should know.

    Raises:
        ParamctlError: as `paramctl.tensors.building.build.build` does.
    """
    if spec.aliased or spec.ties or spec.composed:
        from paramctl.tensors.building.build import build

        model = build(spec, dtype=dtype)
        return model.inventory(), [*model.notes]
    return spec_outline.outline(spec, _holdings(spec, dtype or spec.dtype), buffers=buffers, modules=modules)


def _holdings(spec: Spec, dtype: str | None) -> dict[LayerCall, Inventory]:
    layers: dict[LayerCall, Layer] = {}
    for layer in spec_outline.layers_of(spec.root):
        layers.setdefault(layer.call, layer)
    held: dict[LayerCall, Inventory] = {}
    if spec.torch_version == TORCH_VERSION:
        told = ((call, holdings_of(call, dtype)) for call in layers)
        held = {call: inventory for call, inventory in told if inventory is not None}
    others = [layer for call, layer in layers.items() if call not in held]
    if others:
        from paramctl.tensors.building.prototypes import build_holdings

        held |= build_holdings(spec, others, dtype, _no_arguments)
    return held


def _no_arguments(_: ModuleSpec) -> nn.Module:
    raise AssertionError("a spec with layers among arguments is built")
