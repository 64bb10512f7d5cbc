"""Layers of a spec -> what each holds, found by building it alone on the meta device."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from paramctl.errors import ParamctlError, Problem
from paramctl.records import Inventory
from paramctl.spec.model import Layer, LayerCall, Spec
from paramctl.spec.paths import path_text
from paramctl.tensors.building.construct import BuildModule, construct, initialization
from paramctl.tensors.building.unregistered import take_full_inventory
from paramctl.tensors.collect import take_inventory


def build_holdings(
    spec: Spec, layers: Iterable[Layer], dtype: str | None, build: BuildModule
) -> dict[LayerCall, Inventory]:
    """Build layers, those that are written alike once, and list what each holds.

    Args:
        spec: the spec.
        layers: layers of it.
        dtype: what floating parameters are made as.
        build: builds the layers among a layer's arguments.

    Raises:
        ParamctlError: with what each constructor raised.

    """
    built: dict[LayerCall, Inventory] = {}
    failed: set[LayerCall] = set()
    problems: list[Problem] = []
    with initialization(enabled=False):
        for layer in layers:
            if layer.call in built or layer.call in failed:
                continue
            try:
                module = construct(layer, spec.position(layer), device="meta", dtype=dtype, build=build)
            except ParamctlError as error:
                failed.add(layer.call)
                problems += [replace(each, path=each.path or path_text(layer.path)) for each in error.problems]
            else:
                take = take_inventory if layer.call.reference is None else take_full_inventory
                built[layer.call] = take(module)
    if problems:
        raise ParamctlError(*problems)
    return built
