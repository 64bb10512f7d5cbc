"""The page of `paramctl schemes`."""

from __future__ import annotations

from collections.abc import Iterator

from paramctl.render.block import Block, line
from paramctl.render.cells import DIM
from paramctl.render.table import Cell, Column, TableData
from paramctl.reports.schemes import SchemesReport
from paramctl.schemes import Scheme


def page(report: SchemesReport) -> Iterator[Block]:
    """Yield the table of schemes, and how they are written."""
    columns = (Column("scheme"), Column("options", folds=True), Column("values", folds=True))
    yield TableData(columns, [_row(scheme) for scheme in report.schemes])
    usage = "--scheme normal:std=0.02   --rule '*.bias=constant:val=1'   --scheme my_init.py:FUNCTION"
    yield line((usage, DIM))


def _row(scheme: Scheme) -> tuple[Cell, ...]:
    options = "\n".join(
        f"{option.name}=…" if option.default is None else f"{option.name}={option.default}"
        for option in scheme.options.values()
    )
    formula: Cell = ((scheme.formula, ""), (f"\n{scheme.source}", DIM)) if scheme.source else scheme.formula
    return scheme.name, options, formula
