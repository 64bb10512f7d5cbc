"""The answer of `paramctl shared` for a model that is built."""

from __future__ import annotations

from paramctl.analysis.sharing import find_groups
from paramctl.reports.shared import SharedReport
from paramctl.tensors.built import Build
from paramctl.tensors.collect import take_inventory


def find_shared(build: Build, model: str) -> SharedReport:
    """Answer `paramctl shared`: the Parameters of the model are compared by `id()`.

    Raises:
        ParamctlError: if the model cannot be built.

    """
    built = build()
    records = take_inventory(built.net).parameters
    identities = {name: id(parameter) for name, parameter in built.net.named_parameters()}
    groups, totals = find_groups(records, identities)
    return SharedReport(model=model, groups=groups, totals=totals, notes=tuple(built.notes))
