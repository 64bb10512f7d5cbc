"""The page of `paramctl shared`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from paramctl.render import text
from paramctl.render.block import Block, line
from paramctl.render.cells import DIM, NOTHING, SHARED, WRONG
from paramctl.render.table import Cell, Column, Span, TableData
from paramctl.reports.shared import SharedGroup, SharedReport, Survival, Trial

_MOST_NAMES = 20
_MOST_TIES_BESIDE = 3
"""Names of a group, and kinds of ties beside each other, that fit a narrow terminal."""


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
        yield from _survival(report.survival)
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


def _survival(ties: Sequence[Survival]) -> Iterator[Block]:
    """Yield what becomes of ties, a column for those of one relation to which the same happens."""
    if not ties:
        yield line("There is no tie to try.")
        return
    alike: dict[tuple[str, ...], list[Survival]] = {}
    for tie in ties:
        alike.setdefault((tie.relation, *(str(trial.outcome) for trial in tie.trials)), []).append(tie)
    of_relation = Counter(relation for relation, *_ in alike)
    columns: list[tuple[str, list[Survival]]] = []
    for (relation, *_), each in alike.items():
        place = 1 + sum(known[0].relation == relation for _, known in columns)
        columns.append((f"{relation} {place}" if of_relation[relation] > 1 else relation, each))
    for start in range(0, len(columns), _MOST_TIES_BESIDE):
        yield line("")
        yield _matrix(columns[start : start + _MOST_TIES_BESIDE])
    for header, each in columns:
        if of_relation[each[0].relation] > 1:
            more = f", and {text.counted(len(each) - 1, 'tie')} more" if len(each) > 1 else ""
            yield line((f"{header}: {' = '.join(map(text.escape, each[0].names[:_MOST_NAMES]))}{more}", DIM))
    for trial in dict.fromkeys(trial for tie in ties for trial in tie.trials if trial.reason):
        yield line((f"{trial.operation}: {text.escape(trial.reason or '')}", DIM))
    yield line(("tried on a small copy of the model with its own modules", DIM))


def _matrix(columns: Sequence[tuple[str, Sequence[Survival]]]) -> TableData:
    """Return the table of operations with a column for each kind of tie."""
    operations = [trial.operation for trial in columns[0][1][0].trials]
    outcomes = (Column(header, [_outcome(trial) for trial in each[0].trials]) for header, each in columns)
    return TableData((Column("operation", operations), *outcomes))


def _outcome(trial: Trial) -> Cell:
    if trial.outcome is None:
        return (("not tried", DIM),)
    return trial.outcome if trial.outcome in {"kept", "once"} else ((trial.outcome, WRONG),)
