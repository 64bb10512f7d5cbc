"""The answer of `paramctl init` for a model that is built."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import torch

from paramctl.reports.init import InitReport
from paramctl.rules import InitRule
from paramctl.tensors.built import Build
from paramctl.tensors.materialize import draw_buffer, plan_drawings
from paramctl.tensors.memory import ensure_fits
from paramctl.tensors.producing import bytes_needed, produce
from paramctl.tensors.saving import check_out, holds_nothing, notes_on_ties, state_names, writing_state


def initialize(
    build: Build,
    model: str,
    rules: Sequence[InitRule],
    *,
    seed: int,
    out: Path | None = None,
    with_values: bool = False,
    threads: int | None = None,
) -> InitReport:
    """Answer `paramctl init`.

    Args:
        build: builds the model, under the same seed.
        model: the model as the user named it.
        rules: what is applied after the model's own rules.
        seed: the seed of the values.
        out: the file that the state is written to.
        with_values: whether the report holds the elements.
        threads: how many threads draw values, which do not depend on it; None for as many as there are cores.

    Raises:
        ParamctlError: if the model cannot be built or does not fit in memory, a rule does not fit a parameter, or `out`
            cannot be written.

    """
    if out is not None:
        check_out(out)
    built = build()
    names = {} if out is None else state_names(built.net)
    drawings, notes = plan_drawings(built.net, built.programs, [*built.rules, *rules], seed)
    copies = with_values + (out is not None and not holds_nothing(out))
    ensure_fits(bytes_needed(drawings, copies=copies), "the values")
    tensors = {id(tensor): tensor for tensor in (*built.net.parameters(), *built.net.buffers())}
    with nullcontext(_drop) if out is None else writing_state(out, tensors, names) as put:
        rows = produce(drawings, seed, put, threads=threads, with_values=with_values)
        for name, buffer in built.net.named_buffers():
            put(id(buffer), 0, draw_buffer(name, buffer, built.programs, seed))
    if out is not None:
        notes += notes_on_ties(out, names)
    return InitReport(
        model=model,
        seed=seed,
        parameters=rows,
        written=None if out is None else str(out),
        with_values=with_values,
        notes=(*built.notes, *notes),
    )


def _drop(_: int, __: int, ___: torch.Tensor) -> None:
    """Take values that nobody asked to keep."""
