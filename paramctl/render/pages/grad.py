"""The page of `paramctl grad`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from paramctl.render import text
from paramctl.render.block import Block, line, values_blocks
from paramctl.render.cells import DIM, WRONG, name_cells, statistics_columns
from paramctl.render.table import Cell, Column, TableData
from paramctl.reports.grad import GradReport, ParameterGradient


def page(report: GradReport, *, styled: bool) -> Iterator[Block]:
    """Yield what the passes were, then the gradients before and after them, and their values."""
    passes = "1 pass" if report.passes == 1 else f"{report.passes:,} passes"
    where = "" if report.output_path == "output" else f" at {text.escape(report.output_path)}"
    yield line(
        ("output ", DIM), f"{text.shape(report.output_shape)}{where}",
        ("   loss ", DIM), f"{report.loss:.6g}", (f" ({text.escape(report.objective)})", DIM),
        ("   ", DIM), passes,
    )  # fmt: skip
    rows = report.parameters
    if not rows:
        yield line("There are no parameters here.")
        return
    names = name_cells(((row.name, *row.aliases) for row in rows), styled=styled)
    mean, *others = statistics_columns([row.grad for row in rows])
    reasons = [((row.reason or "none", WRONG),) if row.grad is None else None for row in rows]
    mean = replace(mean, cells=[reason or cell for reason, cell in zip(reasons, mean.cells, strict=True)])
    nothing_before = all(row.before is None for row in rows)
    before = Column("before", [_before(row) for row in rows], optional=int(nothing_before))
    yield TableData((Column("name", names, folds=True), before, mean, *others))
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
