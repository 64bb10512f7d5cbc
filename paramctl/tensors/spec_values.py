"""The values of a spec's model, for the answers that need them."""

from __future__ import annotations

from paramctl.analysis.listing import ListOptions, Measure, make_list_report
from paramctl.records import Statistics, Values
from paramctl.reports.listing import ListReport
from paramctl.spec.model import Spec
from paramctl.tensors.build import BuiltModel, build
from paramctl.tensors.collect import take_inventory
from paramctl.tensors.materialize import draw_buffer, largest_bytes, needed_bytes, plan_drawings
from paramctl.tensors.memory import ensure_fits
from paramctl.tensors.statistics import measure
from paramctl.tensors.values import TensorValues
from paramctl.watching import Watch, unwatched


def list_with_values(
    spec: Spec, model: str, options: ListOptions, *, seed: int, dtype: str | None, watch: Watch = unwatched
) -> ListReport:
    """Answer `paramctl list` with statistics or elements, as the spec's init rules leave them.

    Raises:
        ParamctlError: if the model cannot be built or does not fit in memory, or if a rule does not fit a parameter.

    """
    built = build(spec, seed=seed, dtype=dtype)
    ensure_fits(needed_bytes(built.net) if options.values else largest_bytes(built.net), "the values")
    measure_named, notes = _measurer(built, spec, options, seed)
    return make_list_report(model, take_inventory(built.net), options, measure_named, [*built.notes, *notes], watch)


def _measurer(built: BuiltModel, spec: Spec, options: ListOptions, seed: int) -> tuple[Measure, list[str]]:
    drawings, notes = plan_drawings(built.net, built.programs, spec.rules, seed)
    by_name = {name: drawing for drawing in drawings for name in drawing.plan.target.record.names}
    buffers = dict(built.net.named_buffers(remove_duplicate=False))

    def measure_named(name: str) -> tuple[Statistics | None, Values | None]:
        drawing = by_name.get(name)
        tensor = drawing.draw(seed) if drawing else draw_buffer(name, buffers[name], built.programs, seed)
        return measure(tensor) if options.stats else None, TensorValues(tensor) if options.values else None

    return measure_named, notes
