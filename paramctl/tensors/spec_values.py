"""The values of a spec's model, for the answers that need them."""

from __future__ import annotations

from paramctl.analysis.listing import ListOptions, Measure, make_list_report
from paramctl.records import Statistics, Values
from paramctl.reports.listing import ListReport
from paramctl.spec.model import Spec
from paramctl.tensors.build import BuiltModel, build
from paramctl.tensors.collect import collect_modules, collect_records
from paramctl.tensors.materialize import draw_buffer, largest_bytes, needed_bytes, plan_drawings
from paramctl.tensors.memory import ensure_fits
from paramctl.tensors.statistics import measure
from paramctl.tensors.values import TensorValues


def build_for_values(spec: Spec, *, seed: int, dtype: str | None) -> BuiltModel:
    """Build a model that will get values; layers of the user's own get theirs at once, so they must fit.

    Raises:
        ParamctlError: if the model cannot be built, or would not fit in memory.

    """
    if spec.imports:
        ensure_fits(needed_bytes(build(spec, dtype=dtype).net), "the values")
    return build(spec, dtype=dtype, seed=seed)


def list_with_values(spec: Spec, model: str, options: ListOptions, *, seed: int, dtype: str | None) -> ListReport:
    """Answer `paramctl list` with statistics or elements, as the spec's init rules leave them.

    Raises:
        ParamctlError: as `build_for_values` does, and where a rule does not fit.

    """
    built = build_for_values(spec, seed=seed, dtype=dtype)
    ensure_fits(needed_bytes(built.net) if options.values else largest_bytes(built.net), "the values")
    records = collect_records(built.net, buffers=options.buffers)
    modules = collect_modules(built.net) if options.needs_modules else ()
    measure_named, notes = _measurer(built, spec, options, seed)
    return make_list_report(model, records, modules, options, measure_named, [*built.notes, *notes])


def _measurer(built: BuiltModel, spec: Spec, options: ListOptions, seed: int) -> tuple[Measure, list[str]]:
    drawings, notes = plan_drawings(built.net, built.programs, spec.rules)
    by_name = {name: drawing for drawing in drawings for name in drawing.plan.target.record.names}
    buffers = dict(built.net.named_buffers(remove_duplicate=False))

    def measure_named(name: str) -> tuple[Statistics | None, Values | None]:
        drawing = by_name.get(name)
        tensor = drawing.draw(seed) if drawing else draw_buffer(name, buffers[name], built.programs, seed)
        return measure(tensor) if options.stats else None, TensorValues(tensor) if options.values else None

    return measure_named, notes
