"""The page of `paramctl init`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from paramctl.render import text
from paramctl.render.block import Block, line, values_blocks
from paramctl.render.cells import DIM, NOTHING, WRONG, name_cells, repeated, statistics_columns
from paramctl.render.table import Cell, Column, TableData, plain
from paramctl.reports.init import UNWRITTEN, InitializedParameter, InitReport


def page(report: InitReport, *, styled: bool) -> Iterator[Block]:
    """Yield the values beside what was promised; what deviates; what a scheme was not defined for; the elements."""
    rows = report.parameters
    if not rows:
        yield line("There are no parameters here.")
        return
    names = name_cells(((row.name, *row.aliases) for row in rows), styled=styled)
    mean, std, *others = statistics_columns([row.stats for row in rows], norm=False)
    yield TableData(
        (
            Column("name", names, folds=True),
            Column("rule", _rules(rows, styled=styled), folds=True),
            _marked(mean, rows),
            _marked(std, rows),
            *others,
            *_fan_columns(rows, optional=3 if any(row.stats and row.stats.histogram for row in rows) else 0),
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
    yield _origins(report)
    if report.written is not None:
        shards = f" and {text.counted(len(report.shards), 'shard')}" if report.shards else ""
        yield line(f"written to {text.escape(report.written)}{shards}")
    if any(row.values is not None for row in rows):
        yield from values_blocks((row.name, row.values) for row in rows)


def _rules(rows: Sequence[InitializedParameter], *, styled: bool) -> list[Cell]:
    """Return the cells with the rules; what no rule has made is named by where it came from."""
    starts = [row.start or "" for row in rows]
    rules = [text.escape(" → ".join(map(str, row.rules[row.replaced :]))) for row in rows]
    joined = [" → ".join(filter(None, pair)) for pair in zip(starts, rules, strict=True)]
    cells = repeated(joined, styled=styled)
    return [((plain(cell), WRONG),) if row.unwritten else cell for cell, row in zip(cells, rows, strict=True)]


def _origins(report: InitReport) -> TableData:
    """Return how much came from where."""
    shares = report.origins()
    return TableData(
        (
            Column("values from", [_origin(share.origin) for share in shares], folds=True),
            Column("parameters", [text.grouped(share.parameters) for share in shares], "right"),
            Column("elements", [text.grouped(share.numel) for share in shares], "right"),
        )
    )


def _origin(origin: str) -> Cell:
    start = origin.partition(" → ")[0]
    return ((text.escape(origin), WRONG),) if start in UNWRITTEN else text.escape(origin)


def _fan_columns(rows: Sequence[InitializedParameter], *, optional: int) -> list[Column]:
    """Return a column with the fans that the formulas use; none where they use none."""
    if all(row.fans is None for row in rows):
        return []
    return [Column("fan", [_fan(row) for row in rows], "right", optional=optional)]


def _fan(row: InitializedParameter) -> Cell:
    """Write the one fan that He's formula divides by, or the two that Glorot's adds up."""
    if row.fans is None:
        return NOTHING
    mode = row.rules[row.replaced].args.get("mode")
    if mode is None:
        return f"{text.grouped(row.fans.fan_in)} + {text.grouped(row.fans.fan_out)}"
    return f"in {text.grouped(row.fans.fan_in)}" if mode == "fan_in" else f"out {text.grouped(row.fans.fan_out)}"


def _marked(column: Column, rows: Sequence[InitializedParameter]) -> Column:
    """Colour the cells of the parameters that deviate."""
    pairs = zip(column.cells, rows, strict=True)
    return replace(column, cells=[((plain(cell), WRONG),) if row.deviates else cell for cell, row in pairs])


def _expected(row: InitializedParameter) -> Cell:
    if row.expected is None:
        return NOTHING
    promise = f"{text.number(row.expected.mean)} ± {text.number(row.expected.std)}"
    return ((f"! {promise}", WRONG),) if row.deviates else promise
