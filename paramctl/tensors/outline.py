"""Spec -> records without the model: each distinct layer is built once, on the meta device, and its records are copied.

So 100,000 equal layers cost one `nn.Module`. Where every module stands in one place only, the result is what
`paramctl.tensors.collect` tells of the built model; a spec with aliases, ties or layers among arguments is built.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import nn

from paramctl.globs import compile_glob
from paramctl.records import ModuleRecord, ParameterRecord
from paramctl.spec.model import Container, Layer, LayerCall, ModuleSpec, Repeat, Spec
from paramctl.tensors.build import build, check_name_count, unmatched_freeze
from paramctl.tensors.collect import collect_modules, collect_records
from paramctl.tensors.construct import check_child_names, construct, initialization


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What a model holds: its parameters and, behind them, its buffers; its modules; and what the user should know."""

    records: tuple[ParameterRecord, ...]
    modules: tuple[ModuleRecord, ...]
    notes: tuple[str, ...]


def take_inventory(spec: Spec, *, dtype: str | None = None, buffers: bool = False, modules: bool = False) -> Inventory:
    """List what the model of a spec holds, without allocating any of it.

    Args:
        spec: the spec.
        dtype: what floating parameters are made as, instead of what the spec says.
        buffers: whether to list buffers too.
        modules: whether to list modules.

    Raises:
        ParamctlError: as `paramctl.tensors.build.build` does.

    """
    if spec.aliased or spec.ties or spec.composed:
        model = build(spec, dtype=dtype)
        return Inventory(
            records=collect_records(model.net, buffers=buffers),
            modules=collect_modules(model.net) if modules else (),
            notes=tuple(model.notes),
        )
    outliner = _Outliner(spec, dtype or spec.dtype)
    with initialization(enabled=False):
        check_name_count(outliner.count(spec.root), spec.source)
    records: list[ParameterRecord] = []
    for path, prototype in outliner.layers(spec.root, ""):
        records += _at(path, prototype.parameters)
    frozen, notes = _freeze(records, spec)
    if buffers:
        for path, prototype in outliner.layers(spec.root, ""):
            frozen += _at(path, prototype.buffers)
    listed = tuple(outliner.modules(spec.root, "")) if modules else ()
    return Inventory(records=tuple(frozen), modules=listed, notes=tuple(notes))


@dataclass(frozen=True, slots=True)
class _Prototype:
    """The records of one layer as they are when it stands alone."""

    parameters: tuple[ParameterRecord, ...]
    buffers: tuple[ParameterRecord, ...]
    modules: tuple[ModuleRecord, ...]

    @classmethod
    def of(cls, module: nn.Module) -> _Prototype:
        records = collect_records(module, buffers=True)
        parameters = tuple(record for record in records if record.kind == "parameter")
        return cls(parameters, records[len(parameters) :], collect_modules(module))


@dataclass(slots=True)
class _Outliner:
    spec: Spec
    dtype: str | None
    prototypes: dict[LayerCall, _Prototype] = field(default_factory=dict)

    def count(self, node: ModuleSpec) -> int:
        """Count the parameter names below a node, making the prototype of every layer on the way."""
        if isinstance(node, Layer):
            prototype = self.prototypes.get(node.call)
            if prototype is None:
                prototype = self.prototypes[node.call] = self.prototype(node)
            return sum(len(record.names) for record in prototype.parameters)
        if isinstance(node, Repeat):
            return node.times * self.count(node.body)
        check_child_names(node, self.spec.position(node))
        return sum(map(self.count, node.children))

    def prototype(self, layer: Layer) -> _Prototype:
        where = self.spec.position(layer)
        module = construct(layer, where, device="meta", dtype=self.dtype, build=_no_arguments)
        return _Prototype.of(module)

    def layers(self, node: ModuleSpec, path: str) -> Iterator[tuple[str, _Prototype]]:
        """Yield every layer's path and prototype, in model order."""
        for child_path, child in _children(node, path):
            if isinstance(child, Layer):
                yield child_path, self.prototypes[child.call]
            else:
                yield from self.layers(child, child_path)

    def modules(self, node: ModuleSpec, path: str) -> Iterator[ModuleRecord]:
        """Yield every module's record, in model order."""
        if isinstance(node, Layer):
            for record in self.prototypes[node.call].modules:
                yield ModuleRecord(
                    f"{path}.{record.path}" if record.path else path,
                    record.type_name,
                    record.same_as and f"{path}.{record.same_as}",
                )
            return
        yield ModuleRecord(path, node.kind if isinstance(node, Container) else "Sequential")
        for child_path, child in _children(node, path):
            yield from self.modules(child, child_path)


def _children(node: Container | Repeat | Layer, path: str) -> Iterator[tuple[str, ModuleSpec]]:
    """Yield the path and the node of every child; a repeated body once for each copy."""
    prefix = f"{path}." if path else ""
    if isinstance(node, Container):
        for name, child in zip(node.child_names(), node.children, strict=True):
            yield prefix + name, child
    elif isinstance(node, Repeat):
        for i in range(node.times):
            yield f"{prefix}{i}", node.body


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
