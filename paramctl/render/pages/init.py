"""The page of `paramctl init`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from paramctl.render import text
from paramctl.render.block import Block, line, values_blocks
from paramctl.render.cells import DIM, NOTHING, WRONG, name_cells, repeated, statistics_columns
from paramctl.render.table import Cell, Column, TableData, plain
from paramctl.reports.init import InitializedParameter, InitReport


def page(report: InitReport, *, styled: bool) -> Iterator[Block]:
    """Yield the values beside what was promised; what deviates; what a scheme was not defined for; the elements."""
    rows = report.parameters
    if not rows:
        yield line("There are no parameters here.")
        return
    names = name_cells(((row.name, *row.aliases) for row in rows), styled=styled)
    rules = [text.escape(" → ".join(map(str, row.rules[row.replaced :]))) or "layer's own" for row in rows]
    mean, std, *others = statistics_columns([row.stats for row in rows], norm=False)
    yield TableData(
        (
            Column("name", names, folds=True),
            Column("rule", repeated(rules, styled=styled), folds=True),
            _marked(mean, rows),
            _marked(std, rows),
            *others,
            Column("expected", [_expected(row) for row in rows], "right"),
        )
    )
    source = " of torch's one generator" if report.rng == "torch" else ""
    yield line((f"seed {report.seed}{source} · expected is mean ± std", DIM))
    deviating = sum(bool(row.deviates) for row in rows)
    if deviating:
        off = "off by more than five standard errors from what is expected"
        yield line((f"{text.counted(deviating, 'parameter')} (!) {off}", WRONG))
    for note, count in Counter(row.note for row in rows if row.note).items():
        yield line(f"{text.counted(count, 'parameter')} kept the layer's own values: {text.escape(note)}")
    if report.written is not None:
        shards = f" and {text.counted(len(report.shards), 'shard')}" if report.shards else ""
        yield line(f"written to {text.escape(report.written)}{shards}")
    if any(row.values is not None for row in rows):
        yield from values_blocks((row.name, row.values) for row in rows)


def _marked(column: Column, rows: Sequence[InitializedParameter]) -> Column:
    """Colour the cells of the parameters that deviate."""
    pairs = zip(column.cells, rows, strict=True)
    return replace(column, cells=[((plain(cell), WRONG),) if row.deviates else cell for cell, row in pairs])


def _expected(row: InitializedParameter) -> Cell:
    if row.expected is None:
        return NOTHING
    promise = f"{text.number(row.expected.mean)} ± {text.number(row.expected.std)}"
    return ((f"! {promise}", WRONG),) if row.deviates else promise
