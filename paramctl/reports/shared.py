"""What `paramctl shared` answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar, Literal, TypeAlias

from paramctl.records import Shape
from paramctl.reports.base import Report, Row

Relation: TypeAlias = Literal["same-module", "same-parameter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedGroup:
    """Names of one tensor.

    Attributes:
        relation: one module used several times, or one Parameter in several modules.
        names: all names, in model order.
        shape: the tensor's.
        numel: its elements.
        nbytes: its bytes.
        saved_nbytes: the bytes that its further names would take as tensors of their own.
        identity: the `id()` of the Parameter, in this process only; None where no object stands behind it.

    """

    relation: Relation
    names: tuple[str, ...]
    shape: Shape
    numel: int
    nbytes: int
    saved_nbytes: int
    identity: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedTotals:
    """Groups; elements counted once per name, and once per tensor; the bytes between the two. Of the whole model."""

    groups: int
    named_numel: int
    numel: int
    saved_nbytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedReport(Report):
    """Which parameters are one and the same."""

    command: ClassVar = "shared"
    rows_key: ClassVar = "groups"
    row_fields: ClassVar = ("relation", "names", "shape", "numel", "nbytes", "saved_nbytes")

    groups: Sequence[SharedGroup]
    totals: SharedTotals

    def rows(self) -> Iterator[Row]:
        """Yield a dict per group; the `id()` is left out, since it is another in every run."""
        for group in self.groups:
            yield {
                "relation": group.relation,
                "names": list(group.names),
                "shape": list(group.shape),
                "numel": group.numel,
                "nbytes": group.nbytes,
                "saved_nbytes": group.saved_nbytes,
            }

    def tail(self) -> Row:
        """Return the totals."""
        return {"totals": asdict(self.totals)}
