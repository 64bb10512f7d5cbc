"""What `paramctl grad` answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from paramctl.records import Histogram, Shape, Statistics, Values
from paramctl.reports.base import Report, Row, finite, histogram_fields, statistics_fields

GradientReason: TypeAlias = Literal["frozen", "unused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterGradient:
    """The gradient of one parameter.

    Attributes:
        name, aliases, shape: the parameter.
        before: the statistics of its gradient before the first pass; None where there was none.
        grad: those after the last pass.
        reason: why it got none: it is frozen, or no path leads from the loss to it.
        values: the gradient's elements, where they were asked for.

    """

    name: str
    aliases: tuple[str, ...]
    shape: Shape
    before: Statistics | None
    grad: Statistics | None
    reason: GradientReason | None
    values: Values | None = None

    @property
    def histogram(self) -> Histogram | None:
        """The histogram of the gradient, where it was asked for."""
        return None if self.grad is None else self.grad.histogram


@dataclass(frozen=True, slots=True, kw_only=True)
class GradReport(Report):
    """What backward leaves.

    Attributes:
        output_shape: the shape of the output that the loss was computed from.
        output_path: where it stands in what the model returned.
        objective: what the loss was, in words.
        loss: its value in the last pass.
        passes: how many passes there were.
        parameters: the gradients, in model order.
        with_values: whether the gradients' elements were asked for.
        with_histograms: whether their histograms were asked for.

    """

    command: ClassVar = "grad"
    rows_key: ClassVar = "parameters"
    row_fields: ClassVar = ("name", "aliases", "shape", "before", "grad", "reason")

    output_shape: Shape
    output_path: str
    objective: str
    loss: float
    passes: int
    parameters: Sequence[ParameterGradient]
    with_values: bool = False
    with_histograms: bool = False

    def head(self) -> Row:
        """Return what there is besides the gradients."""
        return {
            "output_shape": list(self.output_shape),
            "output": self.output_path,
            "objective": self.objective,
            "loss": finite(self.loss),
            "passes": self.passes,
        }

    def columns(self) -> tuple[str, ...]:
        """Return the fields of a row, those that were asked for included."""
        return (*self.row_fields, *["histogram"] * self.with_histograms, *["values"] * self.with_values)

    def rows(self) -> Iterator[Row]:
        """Yield a dict per parameter."""
        for each in self.parameters:
            row: Row = {
                "name": each.name,
                "aliases": list(each.aliases),
                "shape": list(each.shape),
                "before": statistics_fields(each.before),
                "grad": statistics_fields(each.grad),
                "reason": each.reason,
            }
            if self.with_histograms:
                row["histogram"] = histogram_fields(each.histogram)
            if self.with_values:
                row["values"] = each.values.nested() if each.values else None
            yield row
