"""The records that lie in one storage -> which of them are the same elements, which overlap, and how much they take."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from paramctl.analysis.effort import Effort, TooIrregularError
from paramctl.analysis.footprints import Footprint, cover, footprint_of
from paramctl.errors import few
from paramctl.records import ParameterRecord
from paramctl.reports.shared import DividedStorage

_PIECES_OF_A_PAIR = 16
"""What it takes at least to tell whether two footprints are the same, of which there may be as many as pairs."""


class Part(NamedTuple):
    """Tensors with the elements and the bytes of memory that they take together."""

    records: tuple[ParameterRecord, ...]
    numel: int
    nbytes: int


class StorageFindings(NamedTuple):
    """What one storage holds.

    Attributes:
        numel: the elements of it that parameters touch.
        nbytes: their bytes.
        same: the parameters that are the very same elements.
        overlaps: those that have some elements in common; all that are connected.
        divided: what it is divided into, where that is worth telling.
        notes: what the user should know besides.
    """

    numel: int
    nbytes: int
    same: list[Part]
    overlaps: list[Part]
    divided: DividedStorage | None
    notes: list[str]


class _Place(NamedTuple):
    """A footprint and the tensors that have it."""

    footprint: Footprint
    records: tuple[ParameterRecord, ...]


def look_into(records: Sequence[ParameterRecord], effort: Effort) -> StorageFindings:
    """Tell what the tensors of one storage have in common; each must have elements.

    Once the effort is spent, tensors of irregular strides are told to be apart, and a note says so.
    """
    if len(records) == 1:
        return _alone(records[0], effort)
    parameters = [record for record in records if record.kind != "buffer"]
    places = _places(parameters, effort)
    notes = []
    try:
        covered = cover([place.footprint for place in places], effort)
        components = [[places[i] for i in each] for each in covered.components]
    except TooIrregularError:
        components = [[place] for place in places]
        names = listed([place.records[0].name for place in places])
        notes.append(f"whether {names} overlap was not worked out: their strides have nothing to do with each other")
    parts = [_part(component, effort) for component in components]
    divided = _divided(parameters, parts)
    if len(parameters) < len(records):
        divided, buffer_notes = _with_buffers(records, effort)
        notes += buffer_notes
    return StorageFindings(
        numel=sum(part.numel for part in parts),
        nbytes=sum(part.nbytes for part in parts),
        same=[_part([place], effort) for place in places if len(place.records) > 1 or _is_tied_entry(place.records[0])],
        overlaps=[part for part, component in zip(parts, components, strict=True) if len(component) > 1],
        divided=divided,
        notes=notes,
    )


def _alone(record: ParameterRecord, effort: Effort) -> StorageFindings:
    """Tell what a tensor takes that has a storage of its own: that of most ties."""
    part = Part((record,), *memory_of(record, effort))
    same = [part] if _is_tied_entry(record) else []
    return StorageFindings(part.numel, part.nbytes, same, [], _divided([record], [part]), [])


def memory_of(record: ParameterRecord, effort: Effort) -> tuple[int, int]:
    """Return the elements of memory that a tensor takes, and their bytes; an expanded one takes fewer than it has."""
    footprint = None if record.span is None else footprint_of(record.shape, record.span)
    if record.span is None or footprint is None:
        return record.numel, record.nbytes
    nbytes = _bytes_of([footprint], effort)
    return nbytes // record.span.itemsize, nbytes


def _footprint(record: ParameterRecord) -> Footprint:
    footprint = None if record.span is None else footprint_of(record.shape, record.span)
    assert footprint is not None, "only what has elements lies in a storage"
    return footprint


def _places(records: Sequence[ParameterRecord], effort: Effort) -> list[_Place]:
    """Put the tensors together that touch the same bytes; the places are in the order of their first tensors."""
    found: dict[Footprint, list[int]] = {}
    for i, record in enumerate(records):
        found.setdefault(_footprint(record), []).append(i)
    alike: dict[tuple[int, int], list[Footprint]] = {}
    for footprint in sorted(found, key=lambda each: not each.is_simple):
        others = alike.setdefault((footprint.start, footprint.end), [])
        same = None if footprint.is_simple else next((each for each in others if _equal(each, footprint, effort)), None)
        if same is None:
            others.append(footprint)
        else:
            found[same] = sorted([*found[same], *found.pop(footprint)])
    places = sorted(found.items(), key=lambda item: item[1])
    return [_Place(footprint, tuple(records[i] for i in numbers)) for footprint, numbers in places]


def _equal(one: Footprint, other: Footprint, effort: Effort) -> bool:
    """Tell whether two footprints are the same bytes."""
    try:
        effort.spend(_PIECES_OF_A_PAIR)
        together = cover([one, other], effort).nbytes
        return together == cover([one], effort).nbytes == cover([other], effort).nbytes
    except TooIrregularError:
        return False


def _part(component: Sequence[_Place], effort: Effort) -> Part:
    """Return what connected footprints take together.

    Where dtypes differ, an element inside a larger one is a part of it and none of its own.
    """
    records = tuple(record for place in component for record in place.records)
    sizes = {place.footprint: max(_itemsize(record) for record in place.records) for place in component}
    numel, counted = 0, 0
    for size in sorted(set(sizes.values()), reverse=True):
        nbytes = _bytes_of([footprint for footprint, each in sizes.items() if each >= size], effort)
        numel, counted = numel + (nbytes - counted) // size, nbytes
    return Part(records, numel, counted)


def _itemsize(record: ParameterRecord) -> int:
    assert record.span is not None, "only what has elements lies in a storage"
    return record.span.itemsize


def _bytes_of(footprints: Sequence[Footprint], effort: Effort) -> int:
    """Return the bytes that footprints touch; where that cannot be worked out, as if each touched its own."""
    if len(footprints) == 1 and footprints[0].is_simple:
        return prod(count for count, _ in footprints[0].steps)
    try:
        return cover(footprints, effort).nbytes
    except TooIrregularError:
        most = (min(each.end - each.start, prod(count for count, _ in each.steps)) for each in footprints)
        return sum(most)


def _is_tied_entry(record: ParameterRecord) -> bool:
    """Tell whether several entries of a checkpoint are this tensor; a Parameter's names are a relation of their own."""
    return record.kind == "tensor" and bool(record.aliases)


def _divided(records: Sequence[ParameterRecord], parts: Sequence[Part]) -> DividedStorage | None:
    """Return what a storage is divided into, where that is more than one part or less than all of it."""
    whole = records[0].span.storage_nbytes if records[0].span is not None else None
    used = sum(part.nbytes for part in parts)
    if len(parts) == 1 and (whole is None or used >= whole):
        return None
    names = tuple(record.name for record in records)
    return DividedStorage(names=names, parts=len(parts), nbytes=whole, used_nbytes=used)


def _with_buffers(records: Sequence[ParameterRecord], effort: Effort) -> tuple[DividedStorage | None, list[str]]:
    """Return what a storage is divided into with its buffers, and which of them meet parameters."""
    footprints = [_footprint(record) for record in records]
    try:
        covered = cover(footprints, effort)
    except TooIrregularError:
        return None, []
    parts, notes = [], []
    for component in covered.components:
        parts.append(
            Part(tuple(records[i] for i in component), 0, _bytes_of([footprints[i] for i in component], effort))
        )
        meeting = {
            kind: [records[i].name for i in component if records[i].kind == kind] for kind in ("buffer", "parameter")
        }
        if all(meeting.values()):
            buffer, parameter = (listed(names) for names in meeting.values())
            notes.append(f"the buffer {buffer} has elements in common with the parameter {parameter}")
    return _divided(records, parts), notes


def listed(names: Sequence[str], most: int = 3) -> str:
    """Write names as a list in a sentence; many are counted."""
    if len(names) <= most:
        return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
    return few(names, most)
