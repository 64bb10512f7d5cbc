"""Gradients and where they went wrong -> what the checks find."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from paramctl.records import Statistics
from paramctl.reports.grad import ParameterGradient
from paramctl.reports.health import CHECKS, INPUT, Check, Finding, Health, Limits, Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """What was seen on the way.

    Attributes:
        forward: the module that first gave what is not finite, or the input where that has a NaN.
        backward: the operation whose backward first did.
        killers: what let nothing through to a parameter, by the parameter's name.

    """

    forward: Place | None = None
    backward: Place | None = None
    killers: Mapping[str, Sequence[Place]] = field(default_factory=dict)


def check_health(rows: Sequence[ParameterGradient], loss: float, traces: Traces, limits: Limits) -> Health:
    """Check the gradients.

    Args:
        rows: the gradients, with their ratios to the weights.
        loss: the loss of the last pass.
        traces: what was seen on the way.
        limits: the limits.

    """
    found: dict[Check, list[str]] = {check: [] for check in CHECKS}
    for row in rows:
        for check in _checks(row, limits):
            found[check].append(row.name)
    details: dict[Check, str | None] = {"nan": _nan_detail(loss, traces), "dead": _dead_detail(found["dead"], traces)}
    return Health(
        limits=limits,
        findings=[
            Finding(check=check, parameters=tuple(names), detail=details.get(check))
            for check, names in found.items()
            if names or (check == "nan" and not math.isfinite(loss))
        ],
    )


def _checks(row: ParameterGradient, limits: Limits) -> Iterator[Check]:
    """Yield the checks that find something in a parameter."""
    if row.grad is None:
        if row.reason in {"frozen", "unused"}:
            yield row.reason
        return
    grad: Statistics = row.grad
    if not grad.is_finite:
        yield "nan"
    if grad.norm > limits.exploding:
        yield "exploding"
    if 0 < grad.norm < limits.vanishing:
        yield "vanishing"
    if grad.norm == 0 and grad.zeros and grad.is_finite:
        yield "dead"
    if row.ratio is not None and len(row.shape) > 1 and row.ratio > limits.ratio:
        yield "ratio"


def _nan_detail(loss: float, traces: Traces) -> str | None:
    parts = [] if math.isfinite(loss) else [f"the loss is {'NaN' if math.isnan(loss) else 'infinite'}"]
    if traces.forward is not None:
        output = "the input" if traces.forward == INPUT else f"the output of {traces.forward}"
        parts.append(f"first in forward: {output}")
    parts += [f"first in backward: {traces.backward}"] if traces.backward else []
    return "; ".join(parts) or None


def _dead_detail(names: Sequence[str], traces: Traces) -> str | None:
    places = {place: None for name in names for place in traces.killers.get(name, ())}
    return f"nothing comes through {', '.join(map(str, places))}" if places else None
