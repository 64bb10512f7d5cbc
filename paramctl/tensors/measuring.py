"""A built model -> what measures the values that its init rules leave, one tensor at a time."""

from __future__ import annotations

from paramctl.analysis.listing import ListOptions, Measure
from paramctl.records import Inventory, Statistics, Values
from paramctl.tensors.built import BuiltModel
from paramctl.tensors.collect import take_inventory
from paramctl.tensors.materialize import draw_buffer, largest_bytes, needed_bytes, plan_drawings
from paramctl.tensors.memory import ensure_fits
from paramctl.tensors.statistics import measure
from paramctl.tensors.values import TensorValues


def measurable(built: BuiltModel, options: ListOptions, *, seed: int) -> tuple[Inventory, Measure, list[str]]:
    """Return what a model holds, what measures its tensors by name as `options` says, and notes.

    Raises:
        ParamctlError: if the values do not fit in memory, or if a rule does not fit a parameter.

    """
    ensure_fits(needed_bytes(built.net) if options.values else largest_bytes(built.net), "the values")
    drawings, notes = plan_drawings(built.net, built.programs, built.rules, seed)
    by_name = {name: drawing for drawing in drawings for name in drawing.plan.target.record.names}
    buffers = dict(built.net.named_buffers(remove_duplicate=False))

    def measure_named(name: str) -> tuple[Statistics | None, Values | None]:
        drawing = by_name.get(name)
        tensor = drawing.draw(seed) if drawing else draw_buffer(name, buffers[name], built.programs, seed)
        return measure(tensor) if options.stats else None, TensorValues(tensor) if options.values else None

    return take_inventory(built.net), measure_named, [*built.notes, *notes]
