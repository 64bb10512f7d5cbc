"""The rows of a gradient report."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat

from paramctl.analysis.flow import measure_flow
from paramctl.analysis.health import check_health
from paramctl.analysis.measuring import notes_on_magnitudes
from paramctl.records import ParameterRecord, Statistics
from paramctl.reports.grad import GradientReason, GradReport, ParameterGradient
from paramctl.reports.health import Limits
from paramctl.tensors.gradients.backward import GradientRun
from paramctl.tensors.gradients.ledger import Uses
from paramctl.tensors.values import TensorValues


def make_grad_report(
    model: str | None,
    records: Sequence[ParameterRecord],
    run: GradientRun,
    *,
    passes: int,
    with_values: bool,
    hist: bool = False,
    with_flow: bool = False,
    limits: Limits | None = None,
    notes: Sequence[str] = (),
) -> GradReport:
    """Make the report of a run.

    Args:
        model: the model as the user named it.
        records: those of the model's parameters, in model order.
        run: what the passes left.
        passes: how many there were.
        with_values: whether the elements of gradients are shown.
        hist: whether there are histograms of them.
        with_flow: whether there is a norm for each layer.
        limits: those of the checks; None where nobody asked for checks.
        notes: what the user should know besides.

    """
    uses, uses_notes = run.uses or Uses([None] * len(records), {})
    columns = (run.before, run.after, run.gradients, uses, run.weights or repeat(None))
    parameters = [
        ParameterGradient(
            name=record.name,
            aliases=record.aliases,
            shape=record.shape,
            before=before,
            grad=after,
            norms=(*(norms[i] for norms in run.norms), None if after is None else after.norm),
            reason=_reason(record, taken=i in run.taken) if after is None else None,
            ratio=_ratio(after, weight),
            uses=used,
            uses_note=uses_notes.get(i),
            values=TensorValues(gradient) if with_values and gradient is not None else None,
        )
        for i, (record, before, after, gradient, used, weight) in enumerate(zip(records, *columns, strict=False))
    ]
    health = None
    if limits is not None and run.traces is not None:
        health = check_health(parameters, run.loss, run.traces, limits)
    return GradReport(
        model=model,
        output_shape=run.output_shape,
        output_path=run.output_path,
        objective=run.objective,
        loss=run.loss,
        passes=passes,
        parameters=parameters,
        flow=measure_flow(parameters) if with_flow else None,
        health=health,
        with_uses=run.uses is not None,
        with_values=with_values,
        with_histograms=hist,
        notes=(*notes, *notes_on_magnitudes(zip(records, run.after, strict=False))),
    )


def _reason(record: ParameterRecord, *, taken: bool) -> GradientReason:
    if taken:
        return "taken"
    return "unused" if record.requires_grad else "frozen"


def _ratio(gradient: Statistics | None, weight: Statistics | None) -> float | None:
    """Return the norm of a gradient over that of its parameter; None where there is none, or it says nothing."""
    if gradient is None or weight is None or weight.norm == 0 or not (gradient.is_finite and weight.is_finite):
        return None
    return gradient.norm / weight.norm
