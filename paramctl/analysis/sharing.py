"""Records -> what their names have in common: a module, a Parameter, or elements of memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

from paramctl.analysis.effort import Effort
from paramctl.analysis.storages import Part, StorageFindings, listed, look_into, memory_of
from paramctl.records import ParameterRecord
from paramctl.reports.shared import DividedStorage, Relation, SharedGroup, SharedTotals


@dataclass(frozen=True, kw_only=True)
class MemorySurvey:
    """What of a model may share memory, and how much certainly shares nothing.

    Attributes:
        records: the parameters (in a checkpoint: tensors) that have several names, or whose memory may be another's
            too or is not exactly their elements; and the buffers that lie in a storage of one of them. In model order.
        identities: the `id()` of the object by the record's first name; none in a checkpoint.
        order: the place in model order of every name of the records; where there is none, names are ordered as the
            records are.
        alone_numel: the elements of all other parameters.
        alone_nbytes: their bytes.

    """

    records: Sequence[ParameterRecord]
    identities: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    order: Mapping[str, int] | None = None
    alone_numel: int = 0
    alone_nbytes: int = 0

    @cached_property
    def parameters(self) -> list[ParameterRecord]:
        """The records without the buffers."""
        return [record for record in self.records if record.kind != "buffer"]

    @cached_property
    def places(self) -> Mapping[str, int]:
        """The place in model order of every name."""
        if self.order is not None:
            return self.order
        return {name: i for i, name in enumerate(name for record in self.records for name in record.names)}

    def ordered(self, records: Iterable[ParameterRecord]) -> tuple[str, ...]:
        """Return all names of records in model order."""
        return tuple(sorted((name for record in records for name in record.names), key=self.places.__getitem__))


class Found(NamedTuple):
    """What a survey tells.

    Attributes:
        groups: in model order of their first names; of those with one first name, the most specific first.
        totals: over the whole model.
        storages: those that several disjoint tensors divide, or that are used in part.
        notes: what else the user should know.
    """

    groups: tuple[SharedGroup, ...]
    totals: SharedTotals
    storages: tuple[DividedStorage, ...]
    notes: tuple[str, ...]


def find_groups(survey: MemorySurvey) -> Found:
    """Group the names that are one module's, one Parameter, or elements of the same memory."""
    by_storage: dict[int, list[ParameterRecord]] = {}
    numel, nbytes = survey.alone_numel, survey.alone_nbytes
    groups, effort = [], Effort()
    for record in survey.records:
        if record.span is not None and record.numel:
            by_storage.setdefault(record.span.storage, []).append(record)
        elif record.kind != "buffer":
            numel, nbytes = numel + record.numel, nbytes + record.nbytes
            if record.kind == "tensor" and record.aliases:
                groups.append(_group(survey, "same-storage", Part((record,), record.numel, record.nbytes)))
        if record.aliases and record.kind == "parameter":
            relation: Relation = "same-module" if record.owners == 1 else "same-parameter"
            groups.append(_group(survey, relation, Part((record,), *memory_of(record, effort))))
    storages = [look_into(records, effort) for records in by_storage.values()]
    for storage in storages:
        numel, nbytes = numel + storage.numel, nbytes + storage.nbytes
        groups += [_group(survey, "same-storage", part) for part in storage.same]
        groups += [_group(survey, "overlap", part) for part in storage.overlaps]
    parameters = survey.parameters
    named_nbytes = survey.alone_nbytes + sum(record.nbytes * len(record.names) for record in parameters)
    totals = SharedTotals(
        groups=len(groups),
        named_numel=survey.alone_numel + sum(record.numel * len(record.names) for record in parameters),
        numel=numel,
        saved_nbytes=named_nbytes - nbytes,
    )
    divided = tuple(storage.divided for storage in storages if storage.divided is not None)
    return Found(in_order(survey, groups), totals, divided, tuple(_notes(storages, divided, effort)))


def in_order(survey: MemorySurvey, groups: Iterable[SharedGroup]) -> tuple[SharedGroup, ...]:
    """Return groups in model order of their first names; of those with one first name, the most specific first."""
    return tuple(sorted(groups, key=lambda group: (survey.places[group.names[0]], group.rank)))


def _group(survey: MemorySurvey, relation: Relation, part: Part) -> SharedGroup:
    first = part.records[0]
    names = survey.ordered(part.records)
    shapes = {record.shape for record in part.records}
    views = _views(relation, part.records)
    return SharedGroup(
        relation=relation,
        names=names,
        shape=first.shape if len(shapes) == 1 else None,
        numel=part.numel,
        nbytes=part.nbytes,
        saved_nbytes=sum(record.nbytes * len(record.names) for record in part.records) - part.nbytes,
        identity=survey.identities.get(first.name) if len(part.records) == 1 else None,
        views=tuple(views[name] for name in names) if any(views.values()) else (),
    )


def _views(relation: Relation, records: Sequence[ParameterRecord]) -> dict[str, str | None]:
    """Return what each name sees that the first one does not."""
    describe = _place if relation == "overlap" else _view
    return {name: describe(record, records[0]) for record in records for name in record.names}


def _view(record: ParameterRecord, first: ParameterRecord) -> str | None:
    """Tell how a tensor sees the elements of another."""
    if record.span is None or first.span is None or record is first:
        return None
    if record.dtype != first.dtype:
        return f"as {record.dtype}"
    pairs = sorted(zip(record.shape, record.span.strides, strict=True))
    if (record.shape, record.span.strides) == (first.shape, first.span.strides):
        return None
    if pairs == sorted(zip(first.shape, first.span.strides, strict=True)):
        return "transposed"
    return f"as {list(record.shape)}" if record.shape != first.shape else None


def _place(record: ParameterRecord, first: ParameterRecord) -> str:
    """Tell where in a storage a tensor lies."""
    assert record.span is not None, "what overlaps lies in a storage"
    dtype = "" if record.dtype == first.dtype else f"{record.dtype} "
    return f"{dtype}{list(record.shape)} at {record.span.offset:,}"


_MOST_NOTES = 5


def _notes(storages: Sequence[StorageFindings], divided: Sequence[DividedStorage], effort: Effort) -> Iterator[str]:
    """Say what no group shows: what was not worked out, buffers in a parameter's memory, and slices of one storage."""
    for storage in storages:
        yield from storage.notes
    if effort.is_spent:
        yield (
            "strides that have nothing to do with each other take too long to follow: what is not known to be the same "
            "memory is counted as if it were not, and the same elements may be told to overlap"
        )
    sliced = [each for each in divided if each.parts > 1]
    for each in sliced[:_MOST_NOTES]:
        yield f"{listed(each.names)} are slices of one storage, {each.parts:,} parts without an element in common"
    if len(sliced) > _MOST_NOTES:
        yield f"{len(sliced) - _MOST_NOTES:,} more storages hold slices without an element in common"
    unused = sum((each.nbytes or each.used_nbytes) - each.used_nbytes for each in divided)
    if unused > 0:
        yield f"{unused:,} bytes of the storages that parameters lie in belong to none of them"
