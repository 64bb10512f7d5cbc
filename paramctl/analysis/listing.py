"""Records -> the rows of `paramctl list`: which, under which names, in which order, and their totals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal, TypeAlias

from paramctl.analysis.measuring import notes_on_statistics
from paramctl.errors import failure, nearest
from paramctl.globs import compile_filter, compile_glob
from paramctl.records import (
    ITEM_SIZES,
    Inventory,
    ModuleRecord,
    ParameterRecord,
    Statistics,
    UnregisteredRecord,
    Values,
)
from paramctl.reports.listing import ListReport, ListTotals
from paramctl.watching import Advance, Watch, unwatched

SortKey: TypeAlias = Literal["name", "numel", "nbytes"]


def select_layer(
    records: Iterable[ParameterRecord], modules: Sequence[ModuleRecord], layer: str
) -> tuple[tuple[ParameterRecord, ...], tuple[ModuleRecord, ...]]:
    """Return the parameters and the modules of one module under the names that they have by themselves.

    What stands outside is left out: of a tensor or a module that is met there too, the first name inside counts.

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
    if not layer:
        return tuple(records), tuple(modules)
    prefix = f"{layer}."
    inside = tuple(_modules_inside(modules, layer, prefix))
    types = {module.path: module.type_name for module in inside}
    selected = []
    for record in records:
        names = [name.removeprefix(prefix) for name in record.names if name.startswith(prefix)]
        if names:
            name, *aliases = names
            module = name.rpartition(".")[0]
            selected.append(
                record._replace(name=name, module=module, module_type=types[module], aliases=tuple(aliases))
            )
    return tuple(selected), inside


def _modules_inside(modules: Iterable[ModuleRecord], layer: str, prefix: str) -> Iterator[ModuleRecord]:
    met: dict[str, str] = {}
    for module in modules:
        if module.path == layer or module.path.startswith(prefix):
            path = module.path[len(prefix) :]
            # Where the same object was met first tells what object it is, also when that is outside.
            known = met.setdefault(module.same_as or module.path, path)
            yield ModuleRecord(path, module.type_name, None if known == path else known)


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
        size = prod(record.shape)
        tensors += 1
        numel += size
        nbytes += size * ITEM_SIZES[record.dtype]
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
    hist: bool = False

    @property
    def needs_modules(self) -> bool:
        """Whether the modules must be known, not the parameters alone."""
        return self.tree or self.layer is not None

    @property
    def prefix(self) -> str:
        """What the names of the layer's tensors begin with in the model."""
        return f"{self.layer}." if self.layer else ""

    @property
    def needs_values(self) -> bool:
        """Whether the elements of the parameters must be known."""
        return self.measures or self.values

    @property
    def measures(self) -> bool:
        """Whether statistics are shown: a histogram comes with them."""
        return self.stats or self.hist


Measure: TypeAlias = Callable[[str], tuple[Statistics | None, Values | None]]
"""Returns what was asked of the elements of the tensor with this name in the model."""


def make_list_report(
    model: str | None,
    held: Inventory,
    options: ListOptions,
    measure: Measure | None,
    notes: Sequence[str] = (),
    watch: Watch = unwatched,
) -> ListReport:
    """Select, measure, sort and sum up the records of a model.

    Args:
        model: the model as the user named it.
        held: what it holds.
        options: what was asked for.
        measure: measures the tensors, if `options.needs_values`.
        notes: what the user should know besides.
        watch: watches how far the measuring has come.

    Raises:
        ParamctlError: if there is no module of the path asked for.

    """
    records, modules = _inside(held, options)
    shown = filter_records(records, options.include, options.exclude)
    found = [_unmatched(option, glob, records, options) for option, glob in _useless_globs(records, options)]
    tree = None
    if options.tree:
        from paramctl.analysis.tree import build_tree  # most listings show none

        tree = build_tree(modules, shown)
    if measure is not None:
        with watch(sum(record.nbytes for record in shown)) as advance:
            shown = [_measured(record, options.prefix, measure, advance) for record in shown]
        if options.measures:
            reasons = {name.removeprefix(options.prefix): why for name, why in held.unreadable.items()}
            found += notes_on_statistics(((record, record.stats) for record in shown), reasons)
    return ListReport(
        model=model,
        parameters=sort_records(shown, options.sort),
        totals=total_up(shown),
        tree=tree,
        measured=options.measures,
        with_histograms=options.hist,
        with_values=options.values,
        title=options.layer or None,
        notes=(*notes, *found),
        unregistered=_unregistered(held, options),
    )


def listed_names(held: Inventory, options: ListOptions) -> list[str]:
    """Return the names, in the model, of the tensors that a listing shows."""
    records, _ = _inside(held, options)
    return [options.prefix + record.name for record in filter_records(records, options.include, options.exclude)]


def _inside(held: Inventory, options: ListOptions) -> tuple[Sequence[ParameterRecord], Sequence[ModuleRecord]]:
    """Return the records and the modules that are selected from: those of the layer asked for, if there is one."""
    records: Sequence[ParameterRecord] = (*held.parameters, *held.buffers) if options.buffers else held.parameters
    if options.layer is None:
        return records, held.modules
    return select_layer(records, held.modules, options.layer)


def _unregistered(held: Inventory, options: ListOptions) -> tuple[UnregisteredRecord, ...] | None:
    """Select what is not registered by the names that parameters are selected by."""
    if held.unregistered is None:
        return None
    inside = [
        each._replace(
            name=each.name.removeprefix(options.prefix),
            module=each.module.removeprefix(options.layer or "").lstrip("."),
        )
        for each in held.unregistered
        if each.name.startswith(options.prefix)
    ]
    matches = compile_filter(options.include, options.exclude)
    return tuple(each for each in inside if matches((each.name,)))


def _useless_globs(records: Sequence[ParameterRecord], options: ListOptions) -> Iterator[tuple[str, str]]:
    """Yield the options and globs that match no name."""
    for option, globs in (("--include", options.include), ("--exclude", options.exclude)):
        for glob in globs:
            matches = compile_glob(glob)
            if not any(matches(record.names) for record in records):
                yield option, glob


def _unmatched(option: str, glob: str, records: Sequence[ParameterRecord], options: ListOptions) -> str:
    """Say that a glob matches nothing, and which one like it would match."""
    inside = f" inside {options.layer}" if options.layer else ""
    part = glob.removeprefix(f"{options.layer}.")
    near = (part, f"*.{part}", f"{part}.*", f"*{part}*") if part else ()
    found = (other for other in near if any(map(compile_glob(other), (record.names for record in records))))
    other = next(found, None)
    suggestion = f": did you mean {other!r}?" if other else ""
    return f"{option} {glob!r} matches no parameter; globs match whole dotted names{inside}{suggestion}"


def _measured(record: ParameterRecord, prefix: str, measure: Measure, advance: Advance) -> ParameterRecord:
    stats, values = measure(prefix + record.name)
    advance(record.nbytes)
    return record._replace(stats=stats, values=values)
