"""The matrix of what ties survive."""

from __future__ import annotations

from paramctl.render.as_table import render
from paramctl.reports.shared import SharedReport, SharedTotals, Survival, Trial


def page(*ties):
    totals = SharedTotals(groups=0, named_numel=0, numel=0, saved_nbytes=0)
    report = SharedReport(model="m", groups=(), totals=totals, survival=ties)
    return "".join(render(report, 80, None)).splitlines()[1:]


def tie(relation, names, *outcomes):
    trials = [
        Trial(operation=f"operation {i}", outcome=outcome, reason=None if outcome else "no such device")
        for i, outcome in enumerate(outcomes)
    ]
    return Survival(relation=relation, names=tuple(names), trials=tuple(trials))


def test_ties_of_one_relation_with_one_fate_are_one_column():
    assert page(tie("same-module", "ab", "kept", None), tie("same-module", "cd", "kept", None)) == [
        "",
        "operation    same-module",
        "────────────────────────",
        "operation 0  kept",
        "operation 1  not tried",
        "operation 1: no such device",
        "tried on a small copy of the model with its own modules",
    ]


def test_ties_of_one_relation_with_different_fates_are_numbered_and_named():
    ties = [tie("overlap", "ab", "kept"), tie("overlap", "cd", "broken"), tie("overlap", "efghi", "broken")]
    assert page(*ties)[1:] == [
        "operation    overlap 1  overlap 2",
        "─────────────────────────────────",
        "operation 0  kept       broken",
        "overlap 1: a = b",
        "overlap 2: c = d, and 1 tie more",
        "tried on a small copy of the model with its own modules",
    ]


def test_many_kinds_stand_below_each_other():
    relations = ("same-module", "same-parameter", "same-storage", "overlap")
    lines = page(*(tie(relation, "ab", "kept") for relation in relations))
    assert [line for line in lines if line.startswith("operation ") and "kept" not in line] == [
        "operation    same-module  same-parameter  same-storage",
        "operation    overlap",
    ]
