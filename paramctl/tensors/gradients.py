"""The rows of a gradient report."""

from __future__ import annotations

from collections.abc import Sequence

from paramctl.records import ParameterRecord
from paramctl.reports.grad import GradientReason, GradReport, ParameterGradient
from paramctl.tensors.backward import GradientRun
from paramctl.tensors.ledger import Entry
from paramctl.tensors.values import TensorValues


def make_grad_report(
    model: str | None,
    records: Sequence[ParameterRecord],
    run: GradientRun,
    *,
    passes: int,
    with_values: bool,
    notes: Sequence[str] = (),
) -> GradReport:
    """Make the report of a run; `records` are those of the model's parameters, in model order."""
    uses = run.uses or [Entry(None)] * len(records)
    rows = zip(records, run.before, run.after, run.gradients, uses, *run.norms, strict=True)
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
                grad=after,
                norms=(*earlier, None if after is None else after.norm),
                reason=_reason(record) if after is None else None,
                uses=entry.uses,
                uses_note=entry.note,
                values=TensorValues(gradient) if with_values and gradient is not None else None,
            )
            for record, before, after, gradient, entry, *earlier in rows
        ],
        with_uses=bool(run.uses),
        with_values=with_values,
        notes=tuple(notes),
    )


def _reason(record: ParameterRecord) -> GradientReason:
    return "unused" if record.requires_grad else "frozen"
