"""The page of `paramctl shared`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from paramctl.render import text
from paramctl.render.block import Block, line
from paramctl.render.cells import DIM, NOTHING, SHARED
from paramctl.render.pages.survival import survival_blocks
from paramctl.render.table import Cell, Column, Span, TableData
from paramctl.reports.shared import SharedGroup, SharedReport

_MOST_NAMES = 20


def page(report: SharedReport, *, styled: bool) -> Iterator[Block]:  # noqa: ARG001  every page is called alike
    """Yield the groups and what they save, or the plain statement that nothing is shared; then what was asked for."""
    groups, totals = report.groups, report.totals
    if groups:
        yield _table(groups)
        named = f"{text.counted(totals.named_numel, 'element')} under their names, {totals.numel:,} counted once"
        yield line((f"{text.counted(totals.groups, 'group')} · {named} · {text.size(totals.saved_nbytes)} saved", DIM))
    elif totals.named_numel == totals.numel:
        yield line(f"No parameter is shared: {text.counted(totals.named_numel, 'element')}, each under one name.")
    else:
        named = f"{text.counted(totals.named_numel, 'element')} in the memory of {totals.numel:,}"
        yield line(f"No parameter is shared: {named}, {text.size(totals.saved_nbytes)} saved.")
    if report.duplicate_nbytes:
        yield line((f"{text.size(report.duplicate_nbytes)} are taken by values that stand elsewhere, too", DIM))
    if report.survival is not None:
        yield from survival_blocks(report.survival)
    for each in report.expectations:
        if each.met:
            nothing = f"nothing{' else' if len(report.expectations) > 1 else ''} is shared"
            yield line(f"as expected: {text.escape(' = '.join(each.names)) or nothing}")


def _table(groups: Sequence[SharedGroup]) -> TableData:
    return TableData(
        (
            Column("relation", [_relation(group) for group in groups]),
            Column("names", [_names(group) for group in groups], folds=True),
            Column("shape", [NOTHING if group.shape is None else text.shape(group.shape) for group in groups]),
            Column("elements", [text.grouped(group.numel) for group in groups], "right"),
            Column("bytes", [text.size(group.nbytes) for group in groups], "right"),
        )
    )


def _relation(group: SharedGroup) -> Cell:
    relation: Span = (group.relation, SHARED)
    return (relation,) if group.identity is None else (relation, (f"\nid {group.identity}", DIM))


def _names(group: SharedGroup) -> Cell:
    """Return the names, one in each line, and behind each what it sees that the first does not."""
    views = group.views or (None,) * len(group.names)
    spans: list[Span] = []
    for name, view in list(zip(group.names, views, strict=True))[:_MOST_NAMES]:
        spans.append((f"{chr(10) if spans else ''}{text.escape(name)}", ""))
        if view is not None:
            spans.append((f" {view}", DIM))
    hidden = len(group.names) - _MOST_NAMES
    return (*spans, (f"\n… {hidden:,} more names", "")) if hidden > 0 else tuple(spans)
