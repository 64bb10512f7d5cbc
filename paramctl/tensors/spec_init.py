"""The answer of `paramctl init` for a spec."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from paramctl.reports.init import InitReport
from paramctl.rules import InitRule
from paramctl.spec.model import Spec
from paramctl.tensors.build import build
from paramctl.tensors.initialize import describe_initialized
from paramctl.tensors.materialize import draw_buffer, largest_bytes, needed_bytes, plan_drawings
from paramctl.tensors.memory import ensure_fits
from paramctl.tensors.saving import check_out, notes_on_ties, save_state, state_names


def initialize(
    spec: Spec,
    model: str,
    rules: Sequence[InitRule],
    *,
    seed: int,
    dtype: str | None = None,
    out: Path | None = None,
    with_values: bool = False,
) -> InitReport:
    """Answer `paramctl init`.

    Args:
        spec: the spec.
        model: the model as the user named it.
        rules: what is applied after the spec's own rules.
        seed: the seed of the values.
        dtype: what floating parameters are made as, instead of what the spec says.
        out: the file that the state is written to.
        with_values: whether the report holds the elements.

    Raises:
        ParamctlError: if the model cannot be built or does not fit in memory, a rule does not fit a parameter, or `out`
            cannot be written.

    """
    if out is not None:
        check_out(out)
    built = build(spec, seed=seed, dtype=dtype)
    keeps = out is not None or with_values
    ensure_fits(needed_bytes(built.net) if keeps else largest_bytes(built.net), "the values")
    names = state_names(built.net)
    drawings, notes = plan_drawings(built.net, built.programs, [*spec.rules, *rules], seed)
    state: dict[int, torch.Tensor] = {}
    rows = []
    for drawing in drawings:
        values = drawing.draw(seed)
        rows.append(describe_initialized(drawing, values, with_values=with_values))
        if out is not None:
            state[id(drawing.tensor)] = values
    if out is not None:
        for name, buffer in built.net.named_buffers():
            state[id(buffer)] = draw_buffer(name, buffer, built.programs, seed)
        save_state(out, state, names)
        notes += notes_on_ties(out, names)
    return InitReport(
        model=model,
        seed=seed,
        parameters=rows,
        written=None if out is None else str(out),
        with_values=with_values,
        notes=(*built.notes, *notes),
    )
