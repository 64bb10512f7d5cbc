"""The page of `paramctl init`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from paramctl.render import text
from paramctl.render.block import Block, line, values_blocks
from paramctl.render.cells import DIM, WRONG, StatisticsColumns, name_cells, repeated
from paramctl.render.table import Cell, Column, TableData
from paramctl.reports.init import InitializedParameter, InitReport


def page(report: InitReport) -> Iterator[Block]:
    """Yield the values beside what was promised; what deviates; what a scheme was not defined for; the elements."""
    rows = report.parameters
    if not rows:
        yield line("There are no parameters here.")
        return
    statistics = StatisticsColumns([row.stats for row in rows], norm=False)
    names = name_cells((row.name, *row.aliases) for row in rows)
    rules = repeated(text.escape(" → ".join(map(str, row.rules))) or "layer's own" for row in rows)
    columns = (Column("name", folds=True), Column("rule", folds=True), *statistics.columns, Column("expected", "right"))
    cells = [
        (name, rule, *_marked(statistics.cells(row.stats), row), _expected(row))
        for name, rule, row in zip(names, rules, rows, strict=True)
    ]
    yield TableData(columns, cells)
    yield line((f"seed {report.seed} · expected is mean ± std", DIM))
    deviating = sum(bool(row.deviates) for row in rows)
    if deviating:
        off = "off by more than five standard errors from what is expected"
        message = f"{text.counted(deviating, 'parameter')} (!) {off}"
        yield line((message, WRONG))
    for note, count in Counter(row.note for row in rows if row.note).items():
        yield line(f"{text.counted(count, 'parameter')} kept the layer's own values: {text.escape(note)}")
    if report.written is not None:
        yield line(f"written to {text.escape(report.written)}")
    if any(row.values is not None for row in rows):
        yield from values_blocks((row.name, row.values) for row in rows)


def _marked(cells: tuple[Cell, ...], row: InitializedParameter) -> tuple[Cell, ...]:
    if not row.deviates:
        return cells
    mean, std, *others = cells
    return (((str(mean), WRONG),), ((str(std), WRONG),), *others)


def _expected(row: InitializedParameter) -> Cell:
    if row.expected is None:
        return (("–", DIM),)
    promise = f"{text.number(row.expected.mean)} ± {text.number(row.expected.std)}"
    return ((f"! {promise}", WRONG),) if row.deviates else promise
