"""A survey of a model's memory -> the report of `paramctl shared`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from paramctl.analysis.equality import Digests, same_values
from paramctl.analysis.sharing import MemorySurvey, find_groups, in_order
from paramctl.reports.shared import SharedReport


def make_shared_report(
    model: str, survey: MemorySurvey, digests: Digests | None = None, *, notes: Iterable[str] = ()
) -> SharedReport:
    """Tell what the names of a model have in common.

    Args:
        model: the model as the user named it.
        survey: its memory.
        digests: what stands for the values of the tensors that are `comparable`; None where nobody asked.
        notes: what is known besides.

    """
    found = find_groups(survey)
    groups, totals = found.groups, found.totals
    if digests is not None:
        groups = in_order(survey, [*groups, *same_values(survey, digests)])
        totals = replace(totals, groups=len(groups))
    return SharedReport(
        model=model,
        groups=groups,
        totals=totals,
        storages=found.storages,
        by_value=digests is not None,
        notes=(*notes, *found.notes),
    )
