"""The formats in which a report can be written."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, assert_never

if TYPE_CHECKING:
    from collections.abc import Iterator

    from paramctl.reports.base import Report


class OutputFormat(StrEnum):
    """A format: `table` is for a person, the others keep every digit and name."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"


def render(report: Report, output_format: OutputFormat, width: int, color: str | None) -> Iterator[str]:
    """Yield the text of a report in pieces.

    A format is imported when it is used: Rich alone takes 50 ms, and `--help` needs none.

    Args:
        report: the report.
        output_format: the format.
        width: the columns that a table may take.
        color: the colour system of the terminal that a table is for, by Rich's name; None for no ANSI codes.

    """
    match output_format:
        case OutputFormat.TABLE:
            from paramctl.render import as_table

            return as_table.render(report, width, color)
        case OutputFormat.JSON:
            from paramctl.render import as_json

            return as_json.render(report)
        case OutputFormat.CSV:
            from paramctl.render import as_csv

            return as_csv.render(report)
        case OutputFormat.MARKDOWN:
            from paramctl.render import as_markdown

            return as_markdown.render(report)
        case _:
            assert_never(output_format)
