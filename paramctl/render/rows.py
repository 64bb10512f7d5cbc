"""The rows of a report as flat columns, as CSV and Markdown have them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from paramctl.reports.base import STATISTICS, Report

_NESTED: Final[Mapping[str, Sequence[str]]] = {
    "stats": STATISTICS,
    "before": STATISTICS,
    "grad": STATISTICS,
    "expected": ("mean", "std"),
    "histogram": ("edges", "counts"),
    "fans": ("fan_in", "fan_out"),
}
"""The fields that become columns of their own, such as ``stats.mean``, also in a row that has none of them."""

_dumps: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def flat_rows(report: Report) -> Iterator[list[str]]:
    """Yield the header, then a list of texts for each row; the name comes first."""
    names = sorted(report.columns(), key=lambda name: name not in {"name", "names"})
    yield [column for name in names for column in _columns(name)]
    for row in report.rows():
        yield [text for name in names for text in _texts(name, row[name])]


def is_number(column: str) -> bool:
    """Tell whether a column holds numbers, which are set to the right."""
    field = column.partition(".")[0]
    counts = {"numel", "nbytes", "saved_nbytes", "unwritten"}
    return column in counts or (field in _NESTED and field != "histogram")


def _columns(name: str) -> list[str]:
    return [f"{name}.{part}" for part in _NESTED[name]] if name in _NESTED else [name]


def _texts(name: str, value: Any) -> list[str]:
    if name not in _NESTED:
        return [_text(value)]
    return [_text(None if value is None else value[part]) for part in _NESTED[name]]


def _text(value: Any) -> str:
    """Write a value: text as it is, nothing for None, everything else as JSON does."""
    if isinstance(value, str):
        return value
    if type(value) is int:  # no bool; most of the others are
        return str(value)
    return "" if value is None else _dumps(value)
