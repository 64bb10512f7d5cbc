"""What `paramctl grad` answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, TypeAlias

from paramctl.records import Histogram, Shape, Statistics, Values
from paramctl.reports.base import Report, Row, finite, histogram_fields, statistics_fields
from paramctl.reports.health import Health

GradientReason: TypeAlias = Literal["frozen", "taken", "unused"]


class Use(NamedTuple):
    """What one use of a parameter contributed to its gradient.

    Attributes:
        module: the path of the module that was running; "" for the root, None for code outside the model (the loss).
        op: the operation that was called with the parameter.
        call: which of the parameter's uses in its pass it is, counted from 1.
        pass_number: the pass, counted from 1.
        norm: the L2 norm of the contribution, over its finite elements.
        cosine: of the angle between the contribution and the gradient; None where one is zero or not finite.
        nan, inf: how many of the contribution's elements are not finite.
        values: the contribution's elements, where they were asked for.

    """

    module: str | None
    op: str
    call: int
    pass_number: int
    norm: float
    cosine: float | None
    nan: int = 0
    inf: int = 0
    values: Values | None = None

    def fields(self) -> Row:
        """Return the use as plain data; what is not finite is counted where there is any."""
        row: Row = {
            "module": self.module,
            "op": self.op,
            "call": self.call,
            "pass": self.pass_number,
            "norm": finite(self.norm),
            "cosine": self.cosine,
        }
        if self.nan or self.inf:
            row |= {"nan": self.nan, "inf": self.inf}
        return row if self.values is None else {**row, "values": self.values.nested()}


class LayerGradient(NamedTuple):
    """The norm of the gradients of a module's own parameters; None where there are none, NaN where not finite."""

    module: str
    norm: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterGradient:
    """The gradient of one parameter.

    Attributes:
        name, aliases, shape: the parameter.
        before: the statistics of its gradient before the first pass; None where there was none.
        grad: those after the last pass.
        norms: the norm of its gradient after each pass; None where there was none.
        reason: why it has none: it is frozen, no path leads from the loss to it, or a hook of the model's own took it.
        ratio: the norm of the gradient over that of the parameter, where it was asked for and all of both is finite.
        uses: the contributions that add up to it, where they were asked for; None where they cannot be told apart.
        uses_note: why they cannot, or what else there is to know of them.
        values: the gradient's elements, where they were asked for.

    """

    name: str
    aliases: tuple[str, ...]
    shape: Shape
    before: Statistics | None
    grad: Statistics | None

    reason: GradientReason | None
    norms: Sequence[float | None] = ()
    ratio: float | None = None
    uses: Sequence[Use] | None = None
    uses_note: str | None = None
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
        flow: the gradient of each layer, where it was asked for.
        health: what the checks found, where they were asked for.
        with_uses: whether it was asked which use contributed what.
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
    flow: Sequence[LayerGradient] | None = None
    health: Health | None = None
    with_uses: bool = False
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

    def tail(self) -> Row:
        """Return the gradients by layer, and what the checks found."""
        fields: Row = {}
        if self.flow is not None:
            fields["flow"] = [{"module": each.module, "norm": finite(each.norm)} for each in self.flow]
        if self.health is not None:
            fields["health"] = self.health.fields()
        return fields

    def columns(self) -> tuple[str, ...]:
        """Return the fields of a row, those that were asked for included."""
        asked = (
            ("norms", self.passes > 1),
            ("ratio", self.health is not None),
            ("uses", self.with_uses),
            ("uses_note", self.with_uses),
            ("histogram", self.with_histograms),
            ("values", self.with_values),
        )
        return (*self.row_fields, *(name for name, is_asked in asked if is_asked))

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
            if self.passes > 1:
                row["norms"] = list(map(finite, each.norms))
            if self.health is not None:
                row["ratio"] = finite(each.ratio)
            if self.with_uses:
                row["uses"] = None if each.uses is None else [use.fields() for use in each.uses]
                row["uses_note"] = each.uses_note
            if self.with_histograms:
                row["histogram"] = histogram_fields(each.histogram)
            if self.with_values:
                row["values"] = each.values.nested() if each.values else None
            yield row
