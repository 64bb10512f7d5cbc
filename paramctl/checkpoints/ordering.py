"""The order of a checkpoint's tensors, where its writer sorted them by name as texts."""

from __future__ import annotations

from collections.abc import Sequence
from operator import gt
from typing import Final

from paramctl.records import ParameterRecord

_DIGITS: Final = 12
"""How many digits a number in a name may have to be sorted as one."""


def in_model_order(records: Sequence[ParameterRecord], runs: int = 1) -> Sequence[ParameterRecord]:
    """Return records in an order in which the numbers in their modules' names count, if they were sorted as texts.

    safetensors' own writer sorts tensors by the size of their dtype, then by name, so that ``layers.10`` comes before
    ``layers.2``. What was not sorted so is left as it is: a state dict is in model order.

    Args:
        records: the records of a file.
        runs: of how many sorted runs a sorted file may consist.

    """
    names = [record.name for record in records]
    if sum(map(gt, names, names[1:])) >= runs:
        return records
    modules = [record.module for record in records]
    keys = _padded(modules)
    return [records[i] for i in sorted(range(len(names)), key=keys.__getitem__)]


def _padded(paths: Sequence[str]) -> list[str]:
    """Return paths whose numbers are sorted as numbers when they are sorted as texts.

    What several of them begin or end with is looked at once.
    """
    split = [path.rpartition(".") for path in paths]
    parents = {parent: ".".join(map(_padded_part, parent.split("."))) for parent in {parent for parent, _, _ in split}}
    lasts = {last: _padded_part(last) for last in {last for _, _, last in split}}
    return [f"{parents[parent]}{dot}{lasts[last]}" for parent, dot, last in split]


def _padded_part(part: str) -> str:
    return part.zfill(_DIGITS) if part.isdigit() else part
