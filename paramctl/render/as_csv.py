"""The rows of a report as CSV (RFC 4180), with a header."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from paramctl.render.rows import flat_rows
from paramctl.reports.base import Report


def render(report: Report) -> Iterator[str]:
    """Yield a line for each row."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for row in flat_rows(report):
        writer.writerow(row)
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
