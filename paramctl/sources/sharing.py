"""The answer of `paramctl shared` for any source."""

from __future__ import annotations

from functools import partial

from paramctl.analysis.equality import comparable
from paramctl.analysis.expecting import SharedOptions, with_expectations
from paramctl.analysis.shared_report import make_shared_report
from paramctl.reports.shared import SharedReport
from paramctl.sources.protocols import MemorySource, Source, buildable


def find_shared(source: Source, options: SharedOptions, *, seed: int, dtype: str | None) -> SharedReport:
    """Answer `paramctl shared`: a checkpoint by the memory that its pickle tells of, else a built model by its objects.

    Args:
        source: the model.
        options: what was asked for.
        seed: the seed of the values, where they are compared.
        dtype: what floating parameters are made as, instead of what the model says.

    Raises:
        ParamctlError: if the model is wrong or does not have a name, or if what was asked for needs a model that is
            built and this source builds none.

    """
    if isinstance(source, MemorySource) and not options.survival:
        return _without_module(source, options, dtype)
    from paramctl.tensors.answers.shared import find_shared

    build = partial(buildable(source).build, seed=seed if options.by_value else None, dtype=dtype)
    return find_shared(build, source.model, options, seed=seed)


def _without_module(source: MemorySource, options: SharedOptions, dtype: str | None) -> SharedReport:
    surveyed, notes = source.survey(dtype=dtype)
    digests = None
    if options.by_value:
        digests, more = source.digests(comparable(surveyed.records))
        notes = (*notes, *more)
    report = make_shared_report(source.model, surveyed, digests, notes=notes)
    return with_expectations(report, options, surveyed.places)
