"""A built model -> what measures the values that its init rules leave: in blocks, or one tensor at a time."""

from __future__ import annotations

from paramctl.analysis.listing import ListOptions, Measure, listed_names
from paramctl.records import Inventory, Statistics, Values
from paramctl.tensors.building.built import BuiltModel
from paramctl.tensors.collect import bytes_of
from paramctl.tensors.initializing.materialize import draw_buffer, plan_drawings
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
    names = listed_names(held, options)
    shown = list({id(by_name[name]): by_name[name] for name in names if name in by_name}.values())
    sizes = [bytes_of(buffers[name]) for name in names if name in buffers]
    drawn = sum(bytes_of(drawing.tensor) for drawing in shown)
    if options.values:
        ensure_fits(bytes_needed(shown, kept=drawn + sum(sizes)), "the values")
    else:
        ensure_fits(max(bytes_needed(shown), *sizes, 0), "the values")
    with watch(drawn) as advance:
        rows = produce(shown, seed, watched(drop, advance), with_values=options.values, hist=options.hist)
    produced = {id(drawing): row for drawing, row in zip(shown, rows, strict=True)}

    def measure_named(name: str) -> tuple[Statistics | None, Values | None]:
        if name in by_name:
            row = produced[id(by_name[name])]
            return row.stats if options.measures else None, row.values
        buffer = draw_buffer(name, buffers[name], built.programs, seed)
        stats = measure(buffer, hist=options.hist) if options.measures else None
        return stats, TensorValues(buffer) if options.values else None

    return held, measure_named, [*built.notes, *notes]
