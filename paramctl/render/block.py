"""The pieces of a page, and the small ones that several pages share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from rich.text import Text

from paramctl.records import Values
from paramctl.render import text
from paramctl.render.table import TableData

Block: TypeAlias = TableData | Text
"""A table, or lines of text."""


class Verbatim(Text):
    """Lines of text that mean what they show by how they are broken, so that no width breaks them again."""


def line(*parts: tuple[str, str] | str) -> Text:
    """Return a line of text with styled parts."""
    return Text.assemble(*parts)


def values_blocks(named: Iterable[tuple[str, Values | None]]) -> Iterator[Block]:
    """Yield each tensor's name and, below it, its elements as torch prints them."""
    for name, values in named:
        yield line("")
        yield line((text.escape(name), "bold"))
        yield Verbatim("None" if values is None else values.text())
