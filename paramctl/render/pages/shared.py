"""The page of `paramctl shared`."""

from __future__ import annotations

from collections.abc import Iterator

from paramctl.render import text
from paramctl.render.block import Block, line
from paramctl.render.cells import DIM, SHARED
from paramctl.render.table import Cell, Column, TableData
from paramctl.reports.shared import SharedGroup, SharedReport


def page(report: SharedReport) -> Iterator[Block]:
    """Yield the table of groups and what they save, or the plain statement that nothing is shared."""
    totals = report.totals
    if not report.groups:
        yield line(f"No parameter is shared: {totals.named_numel:,} elements under their names, as many in memory.")
        return
    columns = (
        Column("relation"),
        Column("names", folds=True),
        Column("shape"),
        Column("elements", "right"),
        Column("bytes", "right"),
        Column("id()", "right"),
    )
    yield TableData(columns, [_row(group) for group in report.groups])
    counted = f"{totals.named_numel:,} elements under their names, {totals.numel:,} in memory"
    yield line((f"{text.counted(totals.groups, 'group')} · {counted} · {text.size(totals.saved_nbytes)} saved", DIM))


def _row(group: SharedGroup) -> tuple[Cell, ...]:
    shown = group.names[:20]
    names = "\n".join(map(text.escape, shown))
    if len(group.names) > len(shown):
        names += f"\n… {len(group.names) - len(shown):,} more names"
    identity = "" if group.identity is None else str(group.identity)
    return (
        ((group.relation, SHARED),),
        names,
        text.shape(group.shape),
        text.grouped(group.numel),
        text.size(group.nbytes),
        ((identity, DIM),),
    )
