"""Records -> the groups of names that are one Parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from paramctl.records import ParameterRecord
from paramctl.reports.shared import SharedGroup, SharedTotals


def find_groups(
    records: Sequence[ParameterRecord], identities: Mapping[str, int]
) -> tuple[tuple[SharedGroup, ...], SharedTotals]:
    """Group the names of each Parameter that has several.

    Args:
        records: one record per distinct Parameter object.
        identities: the `id()` of the object by the record's name.

    Returns:
        The groups in model order, and the totals over all parameters of the model.

    """
    groups = tuple(_group(record, identities.get(record.name)) for record in records if record.aliases)
    named = sum(record.numel * len(record.names) for record in records)
    totals = SharedTotals(
        groups=len(groups),
        named_numel=named,
        numel=sum(record.numel for record in records),
        saved_nbytes=sum(group.saved_nbytes for group in groups),
    )
    return groups, totals


def _group(record: ParameterRecord, identity: int | None) -> SharedGroup:
    return SharedGroup(
        relation="same-module" if record.owners == 1 else "same-parameter",
        names=record.names,
        shape=record.shape,
        numel=record.numel,
        nbytes=record.nbytes,
        saved_nbytes=record.nbytes * len(record.aliases),
        identity=identity,
    )
