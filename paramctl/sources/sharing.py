"""The answer of `paramctl shared` for any source."""

from __future__ import annotations

from functools import partial

from paramctl.analysis.sharing import find_groups
from paramctl.reports.shared import SharedReport
from paramctl.sources.protocols import ModuleSource, Source


def find_shared(source: Source, *, dtype: str | None) -> SharedReport:
    """Answer `paramctl shared`: for what can be built by the objects' identity, else as the records tell.

    Args:
        source: the model.
        dtype: what floating parameters are made as, instead of what the model says.

    Raises:
        ParamctlError: if the model is wrong.

    """
    if isinstance(source, ModuleSource):
        from paramctl.tensors import answer_shared

        return answer_shared.find_shared(partial(source.build, seed=None, dtype=dtype), source.model)
    held, notes = source.contents(dtype=dtype, buffers=True, modules=False)
    groups, totals = find_groups((*held.parameters, *held.buffers), {})
    return SharedReport(model=source.model, groups=groups, totals=totals, notes=tuple(notes))
