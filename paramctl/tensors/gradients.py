"""The rows of a gradient report."""

from __future__ import annotations

from collections.abc import Sequence

from paramctl.records import ParameterRecord
from paramctl.reports.grad import GradientReason, GradReport, ParameterGradient
from paramctl.tensors.backward import GradientRun
from paramctl.tensors.statistics import measure
from paramctl.tensors.values import TensorValues


def make_grad_report(
    model: str | None,
    records: Sequence[ParameterRecord],
    run: GradientRun,
    *,
    passes: int,
    with_values: bool,
    hist: bool = False,
    notes: Sequence[str] = (),
) -> GradReport:
    """Measure the gradients that a run left; `records` are those of the model's parameters, in model order."""
    rows = zip(records, run.before, run.gradients, strict=True)
    return GradReport(
        model=model,
        output_shape=run.output_shape,
        output_path=run.output_path,
        objective=run.objective,
        loss=run.loss,
        passes=passes,
        parameters=[
            ParameterGradient(
                name=record.name,
                aliases=record.aliases,
                shape=record.shape,
                before=before,
                grad=None if gradient is None else measure(gradient, hist=hist),
                reason=_reason(record) if gradient is None else None,
                values=TensorValues(gradient) if with_values and gradient is not None else None,
            )
            for record, before, gradient in rows
        ],
        with_values=with_values,
        with_histograms=hist,
        notes=tuple(notes),
    )


def _reason(record: ParameterRecord) -> GradientReason:
    return "unused" if record.requires_grad else "frozen"
