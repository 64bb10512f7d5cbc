"""The answer of `paramctl shared` for a spec."""

from __future__ import annotations

from paramctl.analysis.sharing import find_groups
from paramctl.reports.shared import SharedReport
from paramctl.spec.model import Spec
from paramctl.tensors.build import build
from paramctl.tensors.collect import take_inventory


def find_shared(spec: Spec, model: str, *, dtype: str | None = None) -> SharedReport:
    """Answer `paramctl shared`: the model is built on the meta device, and its Parameters compared by `id()`.

    Raises:
        ParamctlError: if the model cannot be built.

    """
    built = build(spec, dtype=dtype)
    records = take_inventory(built.net).parameters
    identities = {name: id(parameter) for name, parameter in built.net.named_parameters()}
    groups, totals = find_groups(records, identities)
    return SharedReport(model=model, groups=groups, totals=totals, notes=tuple(built.notes))
