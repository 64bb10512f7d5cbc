"""A report as tables and lines of text, with colours where the terminal has them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Literal, cast

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from paramctl.render.block import Verbatim
from paramctl.render.layout import captured, table_text
from paramctl.render.pages import page
from paramctl.render.table import TableData
from paramctl.reports.base import Report


def render(report: Report, width: int, color: str | None) -> Iterator[str]:
    """Yield the text of a report's page, in pieces that end in a newline."""
    system = cast("Literal['standard', '256', 'truecolor'] | None", color)
    console = Console(
        file=io.StringIO(),
        width=width,
        color_system=system,
        force_terminal=color is not None,
        no_color=color is None,
        highlight=False,
        emoji=False,
        markup=False,
        legacy_windows=False,
    )
    for block in page(report, styled=color is not None):
        pieces = table_text(block, console) if isinstance(block, TableData) else [_lines(block, console)]
        yield from pieces if color else map(_without_padding, pieces)


def _lines(block: Text, console: Console) -> str:
    if not isinstance(block, Verbatim):
        return captured(console, block)
    widest = max(cell_len(line) for line in block.plain.split("\n"))
    return captured(console, block, max(console.width, widest))


def _without_padding(text: str) -> str:
    return "\n".join([line.rstrip(" ") for line in text.split("\n")]) if " \n" in text else text
