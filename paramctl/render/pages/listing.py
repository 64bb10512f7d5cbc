"""The page of `paramctl list`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from paramctl.records import ParameterRecord, UnregisteredRecord
from paramctl.render import text
from paramctl.render.block import Block, line, values_blocks
from paramctl.render.cells import DIM, SHARED, WRONG, name_cells, other_names, repeated, statistics_columns
from paramctl.render.fitting import widest_line
from paramctl.render.table import Cell, Column, TableData, abridged
from paramctl.reports.listing import ListReport, TreeNode

_MOST_UNREGISTERED: Final = 20


def page(report: ListReport, *, styled: bool) -> Iterator[Block]:
    """Yield the tree or the parameters, what all have in common, what is not registered, and the values."""
    if report.tree is not None:
        yield _tree(report, report.tree)
    elif report.parameters:
        yield _table(report, styled=styled)
    else:
        yield line("There are no parameters here.")
    in_common = _in_common(report) if report.tree is not None or report.parameters else ""
    if in_common:
        yield line((in_common, DIM))
    if report.unregistered:
        yield line("")
        yield abridged(_unregistered(report.unregistered), _MOST_UNREGISTERED)
    if report.tree is None and any(record.values is not None for record in report.parameters):
        yield from values_blocks((record.name, record.values) for record in report.parameters)


def _table(report: ListReport, *, styled: bool) -> TableData:
    records, totals = report.parameters, report.totals
    names = name_cells((record.names for record in records), styled=styled)
    columns = [Column("name", names, folds=True, total=text.counted(totals.tensors, _noun(report)))]
    measured = [record.stats for record in records]
    with_stats = any(stats is not None for stats in measured)
    if not with_stats:
        if any(record.module_type is not None for record in records):
            types = [text.escape(record.module_type or "") for record in records]
            columns.append(Column("type", repeated(types, styled=styled), folds=True, optional=1))
        columns.append(Column("shape", [text.shape(record.shape) for record in records]))
    if _differ(records, "kind"):
        columns.append(Column("kind", [_kind_of(record) for record in records]))
    elif _differ(records, "requires_grad"):
        columns.append(Column("trainable", [_trainable(record) for record in records]))
    if _differ(records, "dtype"):
        columns.append(Column("dtype", repeated([record.dtype for record in records], styled=styled), optional=3))
    numels = [text.grouped(record.numel) for record in records]
    columns.append(Column("elements", numels, "right", total=text.grouped(totals.numel)))
    if with_stats:
        columns += statistics_columns(measured)
    else:
        sizes = [text.size(record.nbytes) for record in records]
        columns.append(Column("bytes", sizes, "right", total=text.size(totals.nbytes)))
    return TableData(tuple(columns))


def _unregistered(records: Sequence[UnregisteredRecord]) -> TableData:
    return TableData(
        (
            Column("not a parameter", [((text.escape(each.name), WRONG),) for each in records], folds=True),
            Column("type", [text.escape(each.module_type) for each in records], folds=True, optional=1),
            Column("holds", [_holds(each) for each in records], folds=True),
            Column("elements", [text.grouped(each.numel) for each in records], "right"),
            Column("instead", [each.fix for each in records], folds=True),
        )
    )


def _holds(record: UnregisteredRecord) -> str:
    if record.shape is not None:
        return f"tensor {text.shape(record.shape)}"
    counted = text.counted(record.modules, "module") if record.modules else text.counted(record.tensors, "tensor")
    return counted if record.holder in {"module", "tensor"} else f"{text.escape(record.holder)} of {counted}"


def _noun(report: ListReport) -> str:
    return "parameter" if all(record.kind == "parameter" for record in report.parameters) else "tensor"


def _differ(records: Sequence[ParameterRecord], field: str) -> bool:
    return len({getattr(record, field) for record in records}) > 1


_FROZEN: Final[Cell] = (("frozen", WRONG),)


def _trainable(record: ParameterRecord) -> Cell:
    return "yes" if record.requires_grad else _FROZEN


def _kind_of(record: ParameterRecord) -> Cell:
    if record.kind != "parameter":
        return ((record.kind, DIM),)
    return record.kind if record.requires_grad else _FROZEN


def _in_common(report: ListReport) -> str:
    """Say what is true of all rows, for which the table spends no column."""
    records, totals = report.parameters, report.totals
    parts = []
    if report.tree is not None:
        parts += [
            text.counted(totals.tensors, _noun(report)),
            text.counted(totals.numel, "element"),
            text.size(totals.nbytes),
        ]
    dtypes = {record.dtype for record in records}
    if len(dtypes) == 1:
        parts.append(f"all {dtypes.pop()}")
    if totals.frozen:
        parts.append(f"{text.counted(totals.trainable, 'element')} trainable, {totals.frozen:,} frozen")
    elif totals.trainable:
        parts.append("all trainable")
    names = sum(len(record.aliases) for record in records)
    if names:
        parts.append(f"{text.counted(names, 'further name')} (=) counted once")
    return " · ".join(parts)


def _tree(report: ListReport, root: TreeNode) -> TableData:
    whole = report.totals.numel
    rows: list[tuple[Cell, ...]] = []
    guides: list[str] = []

    def add(node: TreeNode, label: str, guide: str, below: str) -> None:
        if len(node.children) == 1 and node.children[0].count > node.count and not node.tensors:
            run = node.children[0]
            add(run, f"{label}.{run.name}" if label else run.name, guide, below)
            return
        name: Cell = ((guide, DIM), (text.escape(label), "")) if guide else text.escape(label)
        if node.same_as is not None:
            rows.append((name, ((f"= {text.escape(node.same_as)}", SHARED),), "", "", ""))
            guides.append(below.rstrip())
            return
        rows.append((name, _kind(node), *_sizes(node, whole)))
        guides.append((below + "│ " * bool(node.children)).rstrip())
        for i, child in enumerate(node.children):
            last = i == len(node.children) - 1
            add(child, child.name, below + ("└ " if last else "├ "), below + ("  " if last else "│ "))

    add(root, report.title or report.model or "", "", "")
    names, kinds, numels, sizes, shares = map(list, zip(*rows, strict=True))
    typed = root.type_name is not None
    # Only the root's name may be broken: any other would leave the lines that lead to it.
    _, *branches = names
    return TableData(
        (
            Column("module", names, folds=True, least=widest_line(Column("", branches)), guides=guides),
            *[Column("type" if typed else "blocks", kinds, folds=True)] * (typed or any(kinds)),
            Column("elements", numels, "right"),
            Column("bytes", sizes, "right", optional=1),
            Column("share", shares, "right"),
        )
    )


def _kind(node: TreeNode) -> Cell:
    count = [f"{node.count:,} ×"] if node.count > 1 else []
    kind = text.escape(" ".join([*count, *([] if node.type_name is None else [node.type_name])]))
    return ((kind, ""), *other_names(node.tied)) if node.tied else kind


def _sizes(node: TreeNode, whole: int) -> tuple[Cell, Cell, Cell]:
    if not node.numel:
        return ((("0", DIM),), (("0 B", DIM),), (("0%", DIM),))
    share = node.numel / whole
    return text.grouped(node.numel), text.size(node.nbytes), _percent(share)


def _percent(share: float) -> str:
    if share == 1:
        return "100%"
    if share > 0.9995:
        return ">99.9%"
    return f"{share:.1%}" if share >= 0.001 else "<0.1%"
