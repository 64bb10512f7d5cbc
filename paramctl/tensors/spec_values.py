"""The values of a spec's model, for the answers that need them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from paramctl.analysis.listing import ListOptions, Measure, listed_names, make_list_report
from paramctl.records import Statistics, Values
from paramctl.reports.listing import ListReport
from paramctl.spec.model import Spec
from paramctl.tensors.build import build
from paramctl.tensors.collect import bytes_of, take_inventory
from paramctl.tensors.initialize import Drawing
from paramctl.tensors.materialize import draw_buffer, needed_bytes, plan_drawings
from paramctl.tensors.memory import ensure_fits
from paramctl.tensors.producing import bytes_needed, drop, produce, watched
from paramctl.tensors.statistics import measure
from paramctl.tensors.values import TensorValues
from paramctl.watching import Watch, unwatched


def list_with_values(
    spec: Spec, model: str, options: ListOptions, *, seed: int, dtype: str | None, watch: Watch = unwatched
) -> ListReport:
    """Answer `paramctl list` with statistics or elements, as the spec's init rules leave them.

    Statistics alone need no whole parameter where its values can be drawn in blocks.

    Raises:
        ParamctlError: if the model cannot be built or does not fit in memory, or if a rule does not fit a parameter.

    """
    built = build(spec, seed=seed, dtype=dtype)
    held = take_inventory(built.net)
    drawings, notes = plan_drawings(built.net, built.programs, spec.rules, seed)
    buffers = dict(built.net.named_buffers(remove_duplicate=False))
    by_name = {name: drawing for drawing in drawings for name in drawing.plan.target.record.names}
    names = listed_names(held, options)
    shown = {id(by_name[name]): by_name[name] for name in names if name in by_name}

    def buffer_named(name: str) -> torch.Tensor:
        return draw_buffer(name, buffers[name], built.programs, seed)

    if options.values:
        ensure_fits(needed_bytes(built.net), "the values")
        measured = _whole(by_name, buffer_named, options, seed)
        return make_list_report(model, held, options, measured, [*built.notes, *notes], watch)
    largest = max((bytes_of(buffers[name]) for name in names if name in buffers), default=0)
    ensure_fits(max(bytes_needed(list(shown.values()), copies=0), largest), "the values")
    with watch(sum(bytes_of(drawing.tensor) for drawing in shown.values())) as advance:
        rows = produce(list(shown.values()), seed, watched(drop, advance), hist=options.hist)
    stats = {key: row.stats for key, row in zip(shown, rows, strict=True)}

    def measured_in_blocks(name: str) -> tuple[Statistics | None, Values | None]:
        drawing = by_name.get(name)
        return stats[id(drawing)] if drawing else measure(buffer_named(name), hist=options.hist), None

    return make_list_report(model, held, options, measured_in_blocks, [*built.notes, *notes])


def _whole(
    by_name: Mapping[str, Drawing], buffer_named: Callable[[str], torch.Tensor], options: ListOptions, seed: int
) -> Measure:
    def measure_named(name: str) -> tuple[Statistics | None, Values | None]:
        tensor = by_name[name].draw(seed) if name in by_name else buffer_named(name)
        return measure(tensor, hist=options.hist) if options.measures else None, TensorValues(tensor)

    return measure_named
