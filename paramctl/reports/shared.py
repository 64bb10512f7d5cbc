"""What `paramctl shared` answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar, Final, Literal, TypeAlias, get_args

from paramctl.records import Shape
from paramctl.reports.base import Report, Row

Relation: TypeAlias = Literal["same-module", "same-parameter", "same-storage", "overlap", "same-values"]
RELATIONS: Final[tuple[Relation, ...]] = get_args(Relation)
"""What names can have in common, the most specific first."""
SAME_ELEMENTS: Final = frozenset({"same-module", "same-parameter", "same-storage"})
"""The relations in which a value that is written under one name is read under all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedGroup:
    """Names that have something in common.

    Attributes:
        relation: one module used several times; one Parameter in several modules; the same elements of memory through
            different Parameters; some elements in common; or equal values in different memory.
        names: all names, in model order.
        shape: the tensors'; None where they differ.
        numel: the elements of memory that they take together; of equal values, those of one of them.
        nbytes: their bytes.
        saved_nbytes: the bytes that the names would take beyond these as tensors of their own; none are saved where
            only values are equal.
        identity: the `id()` of the Parameter, in this process only; None where no one object stands behind all names.
        views: what each name sees that the first one does not: ``transposed``, another shape, dtype or place; None for
            nothing. Empty where all see the same.
        copies: how often equal values are in memory.

    """

    relation: Relation
    names: tuple[str, ...]
    shape: Shape | None
    numel: int
    nbytes: int
    saved_nbytes: int
    identity: int | None = None
    views: tuple[str | None, ...] = ()
    copies: int = 1

    @property
    def rank(self) -> int:
        """How specific the relation is; 0 is the most specific one."""
        return RELATIONS.index(self.relation)


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedTotals:
    """Groups; elements counted once per name, and elements of memory; the bytes between the two. Of the whole model."""

    groups: int
    named_numel: int
    numel: int
    saved_nbytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DividedStorage:
    """A storage that several tensors divide among them, or that is used in part only.

    Attributes:
        names: the first names of what lies in it, buffers included, in model order.
        parts: how many disjoint parts of it they take.
        nbytes: its bytes; None where nobody tells.
        used_nbytes: the bytes that they touch.

    """

    names: tuple[str, ...]
    parts: int
    nbytes: int | None
    used_nbytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """A tie that the user expects, or (`names` empty) that nothing else is shared.

    Attributes:
        names: the names that must be the same elements of memory.
        found: the most specific relation that holds among all of them; None for none.
        met: whether it is as expected.
        unexpected: where nothing else was to be shared, how many groups are.
        named: the first of those groups, in words.

    """

    names: tuple[str, ...]
    found: Relation | None
    met: bool
    unexpected: int = 0
    named: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What became of a tie in an operation that was tried on a copy.

    Attributes:
        operation: what was tried.
        outcome: ``kept``; the relation that is left; ``broken``; ``once`` or ``twice`` (…) for how often an optimizer
            steps it; ``refused`` for an error; None where it was not tried.
        reason: the error, or why it was not tried.

    """

    operation: str
    outcome: str | None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Survival:
    """What becomes of one tie in each operation; `names` and `relation` are those of its group."""

    relation: Relation
    names: tuple[str, ...]
    trials: tuple[Trial, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedReport(Report):
    """Which parameters are one and the same.

    Attributes:
        groups: what names have in common, in model order.
        totals: of the whole model.
        storages: those that hold several disjoint parts, or more than the model uses.
        by_value: whether equal values were looked for.
        expectations: what was expected, and found.
        survival: what operations do to each tie; None where nobody asked.

    """

    command: ClassVar = "shared"
    rows_key: ClassVar = "groups"
    row_fields: ClassVar = ("relation", "names", "shape", "numel", "nbytes", "saved_nbytes")

    groups: Sequence[SharedGroup]
    totals: SharedTotals
    storages: Sequence[DividedStorage] = ()
    by_value: bool = False
    expectations: Sequence[Expectation] = ()
    survival: Sequence[Survival] | None = None

    @property
    def with_views(self) -> bool:
        """Whether any name sees something else than the first of its group."""
        return any(group.views for group in self.groups)

    @property
    def ties(self) -> list[SharedGroup]:
        """The groups that have elements in common, not merely equal values."""
        return [group for group in self.groups if group.relation != "same-values"]

    @property
    def duplicate_nbytes(self) -> int:
        """The bytes that would be saved if equal values were in memory once."""
        return sum(group.nbytes * (group.copies - 1) for group in self.groups)

    @property
    def meets_expectations(self) -> bool:
        """Whether all is as it was expected."""
        return all(each.met for each in self.expectations)

    def columns(self) -> tuple[str, ...]:
        """Return the fields of a row; what names see differently is one where any does."""
        return (*self.row_fields, *["views"] * self.with_views)

    def rows(self) -> Iterator[Row]:
        """Yield a dict per group; the `id()` is left out, since it is another in every run."""
        with_views = self.with_views
        for group in self.groups:
            row: Row = {
                "relation": group.relation,
                "names": list(group.names),
                "shape": None if group.shape is None else list(group.shape),
                "numel": group.numel,
                "nbytes": group.nbytes,
                "saved_nbytes": group.saved_nbytes,
            }
            if with_views:
                row["views"] = list(group.views or [None] * len(group.names))
            yield row

    def tail(self) -> Row:
        """Return the totals, and what there is to tell besides."""
        tail: Row = {"totals": asdict(self.totals)}
        if self.storages:
            tail["storages"] = [asdict(storage) | {"names": list(storage.names)} for storage in self.storages]
        if self.by_value:
            tail["duplicate_nbytes"] = self.duplicate_nbytes
        if self.expectations:
            tail["expectations"] = [
                {
                    "names": list(each.names),
                    "found": each.found,
                    "met": each.met,
                    **({} if each.names else {"unexpected": each.unexpected}),
                }
                for each in self.expectations
            ]
        if self.survival is not None:
            tail["survival"] = [
                {
                    "relation": tie.relation,
                    "names": list(tie.names),
                    "trials": {
                        trial.operation: {"outcome": trial.outcome, "reason": trial.reason} for trial in tie.trials
                    },
                }
                for tie in self.survival
            ]
        return tail
