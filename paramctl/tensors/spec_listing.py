"""The answer of `paramctl list` for a spec."""

from __future__ import annotations

from dataclasses import replace

from paramctl.analysis.listing import ListOptions, make_list_report
from paramctl.reports.listing import ListReport
from paramctl.spec.model import Spec
from paramctl.tensors.outline import outline
from paramctl.watching import Watch, unwatched


def list_parameters(
    spec: Spec, model: str, options: ListOptions, *, seed: int, dtype: str | None, watch: Watch = unwatched
) -> ListReport:
    """Answer `paramctl list`; nothing is allocated unless values are asked for.

    Args:
        spec: the spec.
        model: the model as the user named it.
        options: what was asked for.
        seed: the seed of the values.
        dtype: what floating parameters are made as, instead of what the spec says.
        watch: watches how far the measuring has come.

    Raises:
        ParamctlError: if the model cannot be built, or if there is no layer of the path asked for.

    """
    if options.needs_values:
        # Most listings need no values, and the modules that draw them take 30 ms to import.
        from paramctl.tensors.spec_values import list_with_values

        report = list_with_values(spec, model, options, seed=seed, dtype=dtype, watch=watch)
    else:
        held, notes = outline(spec, dtype=dtype, buffers=options.buffers, modules=options.needs_modules)
        report = make_list_report(model, held, options, None, notes)
    return report if report.title else replace(report, title=spec.name)
