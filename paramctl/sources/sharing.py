"""The answer of `paramctl shared` for any source."""

from __future__ import annotations

from functools import partial

from paramctl.analysis.expecting import SharedOptions, with_expectations
from paramctl.analysis.shared_report import make_shared_report
from paramctl.analysis.sharing import MemorySurvey
from paramctl.reports.shared import SharedReport
from paramctl.sources.protocols import ModuleSource, Source, buildable


def find_shared(source: Source, options: SharedOptions, *, seed: int, dtype: str | None) -> SharedReport:
    """Answer `paramctl shared`: for what can be built by its objects and their memory, else as the records tell.

    Args:
        source: the model.
        options: what was asked for.
        seed: the seed of the values, where they are compared.
        dtype: what floating parameters are made as, instead of what the model says.

    Raises:
        ParamctlError: if the model is wrong or does not have a name, or if what was asked for needs a model that is
            built and this source builds none.

    """
    if isinstance(source, ModuleSource) or options.by_value or options.survival:
        from paramctl.tensors import answer_shared

        build = partial(buildable(source).build, seed=seed if options.by_value else None, dtype=dtype)
        return answer_shared.find_shared(build, source.model, options, seed=seed)
    held, notes = source.contents(dtype=dtype, buffers=True, modules=False)
    surveyed = MemorySurvey(records=(*held.parameters, *held.buffers))
    report = make_shared_report(source.model, surveyed, notes=notes)
    return with_expectations(report, options, surveyed.places)
