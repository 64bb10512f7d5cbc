"""The page of `paramctl grad`."""

from __future__ import annotations

from collections.abc import Iterator

from paramctl.render import text
from paramctl.render.block import Block, line, values_blocks
from paramctl.render.cells import DIM, WRONG, StatisticsColumns, name_cells
from paramctl.render.table import Cell, Column, TableData
from paramctl.reports.grad import GradReport, ParameterGradient


def page(report: GradReport) -> Iterator[Block]:
    """Yield what the passes were, then the table of gradients before and after them, and their values."""
    passes = text.counted(report.passes, "pass") if report.passes == 1 else f"{report.passes:,} passes"
    where = "" if report.output_path == "output" else f" at {text.escape(report.output_path)}"
    yield line(
        ("output ", DIM), f"{text.shape(report.output_shape)}{where}",
        ("   loss ", DIM), f"{report.loss:.6g}", (f" ({report.objective})", DIM),
        ("   ", DIM), passes,
    )  # fmt: skip
    if not report.parameters:
        yield line("There are no parameters here.")
        return
    rows = report.parameters
    statistics = StatisticsColumns([row.grad for row in rows])
    names = name_cells((row.name, *row.aliases) for row in rows)
    columns = (Column("name", folds=True), Column("before"), *statistics.columns)
    cells = [(name, _before(row), *_after(row, statistics)) for name, row in zip(names, rows, strict=True)]
    yield TableData(columns, cells)
    without = [row for row in rows if row.grad is None]
    if without:
        frozen = sum(row.reason == "frozen" for row in without)
        parts = [f"{frozen} frozen"] * (frozen > 0)
        parts += [f"{len(without) - frozen} unused: no path leads from the loss to them"] * (len(without) > frozen)
        yield line((f"{text.counted(len(without), 'parameter')} without a gradient: {', '.join(parts)}", WRONG))
    if report.with_values:
        yield from values_blocks((row.name, row.values) for row in rows)


def _before(row: ParameterGradient) -> Cell:
    return (("none", DIM),) if row.before is None else f"norm {text.number(row.before.norm)}"


def _after(row: ParameterGradient, statistics: StatisticsColumns) -> tuple[Cell, ...]:
    if row.grad is not None:
        return statistics.cells(None if row.grad is None else row.grad)
    return (((row.reason or "none", WRONG),), *statistics.cells(None)[1:])
