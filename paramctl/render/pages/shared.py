"""The page of `paramctl shared`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from paramctl.render import text
from paramctl.render.block import Block, line
from paramctl.render.cells import DIM, SHARED
from paramctl.render.table import Cell, Column, Span, TableData
from paramctl.reports.shared import SharedGroup, SharedReport

_MOST_NAMES = 20


def page(report: SharedReport, *, styled: bool) -> Iterator[Block]:  # noqa: ARG001  every page is called alike
    """Yield the groups and what they save, or the plain statement that nothing is shared."""
    groups, totals = report.groups, report.totals
    if not groups:
        yield line(f"No parameter is shared: {text.counted(totals.named_numel, 'element')}, each under one name.")
        return
    yield TableData(
        (
            Column("relation", [_relation(group) for group in groups]),
            Column("names", [_names(group.names) for group in groups], folds=True),
            Column("shape", [text.shape(group.shape) for group in groups]),
            Column("elements", [text.grouped(group.numel) for group in groups], "right"),
            Column("bytes", [text.size(group.nbytes) for group in groups], "right"),
        )
    )
    named = f"{text.counted(totals.named_numel, 'element')} under their names, {totals.numel:,} counted once"
    yield line((f"{text.counted(totals.groups, 'group')} · {named} · {text.size(totals.saved_nbytes)} saved", DIM))


def _relation(group: SharedGroup) -> Cell:
    relation: Span = (group.relation, SHARED)
    return (relation,) if group.identity is None else (relation, (f"\nid {group.identity}", DIM))


def _names(names: Sequence[str]) -> str:
    shown = "\n".join(map(text.escape, names[:_MOST_NAMES]))
    hidden = len(names) - _MOST_NAMES
    return f"{shown}\n… {hidden:,} more names" if hidden > 0 else shown
