"""The rows of a report as a table in GitHub's Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator

from paramctl.render.rows import flat_rows, is_number
from paramctl.render.text import escape
from paramctl.reports.base import Report

_SPECIAL = re.compile(r"([\\`*<|])")


def render(report: Report) -> Iterator[str]:
    """Yield a line for each row."""
    rows = flat_rows(report)
    header = next(rows)
    yield _line(header)
    yield "|" + "|".join(" ---: " if is_number(column) else " --- " for column in header) + "|\n"
    for row in rows:
        yield _line(row)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(_SPECIAL.sub(r"\\\1", escape(cell)) for cell in cells) + " |\n"
