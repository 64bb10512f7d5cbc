"""What all reports have in common."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeAlias

from paramctl.records import Histogram, Statistics

SCHEMA_VERSION: Final = 1
STATISTICS: Final = ("mean", "std", "min", "max", "norm", "zeros", "nan", "inf")

Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(ABC):
    """The answer of one command.

    Attributes:
        command: the command's name.
        rows_key: the field that holds the rows.
        row_fields: the fields that every row has.
        model: the model as the user named it.
        notes: what the user should know besides; for the eye, in no machine-readable format.

    """

    command: ClassVar[str]
    rows_key: ClassVar[str]
    row_fields: ClassVar[tuple[str, ...]]

    model: str | None
    notes: tuple[str, ...] = ()

    def columns(self) -> tuple[str, ...]:
        """Return the fields of a row, those that were asked for included."""
        return self.row_fields

    @abstractmethod
    def rows(self) -> Iterator[Row]:
        """Yield a dict per parameter, group or scheme: the rows of CSV and Markdown."""

    def head(self) -> Row:
        """Return the fields that stand before the rows."""
        return {}

    def tail(self) -> Row:
        """Return the fields that stand behind the rows."""
        return {}

    def sections(self) -> Iterator[tuple[str, Any]]:
        """Yield the report's fields in order, the rows as an iterator: there may be millions."""
        yield "schema_version", SCHEMA_VERSION
        yield "command", self.command
        yield "model", self.model
        yield from self.head().items()
        yield self.rows_key, self.rows()
        yield from self.tail().items()

    def to_dict(self) -> Row:
        """Return the whole report as plain data."""
        return {key: list(value) if isinstance(value, Iterator) else value for key, value in self.sections()}


def finite(value: float | None) -> float | None:
    """Return a number, or None for what JSON cannot hold."""
    return value if value is not None and math.isfinite(value) else None


def histogram_fields(histogram: Histogram | None) -> Row | None:
    """Return a histogram as plain data."""
    return None if histogram is None else {"edges": list(histogram.edges), "counts": list(histogram.counts)}


def statistics_fields(stats: Statistics | None) -> Row | None:
    """Return statistics as plain data."""
    return (
        None
        if stats is None
        else {name: finite(value) for name, value in ((name, getattr(stats, name)) for name in STATISTICS)}
    )
