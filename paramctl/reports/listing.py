"""What `paramctl list` answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar

from paramctl.records import ParameterRecord, UnregisteredRecord
from paramctl.reports.base import Report, Row, histogram_fields, statistics_fields


@dataclass(frozen=True, slots=True, kw_only=True)
class ListTotals:
    """Sums over the rows, each counted once: tensors; elements in all, of trainable and of frozen parameters; bytes."""

    tensors: int
    numel: int
    trainable: int
    frozen: int
    nbytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeNode:
    """A module in a tree, or a run of structurally equal ones.

    Attributes:
        name: its name in its parent; ``[0-11]`` or ``[0,2,4]`` for a run.
        path: the path of the module, of the first one in a run, from the root of the tree.
        type_name: its class; None in a checkpoint.
        count: how many modules it stands for: those of a run, times those of every run around it.
        numel: the elements below all of them; what was counted before is not counted again.
        nbytes: their bytes.
        same_as: the path at which the same module was met before.
        tensors: the parameters and buffers that it owns itself, or the first of a run.
        tied: the first names of the tensors that it owns too, but that are counted elsewhere.
        children: its modules, or those of the first of a run.

    """

    name: str
    path: str
    type_name: str | None
    count: int
    numel: int
    nbytes: int
    same_as: str | None
    tensors: tuple[ParameterRecord, ...]
    tied: tuple[str, ...]
    children: tuple[TreeNode, ...]

    def fields(self, whole: int) -> Row:
        """Return the node as plain data; `whole` is the number of elements that shares are taken of."""
        return {
            "name": self.name,
            "path": self.path,
            "type": self.type_name,
            "count": self.count,
            "numel": self.numel,
            "nbytes": self.nbytes,
            "share": self.numel / whole if whole else 0.0,
            "same_as": self.same_as,
            "tensors": [tensor.name for tensor in self.tensors],
            "tied": list(self.tied),
            "children": [child.fields(whole) for child in self.children],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ListReport(Report):
    """The parameters of a model, one record per distinct tensor, and its tree where that was asked for.

    Attributes:
        parameters: the records.
        totals: their sums.
        tree: the modules that hold them.
        measured: whether statistics were asked for.
        with_values: whether elements were asked for.
        with_histograms: whether histograms were asked for.
        title: what the model calls itself, or the layer that is shown alone; for the eye, like `notes`.
        unregistered: the attributes whose tensors are neither parameters nor buffers; None where nobody looked, since
            no code of the user's is in the model.

    """

    command: ClassVar = "list"
    rows_key: ClassVar = "parameters"
    row_fields: ClassVar = (
        "name", "module", "module_type", "kind", "shape", "dtype", "numel", "nbytes", "requires_grad", "aliases",
    )  # fmt: skip

    parameters: Sequence[ParameterRecord]
    totals: ListTotals
    tree: TreeNode | None = None
    measured: bool = False
    with_values: bool = False
    with_histograms: bool = False
    title: str | None = None
    unregistered: tuple[UnregisteredRecord, ...] | None = None

    def columns(self) -> tuple[str, ...]:
        """Return the fields of a row, those that were asked for included."""
        asked = {"stats": self.measured, "histogram": self.with_histograms, "values": self.with_values}
        return (*self.row_fields, *(field for field, is_asked in asked.items() if is_asked))

    def rows(self) -> Iterator[Row]:
        """Yield a dict per parameter."""
        for record in self.parameters:
            row: Row = {
                "name": record.name,
                "module": record.module,
                "module_type": record.module_type,
                "kind": record.kind,
                "shape": list(record.shape),
                "dtype": record.dtype,
                "numel": record.numel,
                "nbytes": record.nbytes,
                "requires_grad": record.requires_grad,
                "aliases": list(record.aliases),
            }
            if self.measured:
                row["stats"] = statistics_fields(record.stats)
            if self.with_histograms:
                row["histogram"] = histogram_fields(record.histogram)
            if record.values is not None:
                row["values"] = record.values.nested()
            yield row

    def tail(self) -> Row:
        """Return the totals, the tree where there is one, and what is not registered where somebody looked."""
        tail: Row = {"totals": asdict(self.totals)}
        if self.tree is not None:
            tail["tree"] = self.tree.fields(self.totals.numel)
        if self.unregistered is not None:
            tail["not_registered"] = [_unregistered_fields(each) for each in self.unregistered]
        return tail


def _unregistered_fields(record: UnregisteredRecord) -> Row:
    return record._asdict() | {"shape": None if record.shape is None else list(record.shape)}
