"""The answer of `paramctl shared` for a spec."""

from __future__ import annotations

from paramctl.analysis.sharing import find_groups
from paramctl.reports.shared import SharedReport
from paramctl.spec.model import Spec
from paramctl.tensors.build import build
from paramctl.tensors.surveying import survey


def find_shared(spec: Spec, model: str, *, dtype: str | None = None) -> SharedReport:
    """Answer `paramctl shared`: the model is built on the meta device, and its Parameters and their memory compared.

    Raises:
        ParamctlError: if the model cannot be built.

    """
    built = build(spec, dtype=dtype)
    found = find_groups(survey(built.net))
    return SharedReport(
        model=model,
        groups=found.groups,
        totals=found.totals,
        storages=found.storages,
        notes=(*built.notes, *found.notes),
    )
