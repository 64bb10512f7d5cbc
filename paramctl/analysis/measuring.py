"""What is said of statistics: of which tensors there are none, and what those of complex elements are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from paramctl.errors import few
from paramctl.records import ParameterRecord, Statistics


def notes_on_statistics(
    measured: Iterable[tuple[ParameterRecord, Statistics | None]], reasons: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """Name the tensors without statistics, a note for each reason, and the complex ones.

    Args:
        measured: tensors, and their statistics where they have some.
        reasons: why the elements of some are not known, by name.

    """
    names: dict[str, list[str]] = {}
    told = list(measured)
    for record, stats in told:
        if stats is None:
            reason = reasons.get(record.name, f"torch does not compute with {record.dtype}")
            names.setdefault(reason, []).append(record.name)
    return [f"{few(each)}: no statistics, since {reason}" for reason, each in names.items()] + notes_on_magnitudes(told)


def notes_on_magnitudes(measured: Iterable[tuple[ParameterRecord, Statistics | None]]) -> list[str]:
    """Name the complex tensors whose statistics are shown, in a note that says of what they are."""
    names = [record.name for record, stats in measured if stats is not None and record.dtype.startswith("complex")]
    return [f"{few(names)}: statistics of complex elements are those of their magnitudes"] if names else []
