"""The answer of `paramctl init` for a model that is built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from torch import nn

from paramctl.analysis.measuring import notes_on_statistics
from paramctl.errors import failure
from paramctl.fans import FanRule
from paramctl.reports.init import InitializedParameter, InitReport, RandomSource
from paramctl.rules import InitRule
from paramctl.tensors.building.built import Build
from paramctl.tensors.building.live import check_python
from paramctl.tensors.collect import bytes_of, distinct_parameters, distinct_tensors
from paramctl.tensors.initializing.materialize import draw_buffer, plan_drawings
from paramctl.tensors.initializing.producing import bytes_needed, drop, produce, watched
from paramctl.tensors.initializing.scripted import build_as_script, bytes_of_script, produce_as_script, with_padding
from paramctl.tensors.initializing.targets import notes_on_untouched
from paramctl.tensors.memory import ensure_fits
from paramctl.tensors.writing.saving import check_out, holds_nothing, notes_on, plan_target, state_names, writing_state
from paramctl.watching import Watch, unwatched


def initialize(
    build: Build,
    model: str,
    rules: Sequence[InitRule],
    *,
    seed: int,
    out: Path | None = None,
    max_shard_size: int | None = None,
    with_values: bool = False,
    threads: int | None = None,
    fan: FanRule | None = None,
    rng: RandomSource = "streams",
    watch: Watch = unwatched,
    hist: bool = False,
) -> InitReport:
    """Answer `paramctl init`.

    Args:
        build: builds the model, under the same seed.
        model: the model as the user named it.
        rules: what is applied after the model's own rules.
        seed: the seed of the values.
        out: the file that the state is written to.
        max_shard_size: the most bytes of tensors in a file; what has more is written to shards. None for one file.
        with_values: whether the report holds the elements.
        threads: how many threads draw values, which do not depend on it; None for as many as there are cores.
        fan: whose fan_in and fan_out the schemes use; None for torch's with torch's generator, else the layer's.
        rng: what the values are drawn from.
        watch: watches how far the drawing has come.
        hist: whether the report holds histograms.

    Raises:
        ParamctlError: if the model cannot be built or does not fit in memory, a rule does not fit a parameter, or `out`
            cannot be written, or if a script's values are to have other fans than a script's.

    """
    fans = _fans_that_count(fan, rng)
    if out is not None:
        check_out(out)
    built = build()
    check_python(built.net, "MODEL")
    names, others = ({}, []) if out is None else state_names(built.net)
    drawings, notes = plan_drawings(built.net, built.programs, [*built.rules, *rules], seed, fan=fans)
    copies = with_values + (out is not None and not holds_nothing(out))
    net: nn.Module = built.net
    make: Callable[..., list[InitializedParameter]] = produce
    if rng == "torch":
        drawings = [with_padding(drawing) for drawing in drawings]
        net = build_as_script(built.as_script, drawings, users_code=built.users_code) or net
        make = partial(produce_as_script, tensors=distinct_parameters(net))
        ensure_fits(bytes_of_script(drawings, copies=copies), "the values")
    else:
        kept = copies * sum(bytes_of(drawing.tensor) for drawing in drawings)
        ensure_fits(bytes_needed(drawings, kept=kept), "the values")
    tensors = {
        id(tensor): made for tensor, made in zip(distinct_tensors(built.net), distinct_tensors(net), strict=True)
    }
    target = None if out is None else plan_target(out, tensors, names, max_shard_size)
    with (
        watch(sum(map(bytes_of, tensors.values()))) as advance,
        nullcontext(drop) if target is None else writing_state(target, tensors, names, net) as into,
    ):
        put = watched(into, advance)
        rows = make(drawings, seed=seed, put=put, threads=threads, with_values=with_values, hist=hist)
        for (name, buffer), made in zip(built.net.named_buffers(), net.buffers(), strict=True):
            put(id(buffer), 0, draw_buffer(name, made, built.programs, seed))
    notes += notes_on_untouched(drawings)
    notes += notes_on_statistics((each.plan.target.record, row.stats) for each, row in zip(drawings, rows, strict=True))
    if target is not None:
        notes += notes_on(target, names, others)
    return InitReport(
        model=model,
        seed=seed,
        rng=rng,
        parameters=rows,
        written=None if target is None else str(target.written),
        shards=() if target is None else [str(path) for path in target.shards],
        with_values=with_values,
        with_histograms=hist,
        notes=(*built.notes, *notes),
    )


def _fans_that_count(fan: FanRule | None, rng: RandomSource) -> FanRule:
    if rng == "torch" and fan == "layer":
        raise failure("--rng torch gives a script's values, and torch.nn.init has its own fans", where="--fan layer")
    return fan or ("torch" if rng == "torch" else "layer")
