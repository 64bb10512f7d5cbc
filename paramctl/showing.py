"""Reports that show themselves: in a terminal, in a notebook, and as a string."""

from __future__ import annotations

import io
from dataclasses import dataclass, fields
from typing import Any, Self

from rich.console import Console, ConsoleOptions, RenderResult

from paramctl.render.block import line
from paramctl.render.fitting import fit
from paramctl.render.pages import page
from paramctl.render.table import TableData, abridged, rich_table
from paramctl.render.text import escape
from paramctl.reports.base import Report
from paramctl.reports.grad import GradReport
from paramctl.reports.init import InitReport
from paramctl.reports.listing import ListReport
from paramctl.reports.shared import SharedReport

_WIDTH = 100

# `force_jupyter=False` below: in a notebook a console of Rich's displays what it prints, whatever its file.


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Shown(Report):
    """A report that shows itself, its notes behind it; a long table is shown by its first and last rows."""

    @classmethod
    def of(cls, report: Report) -> Self:
        """Return the same report, able to show itself."""
        values: dict[str, Any] = {field.name: getattr(report, field.name) for field in fields(report)}
        return cls(**values)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Show the report with Rich."""
        for block in page(self, styled=console.color_system is not None):
            if isinstance(block, TableData):
                fitted = fit(abridged(block), options.max_width)
                yield rich_table(fitted.table, fitted.widths)
                left_out = fitted.note()
                if left_out is not None:
                    yield left_out
            else:
                yield block
        for note in self.notes:
            yield line(("note:", "yellow"), f" {escape(note)}")

    def _repr_html_(self) -> str:
        console = Console(file=io.StringIO(), record=True, width=_WIDTH, force_jupyter=False)
        console.print(self)
        return console.export_html(inline_styles=True, code_format="<pre>{code}</pre>")

    def __repr__(self) -> str:
        console = Console(file=io.StringIO(), width=_WIDTH, color_system=None, force_jupyter=False)
        with console.capture() as capture:
            console.print(self)
        return capture.get().rstrip("\n")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ParameterListing(Shown, ListReport):
    """What `list_parameters` returns."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Initialization(Shown, InitReport):
    """What `initialize` returns."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Sharing(Shown, SharedReport):
    """What `find_shared` returns."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Gradients(Shown, GradReport):
    """What `gradients` returns."""
