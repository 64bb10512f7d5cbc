"""The page of `paramctl grad`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import prod
from types import MappingProxyType
from typing import Final

from paramctl.records import Values
from paramctl.render import text
from paramctl.render.bars import WIDTH, log_bars
from paramctl.render.block import Block, line, values_blocks
from paramctl.render.cells import DIM, NOTHING, WRONG, name_cells, repeated, statistics_columns
from paramctl.render.table import Cell, Column, TableData, plain
from paramctl.reports.grad import GradientReason, GradReport, LayerGradient, ParameterGradient, Use
from paramctl.reports.health import CHECKS, Check, Finding, Health

_FINDS: Final[Mapping[Check, str]] = MappingProxyType(
    {
        "nan": "NaN or infinite",
        "dead": "all zero",
        "unused": "none: no path from the loss",
        "frozen": "none: requires_grad is False",
    }
)
_WITHOUT: Final[Mapping[GradientReason, str]] = MappingProxyType(
    {
        "frozen": "",
        "unused": ": no path leads from the loss to them",
        "taken": ": hooks of the model's own took what arrived, as where an optimizer steps inside backward",
    }
)
_COUNTS = ("nan", "inf")
"""What is counted in a contribution, where there is any."""
_MOST_PASSES = 4
"""The norms of so many passes are shown."""


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
    columns = [Column("name", names, folds=True), before, mean, *others]
    if report.health is not None:
        columns.append(Column("ratio", [text.number(row.ratio) for row in rows], "right"))
    if report.passes > 1:
        columns.append(Column("norm by pass", [_growth(row) for row in rows], folds=True, optional=2))
    yield TableData(tuple(columns))
    without = [row for row in rows if row.grad is None]
    if without:
        counts = Counter(row.reason for row in without)
        parts = [f"{counts[reason]} {reason}{why}" for reason, why in _WITHOUT.items() if counts[reason]]
        yield line((f"{text.counted(len(without), 'parameter')} without a gradient: {', '.join(parts)}", WRONG))
    if report.flow is not None:
        yield from _flow(report.flow, styled=styled)
    if report.health is not None:
        yield from _health(report.health)
    if report.with_uses:
        yield from _uses(report, styled=styled)
    if report.with_values:
        yield from values_blocks(_named_values(report))


def _before(row: ParameterGradient) -> Cell:
    return (("none", DIM),) if row.before is None else f"norm {text.number(row.before.norm)}"


def _flow(layers: Sequence[LayerGradient], *, styled: bool) -> Iterator[Block]:
    norms: list[Cell] = [NOTHING if each.norm is None else text.number(each.norm) for each in layers]
    yield line("")
    yield TableData(
        (
            Column("layer", name_cells([(each.module or "the model",) for each in layers], styled=styled), folds=True),
            Column("norm", norms, "right"),
            _bars([each.norm for each in layers]),
        )
    )


def _bars(norms: Sequence[float | None], width: int = WIDTH) -> Column:
    scale, bars = log_bars(norms, width)
    return Column(scale, bars, drawn=partial(_bars, norms))


def _health(health: Health) -> Iterator[Block]:
    limits = {
        "exploding": f"norm above {health.limits.exploding:g}",
        "vanishing": f"norm below {health.limits.vanishing:g}",
        "ratio": f"norm above {health.limits.ratio:g} × the weight's",
    }
    found = [health.of(check) for check in CHECKS]
    yield line("")
    yield TableData(
        (
            Column("check", [_flagged(check, bool(each)) for check, each in zip(CHECKS, found, strict=True)]),
            Column("finds", [limits.get(check, _FINDS.get(check, "")) for check in CHECKS], folds=True),
            Column("found", [text.grouped(len(each.parameters)) if each else "0" for each in found], "right"),
            Column("where", [_found(each) if each else NOTHING for each in found], folds=True),
        )
    )


def _flagged(check: Check, finds: bool) -> Cell:  # noqa: FBT001  it is what the cell shows
    return ((check, WRONG),) if finds else check


def _found(finding: Finding) -> Cell:
    return "\n".join(text.escape(each) for each in (finding.named(), finding.detail) if each)


def _growth(row: ParameterGradient) -> Cell:
    """Write the norms after each pass: the gradient grows, since nothing zeroes it."""
    if row.grad is None or row.grad.mean is None:
        return NOTHING
    norms = [text.number(norm) for norm in row.norms]
    shown = norms if len(norms) <= _MOST_PASSES else [*norms[: _MOST_PASSES - 2], "…", norms[-1]]
    return " → ".join(shown)


def _uses(report: GradReport, *, styled: bool) -> Iterator[Block]:
    """Yield the contributions, a row for each use, and below them why some cannot be told apart."""
    pairs = [(row, use) for row in report.parameters for use in row.uses or ()]
    if pairs:
        yield line("")
        names = [text.escape(row.name) for row, _ in pairs]
        columns = (
            Column("name", repeated(names, styled=styled), folds=True),
            Column("pass", [text.grouped(use.pass_number) for _, use in pairs], "right"),
            Column("call", [text.grouped(use.call) for _, use in pairs], "right"),
            Column("module", [_module(use) for _, use in pairs], folds=True),
            Column("operation", [text.escape(use.op) for _, use in pairs], folds=True),
            Column("norm", [_norm(row, use) for row, use in pairs], "right"),
            Column("cosine", [_cosine(use) for _, use in pairs], "right"),
            Column("nan", [_wrong(use.nan) for _, use in pairs], "right"),
            Column("inf", [_wrong(use.inf) for _, use in pairs], "right"),
        )
        shown = {"pass": report.passes > 1, **{name: any(getattr(use, name) for _, use in pairs) for name in _COUNTS}}
        yield TableData(tuple(each for each in columns if shown.get(each.header, True)))
        yield line(("norm and cosine of each use's part of the gradient: the parts add up to it", DIM))
    notes: dict[str, list[ParameterGradient]] = defaultdict(list)
    for row in report.parameters:
        if row.uses_note is not None:
            notes[row.uses_note].append(row)
    for note, those in notes.items():
        others = f" and {len(those) - 1:,} more" if those[1:] else ""
        told = "uses of {} cannot be told apart" if those[0].uses is None else "uses of {}"
        yield line(f"{told.format(text.escape(those[0].name) + others)}: {text.escape(note)}")


def _module(use: Use) -> Cell:
    if use.module is None:
        return (("the loss", DIM),)
    return text.escape(use.module) or (("the model", DIM),)


def _norm(row: ParameterGradient, use: Use) -> Cell:
    """Write a norm; of what has no finite element there is none."""
    return NOTHING if 0 < prod(row.shape) == use.nan + use.inf else text.number(use.norm)


def _wrong(count: int) -> Cell:
    return ((text.grouped(count), WRONG),) if count else text.grouped(count)


def _cosine(use: Use) -> Cell:
    """Write a cosine; one below zero pulls against the gradient."""
    if use.cosine is None:
        return NOTHING
    shown = f"{use.cosine:.2f}"
    return ((shown, WRONG),) if use.cosine < 0 else shown


def _named_values(report: GradReport) -> Iterator[tuple[str, Values | None]]:
    """Yield the elements of each gradient and, where there are several, of the parts that add up to it."""
    for row in report.parameters:
        yield row.name, row.values
        for use in row.uses or ():
            if len(row.uses or ()) > 1:
                turn = f"pass {use.pass_number}, call {use.call}" if report.passes > 1 else f"call {use.call}"
                yield f"{row.name}, {turn}: {use.op} in {plain(_module(use))}", use.values
