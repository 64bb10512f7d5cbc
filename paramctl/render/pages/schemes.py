"""The page of `paramctl schemes`."""

from __future__ import annotations

from collections.abc import Iterator

from paramctl.render.block import Block, line
from paramctl.render.cells import DIM
from paramctl.render.table import Cell, Column, TableData
from paramctl.reports.schemes import SchemesReport
from paramctl.scheme_declaration import Scheme
from paramctl.schemes import GAINS


def page(report: SchemesReport, *, styled: bool) -> Iterator[Block]:  # noqa: ARG001  every page is called alike
    """Yield the schemes, and how they are written."""
    schemes = report.schemes
    yield TableData(
        (
            Column("scheme", [scheme.name for scheme in schemes]),
            Column("options", [_options(scheme) for scheme in schemes], folds=True),
            Column("values", [_formula(scheme) for scheme in schemes], folds=True),
        )
    )
    usage = "--scheme normal:std=0.02   --rule '*.bias=constant:val=1'   --scheme my_init.py:FUNCTION"
    yield line((usage, DIM))
    yield line((f"gain(nonlinearity, a): {GAINS}", DIM))
    yield line(("fan_in: inputs that an output sums up   fan_out: outputs that an input reaches", DIM))
    yield line(("counted as each layer computes; with init --fan torch, as torch.nn.init counts", DIM))


def _options(scheme: Scheme) -> str:
    options = scheme.options.values()
    return "\n".join(f"{each.name}={'…' if each.default is None else each.default}" for each in options)


def _formula(scheme: Scheme) -> Cell:
    return ((scheme.formula, ""), (f"\n{scheme.source}", DIM)) if scheme.source else scheme.formula
