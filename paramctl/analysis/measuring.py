"""What is said of tensors that have no statistics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from paramctl.errors import few
from paramctl.records import ParameterRecord, Statistics


def notes_on_unmeasured(
    measured: Iterable[tuple[ParameterRecord, Statistics | None]], reasons: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """Name the tensors without statistics, a note for each reason.

    Args:
        measured: tensors, and their statistics where they have some.
        reasons: why the elements of some are not known, by name.

    """
    names: dict[str, list[str]] = {}
    for record, stats in measured:
        if stats is None:
            reason = reasons.get(record.name, f"torch does not compute with {record.dtype}")
            names.setdefault(reason, []).append(record.name)
    return [f"{few(each)}: no statistics, since {reason}" for reason, each in names.items()]
