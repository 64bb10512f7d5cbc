"""The answer of `paramctl list` for any source."""

from __future__ import annotations

from dataclasses import replace

from paramctl.analysis.listing import ListOptions, make_list_report
from paramctl.reports.listing import ListReport
from paramctl.sources.protocols import Source, with_values
from paramctl.watching import Watch, unwatched


def list_parameters(
    source: Source, options: ListOptions, *, seed: int, dtype: str | None, watch: Watch = unwatched
) -> ListReport:
    """Answer `paramctl list`; nothing is allocated unless values are asked for.

    Args:
        source: the model.
        options: what was asked for.
        seed: the seed of the values.
        dtype: what floating parameters are made as, instead of what the model says.
        watch: watches how far the measuring has come.

    Raises:
        ParamctlError: if the model is wrong or has no values, or if there is no layer of the path asked for.

    """
    if options.needs_values:
        held, measure, notes = with_values(source).measurable(options, seed=seed, dtype=dtype, watch=watch)
        report = make_list_report(source.model, held, options, measure, notes, watch)
    else:
        held, notes = source.contents(dtype=dtype, buffers=options.buffers, modules=options.needs_modules)
        report = make_list_report(source.model, held, options, None, notes)
    return report if report.title else replace(report, title=source.title)
