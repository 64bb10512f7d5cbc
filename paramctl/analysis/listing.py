"""Records -> the rows of `paramctl list`: which, under which names, in which order, and their totals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from paramctl.errors import failure, nearest
from paramctl.globs import compile_filter
from paramctl.records import Inventory, ModuleRecord, ParameterRecord, Statistics, Values
from paramctl.reports.listing import ListReport, ListTotals

SortKey: TypeAlias = Literal["name", "numel", "nbytes"]


def select_layer(
    records: Iterable[ParameterRecord], modules: Sequence[ModuleRecord], layer: str
) -> tuple[ParameterRecord, ...]:
    """Return the parameters of one module under the names that they have by themselves.

    Raises:
        ParamctlError: if there is no such module.

    """
    paths = [module.path for module in modules]
    if layer not in paths:
        hint = (
            nearest(layer, paths)
            or f"the outermost are {', '.join(path for path in paths if path and '.' not in path)}"
        )
        raise failure(f"the model has no layer {layer!r}", where="--layer", hint=hint)
    prefix = f"{layer}." if layer else ""
    types = {module.path: module.type_name for module in modules}
    selected = []
    for record in records:
        inside = [name.removeprefix(prefix) for name in record.names if name.startswith(prefix)]
        if inside:
            name, *aliases = inside
            module = name.rpartition(".")[0]
            module_type = types[f"{prefix}{module}" if module else layer]
            selected.append(record._replace(name=name, module=module, module_type=module_type, aliases=tuple(aliases)))
    return tuple(selected)


def filter_records(
    records: Sequence[ParameterRecord], include: Sequence[str], exclude: Sequence[str]
) -> Sequence[ParameterRecord]:
    """Return the records one of whose names matches `include` and none of whose names matches `exclude`."""
    if not include and not exclude:
        return records
    matches = compile_filter(include, exclude)
    return [record for record in records if matches(record.names)]


def sort_records(records: Sequence[ParameterRecord], key: SortKey | None) -> Sequence[ParameterRecord]:
    """Return the records by name, or by size with the largest first; without a key as they are."""
    if key == "name":
        return sorted(records, key=lambda record: record.name)
    if key == "numel":
        return sorted(records, key=lambda record: record.numel, reverse=True)
    if key == "nbytes":
        return sorted(records, key=lambda record: record.nbytes, reverse=True)
    return records


def total_up(records: Iterable[ParameterRecord]) -> ListTotals:
    """Sum the records up, each once; a buffer is neither trainable nor frozen."""
    tensors = numel = nbytes = trainable = frozen = 0
    for record in records:
        size = record.numel
        tensors += 1
        numel += size
        nbytes += record.nbytes
        if record.kind == "parameter":
            if record.requires_grad:
                trainable += size
            else:
                frozen += size
    return ListTotals(tensors=tensors, numel=numel, trainable=trainable, frozen=frozen, nbytes=nbytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOptions:
    """What `paramctl list` was asked for; the fields are its options."""

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    layer: str | None = None
    buffers: bool = False
    sort: SortKey | None = None
    tree: bool = False
    stats: bool = False
    values: bool = False

    @property
    def needs_modules(self) -> bool:
        """Whether the modules must be known, not the parameters alone."""
        return self.tree or self.layer is not None

    @property
    def needs_values(self) -> bool:
        """Whether the elements of the parameters must be known."""
        return self.stats or self.values


Measure: TypeAlias = Callable[[str], tuple[Statistics | None, Values | None]]
"""Returns what was asked of the elements of the tensor with this name in the model."""


def make_list_report(
    model: str | None,
    held: Inventory,
    options: ListOptions,
    measure: Measure | None,
    notes: Sequence[str] = (),
) -> ListReport:
    """Select, measure, sort and sum up the records of a model.

    Args:
        model: the model as the user named it.
        held: what it holds.
        options: what was asked for.
        measure: measures the tensors, if `options.needs_values`.
        notes: what the user should know besides.

    Raises:
        ParamctlError: if there is no module of the path asked for.

    """
    layer = options.layer
    records = (*held.parameters, *held.buffers) if options.buffers else held.parameters
    shown: Sequence[ParameterRecord] = records if layer is None else select_layer(records, held.modules, layer)
    shown = filter_records(shown, options.include, options.exclude)
    if measure is not None:
        prefix = f"{layer}." if layer else ""
        shown = [_measured(record, measure(prefix + record.name)) for record in shown]
    shown = sort_records(shown, options.sort)
    tree = None
    if options.tree:
        from paramctl.analysis.tree import build_tree  # most listings show none

        tree = build_tree(held.modules, _kept(records, shown, layer), root=layer or "")
    return ListReport(model=model, parameters=shown, totals=total_up(shown), tree=tree, notes=tuple(notes))


def _measured(record: ParameterRecord, measured: tuple[Statistics | None, Values | None]) -> ParameterRecord:
    return record._replace(stats=measured[0], values=measured[1])


def _kept(
    records: Sequence[ParameterRecord], shown: Sequence[ParameterRecord], layer: str | None
) -> Iterable[ParameterRecord]:
    """Return the records of the model that are shown, under the names that they have in the model."""
    prefix = f"{layer}." if layer else ""
    names = {prefix + record.name for record in shown}
    return (record for record in records if not names.isdisjoint(record.names))
