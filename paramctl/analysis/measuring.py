"""What is said of tensors that have no statistics."""

from __future__ import annotations

from collections.abc import Iterable

from paramctl.records import ParameterRecord, Statistics


def notes_on_unmeasured(measured: Iterable[tuple[ParameterRecord, Statistics | None]]) -> list[str]:
    """Name the tensors without statistics, a note for each dtype."""
    names: dict[str, list[str]] = {}
    for record, stats in measured:
        if stats is None:
            names.setdefault(record.dtype, []).append(record.name)
    return [f"{_some(each)}: no statistics, since torch does not compute with {dtype}" for dtype, each in names.items()]


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if names[3:] else "")
