"""A built model -> what measures the values that its init rules leave: in blocks, or one tensor at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from paramctl.analysis.listing import ListOptions, Measure, listed_names
from paramctl.records import Inventory, Statistics, Values
from paramctl.tensors.building.built import BuiltModel
from paramctl.tensors.collect import bytes_of
from paramctl.tensors.initializing.drawing import Drawing
from paramctl.tensors.initializing.materialize import draw_buffer, needed_bytes, plan_drawings
from paramctl.tensors.initializing.producing import bytes_needed, drop, produce, watched
from paramctl.tensors.memory import ensure_fits
from paramctl.tensors.statistics import measure
from paramctl.tensors.values import TensorValues
from paramctl.watching import Watch, unwatched


def measurable(
    built: BuiltModel, options: ListOptions, *, seed: int, watch: Watch = unwatched
) -> tuple[Inventory, Measure, list[str]]:
    """Return what a model holds, what measures its tensors by name as `options` says, and notes.

    Statistics alone need no whole parameter where its values can be drawn in blocks.

    Raises:
        ParamctlError: if the values do not fit in memory, or if a rule does not fit a parameter.

    """
    held = built.inventory()
    drawings, notes = plan_drawings(built.net, built.programs, built.rules, seed)
    buffers = dict(built.net.named_buffers(remove_duplicate=False))
    by_name = {name: drawing for drawing in drawings for name in drawing.plan.target.record.names}

    def buffer_named(name: str) -> torch.Tensor:
        return draw_buffer(name, buffers[name], built.programs, seed)

    if options.values:
        ensure_fits(needed_bytes(built.net), "the values")
        return held, _whole(by_name, buffer_named, options, seed), [*built.notes, *notes]
    names = listed_names(held, options)
    shown = {id(by_name[name]): by_name[name] for name in names if name in by_name}
    largest = max((bytes_of(buffers[name]) for name in names if name in buffers), default=0)
    ensure_fits(max(bytes_needed(list(shown.values()), copies=0), largest), "the values")
    with watch(sum(bytes_of(drawing.tensor) for drawing in shown.values())) as advance:
        rows = produce(list(shown.values()), seed, watched(drop, advance), hist=options.hist)
    stats = {key: row.stats for key, row in zip(shown, rows, strict=True)}

    def measured_in_blocks(name: str) -> tuple[Statistics | None, Values | None]:
        drawing = by_name.get(name)
        return stats[id(drawing)] if drawing else measure(buffer_named(name), hist=options.hist), None

    return held, measured_in_blocks, [*built.notes, *notes]


def _whole(
    by_name: Mapping[str, Drawing], buffer_named: Callable[[str], torch.Tensor], options: ListOptions, seed: int
) -> Measure:
    def measure_named(name: str) -> tuple[Statistics | None, Values | None]:
        tensor = by_name[name].draw(seed) if name in by_name else buffer_named(name)
        return measure(tensor, hist=options.hist) if options.measures else None, TensorValues(tensor)

    return measure_named
