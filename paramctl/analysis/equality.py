"""Digests of values -> the groups of names with equal values in different memory."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeAlias

from paramctl.analysis.footprints import footprint_of
from paramctl.analysis.sharing import MemorySurvey
from paramctl.records import ParameterRecord
from paramctl.reports.shared import SharedGroup

Digests: TypeAlias = Mapping[str, bytes | None]
"""By the first name of a tensor, what stands for its values: None where all elements are equal."""


def comparable(records: Iterable[ParameterRecord]) -> list[ParameterRecord]:
    """Return the tensors whose values are worth a look: another one has their shape and dtype, in different memory.

    A single element is a constant, which nobody ties.
    """
    alike: dict[Hashable, list[ParameterRecord]] = {}
    for record in records:
        if record.kind != "buffer" and record.numel > 1:
            alike.setdefault((record.shape, record.dtype), []).append(record)
    return [record for each in alike.values() if len(each) > 1 and len(_memories(each)) > 1 for record in each]


def same_values(survey: MemorySurvey, digests: Digests) -> list[SharedGroup]:
    """Group the tensors with one shape, dtype and digest that are not the same memory, constant ones aside."""
    found: dict[Hashable, list[ParameterRecord]] = {}
    for record in comparable(survey.records):
        digest = digests.get(record.name)
        if digest is not None:
            found.setdefault((record.shape, record.dtype, digest), []).append(record)
    return [
        SharedGroup(
            relation="same-values",
            names=survey.ordered(records),
            shape=records[0].shape,
            numel=records[0].numel,
            nbytes=records[0].nbytes,
            saved_nbytes=0,
            copies=len(_memories(records)),
        )
        for records in found.values()
        if len(_memories(records)) > 1
    ]


def _memories(records: Sequence[ParameterRecord]) -> set[Hashable]:
    """Return what tells the memories of tensors apart."""
    return {
        record.name if record.span is None else (record.span.storage, footprint_of(record.shape, record.span))
        for record in records
    }
