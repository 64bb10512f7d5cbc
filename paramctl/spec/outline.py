"""A spec and what each of its layers holds -> what the model holds, copied to every place instead of built.

So 100,000 equal layers cost one. It holds where every module stands in one place only: with aliases, ties or layers
among arguments a model has to be built.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias

from paramctl.errors import failure
from paramctl.globs import compile_glob
from paramctl.records import Inventory, ModuleRecord, ParameterRecord, UnregisteredRecord, join
from paramctl.spec.model import MAX_NAMES, Container, Layer, LayerCall, ModuleSpec, Repeat, Spec, unmatched_freeze

Holdings: TypeAlias = Mapping[LayerCall, Inventory]
"""What each layer holds when it stands alone; layers that are written alike share an entry."""


class Extent(NamedTuple):
    """How large a part of a model is.

    Attributes:
        names: the names of its parameters, at every place.
        places: the places of its modules and buffers, likewise.
        modules: the modules that there are to make.
        nbytes: the bytes that its tensors take.

    """

    names: int
    places: int
    modules: int
    nbytes: int

    @classmethod
    def of(cls, inventory: Inventory) -> Extent:
        """Return the size of one layer."""
        names, places, nbytes = 0, len(inventory.modules), 0
        for record in inventory.parameters:
            names += 1 + len(record.aliases)
            nbytes += record.nbytes
        for record in inventory.buffers:
            places += 1 + len(record.aliases)
            nbytes += record.nbytes
        return cls(names, places, len(inventory.modules), nbytes)

    def times(self, copies: int) -> Extent:
        """Return the size of a `Repeat` of so many copies, the module that holds them included."""
        names, places, modules, nbytes = (copies * each for each in self)
        return Extent(names, places + 1, modules + 1, nbytes)


def outline(spec: Spec, holdings: Holdings, *, buffers: bool, modules: bool) -> tuple[Inventory, list[str]]:
    """List what the model of a spec holds.

    Args:
        spec: the spec, without aliases, ties and layers among arguments.
        holdings: what each of its layers holds.
        buffers: whether buffers are wanted; else none need be listed.
        modules: whether modules are wanted; else none need be listed.

    Returns:
        What it holds, and what the user should know.

    Raises:
        ParamctlError: as `extent_of` does.

    """
    extent_of(spec, holdings)
    records: list[ParameterRecord] = []
    held: list[ParameterRecord] = []
    unregistered: list[UnregisteredRecord] = []
    for path, layer in _layers(spec.root, ""):
        inventory = holdings[layer.call]
        records += _at(path, inventory.parameters)
        if buffers:
            held += _at(path, inventory.buffers)
        if inventory.unregistered:
            unregistered += [
                each._replace(name=join(path, each.name), module=join(path, each.module) if each.module else path)
                for each in inventory.unregistered
            ]
    records, notes = _freeze(records, spec)
    listed = tuple(_modules(spec.root, "", holdings)) if modules else ()
    return Inventory(tuple(records), tuple(held), listed, tuple(unregistered) if spec.imports else None), notes


def extent_of(spec: Spec, holdings: Holdings) -> Extent:
    """Return the size of the whole model: what `Repeat` copies as often, what an alias repeats in names alone.

    Raises:
        ParamctlError: if the model has more than `MAX_NAMES` parameter names, or places of modules and buffers.

    """
    extent = _extent(spec.root, holdings, {})
    for count, what in ((extent.names, "parameter names"), (extent.places, "places of modules and buffers")):
        if count > MAX_NAMES:
            message = f"the model has {count:,} {what}, more than the limit of {MAX_NAMES:,}"
            raise failure(message, where=spec.source, hint="Repeat and every alias count")
    return extent


def layers_of(node: ModuleSpec) -> Iterator[Layer]:
    """Yield the layers at and below a node as they are written: what is repeated once, what has an alias once."""
    met: set[int] = set()
    pending = [node]
    while pending:
        node = pending.pop()
        if node.shared:
            if id(node) in met:
                continue
            met.add(id(node))
        if isinstance(node, Layer):
            yield node
        else:
            pending += [node.body] if isinstance(node, Repeat) else reversed(node.children)


def _extent(node: ModuleSpec, holdings: Holdings, met: dict[int, Extent]) -> Extent:
    if node.shared and id(node) in met:
        return met[id(node)]._replace(modules=0, nbytes=0)
    if isinstance(node, Layer):
        extent = Extent.of(holdings[node.call])
    elif isinstance(node, Repeat):
        extent = _extent(node.body, holdings, met).times(node.times)
    else:
        below = [_extent(child, holdings, met) for child in node.children]
        names, places, modules, nbytes = map(sum, zip(*below, strict=True)) if below else (0, 0, 0, 0)
        extent = Extent(names, places + 1, modules + 1, nbytes)
    if node.shared:
        met[id(node)] = extent
    return extent


def _layers(node: ModuleSpec, path: str) -> Iterator[tuple[str, Layer]]:
    """Yield the path of every layer below a node with the layer, in model order."""
    for child_path, child in _children(node, path):
        if isinstance(child, Layer):
            yield child_path, child
        else:
            yield from _layers(child, child_path)


def _modules(node: ModuleSpec, path: str, holdings: Holdings) -> Iterator[ModuleRecord]:
    """Yield the record of every module at and below a node, in model order."""
    if isinstance(node, Layer):
        for record in holdings[node.call].modules:
            same_as = None if record.same_as is None else f"{path}.{record.same_as}"
            yield ModuleRecord(join(path, record.path) if record.path else path, record.type_name, same_as)
        return
    yield ModuleRecord(path, node.kind if isinstance(node, Container) else "Sequential")
    for child_path, child in _children(node, path):
        yield from _modules(child, child_path, holdings)


def _children(node: ModuleSpec, path: str) -> Iterator[tuple[str, ModuleSpec]]:
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
            tuple([f"{path}.{alias}" for alias in record.aliases]) if record.aliases else (),
            record.owners,
        )
        for record in records
    ]


def _freeze(records: list[ParameterRecord], spec: Spec) -> tuple[list[ParameterRecord], list[str]]:
    if not spec.freeze:
        return records, []
    frozen: set[int] = set()
    notes = []
    for glob in spec.freeze:
        matches = compile_glob(glob.text)
        reached = [i for i, record in enumerate(records) if matches(record.names)]
        frozen.update(reached)
        if not reached:
            notes.append(unmatched_freeze(glob))
    return [record._replace(requires_grad=False) if i in frozen else record for i, record in enumerate(records)], notes
