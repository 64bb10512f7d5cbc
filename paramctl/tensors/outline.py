"""Spec -> records without the model: each distinct layer is built once, on the meta device, and its records are copied.

So 100,000 equal layers cost one `nn.Module`. Where every module stands in one place only, the result is what
`paramctl.tensors.collect` tells of the built model; a spec with aliases, ties or layers among arguments is built.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from paramctl.globs import compile_glob
from paramctl.records import Inventory, ModuleRecord, ParameterRecord
from paramctl.spec.model import Container, Layer, ModuleSpec, Repeat, Spec, unmatched_freeze
from paramctl.tensors.collect import join, take_inventory
from paramctl.tensors.construct import initialization
from paramctl.tensors.prototypes import Prototypes


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
        ParamctlError: as `paramctl.tensors.build.build` does.
    """
    if spec.aliased or spec.ties or spec.composed:
        from paramctl.tensors.build import build  # most specs need not be built

        model = build(spec, dtype=dtype)
        return take_inventory(model.net), model.notes
    prototypes = Prototypes(spec, dtype or spec.dtype, _no_arguments)
    with initialization(enabled=False):
        prototypes.extent()
    records: list[ParameterRecord] = []
    for path, layer in _layers(spec.root, ""):
        records += _at(path, prototypes.of(layer).parameters)
    records, notes = _freeze(records, spec)
    held: list[ParameterRecord] = []
    if buffers:
        for path, layer in _layers(spec.root, ""):
            held += _at(path, prototypes.of(layer).buffers)
    listed = tuple(_modules(spec.root, "", prototypes)) if modules else ()
    return Inventory(tuple(records), tuple(held), listed), notes


def _layers(node: ModuleSpec, path: str) -> Iterator[tuple[str, Layer]]:
    """Yield the path of every layer below a node with the layer, in model order."""
    for child_path, child in _children(node, path):
        if isinstance(child, Layer):
            yield child_path, child
        else:
            yield from _layers(child, child_path)


def _modules(node: ModuleSpec, path: str, prototypes: Prototypes) -> Iterator[ModuleRecord]:
    """Yield the record of every module at and below a node, in model order."""
    if isinstance(node, Layer):
        for record in prototypes.of(node).modules:
            same_as = None if record.same_as is None else f"{path}.{record.same_as}"
            yield ModuleRecord(join(path, record.path) if record.path else path, record.type_name, same_as)
        return
    yield ModuleRecord(path, node.kind if isinstance(node, Container) else "Sequential")
    for child_path, child in _children(node, path):
        yield from _modules(child, child_path, prototypes)


def _children(node: Container | Repeat | Layer, path: str) -> Iterator[tuple[str, ModuleSpec]]:
    """Yield the path and the node of every child; a repeated body once for each copy."""
    if isinstance(node, Container):
        for name, child in zip(node.child_names(), node.children, strict=True):
            yield join(path, name), child
    elif isinstance(node, Repeat):
        for i in range(node.times):
            yield join(path, str(i)), node.body


def _at(path: str, records: tuple[ParameterRecord, ...]) -> list[ParameterRecord]:
    """Return the records of a layer as they are where it stands at `path`."""
    return [
        ParameterRecord(
            f"{path}.{record.name}",
            f"{path}.{record.module}" if record.module else path,
            record.module_type,
            record.kind,
            record.shape,
            record.dtype,
            record.requires_grad,
            tuple(f"{path}.{alias}" for alias in record.aliases) if record.aliases else (),
            record.owners,
        )
        for record in records
    ]


def _freeze(records: list[ParameterRecord], spec: Spec) -> tuple[list[ParameterRecord], list[str]]:
    notes = []
    for glob in spec.freeze:
        matches = compile_glob(glob.text)
        reached = {i for i, record in enumerate(records) if matches(record.names)}
        records = [record._replace(requires_grad=False) if i in reached else record for i, record in enumerate(records)]
        if not reached:
            notes.append(unmatched_freeze(glob))
    return records, notes


def _no_arguments(_: ModuleSpec) -> nn.Module:
    raise AssertionError("a spec with layers among arguments is built")
