"""A report as JSON: its fields in order, one row of the report on a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from paramctl.reports.base import Report

_dumps: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
"""`json.dumps` would make an encoder for every row."""


def render(report: Report) -> Iterator[str]:
    """Yield the JSON text in pieces."""
    separator = "{\n"
    for key, value in report.sections():
        yield f"{separator}  {json.dumps(key)}: "
        separator = ",\n"
        if isinstance(value, Iterator):
            yield from _lines(value)
        else:
            yield _dumps(value)
    yield "\n}\n"


def _lines(rows: Iterator[object]) -> Iterator[str]:
    separator = "[\n"
    for row in rows:
        yield f"{separator}    {_dumps(row)}"
        separator = ",\n"
    yield "[]" if separator == "[\n" else "\n  ]"
