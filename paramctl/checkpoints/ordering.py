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
    padded = _Padded()
    split = (record.module.rpartition(".") for record in records)  # many modules have the same parent
    keys = [padded[parent] + dot + padded[last] for parent, dot, last in split]
    return [records[i] for i in sorted(range(len(names)), key=keys.__getitem__)]


class _Padded(dict[str, str]):
    """Dotted texts, and how their numbers are written so that they are sorted as numbers; each is looked at once."""

    def __missing__(self, text: str) -> str:
        self[text] = ".".join(part.zfill(_DIGITS) if part.isdigit() else part for part in text.split("."))
        return self[text]
