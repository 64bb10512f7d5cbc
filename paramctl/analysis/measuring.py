"""What is said of tensors that have no statistics."""

from __future__ import annotations

from collections.abc import Iterable

from paramctl.errors import few
from paramctl.records import ParameterRecord, Statistics


def notes_on_unmeasured(measured: Iterable[tuple[ParameterRecord, Statistics | None]]) -> list[str]:
    """Name the tensors without statistics, a note for each reason."""
    names: dict[str, list[str]] = {}
    for record, stats in measured:
        if stats is None:
            reason = f"torch does not compute with {record.dtype}"
            if record.kind == "tensor":
                reason = "what lies in the checkpoint is not its elements: it is sparse, packed, quantized or on meta"
            names.setdefault(reason, []).append(record.name)
    return [f"{few(each)}: no statistics, since {reason}" for reason, each in names.items()]
