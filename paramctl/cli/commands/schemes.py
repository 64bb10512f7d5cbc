"""`paramctl schemes`."""

from __future__ import annotations

from paramctl.cli import options
from paramctl.cli.output import emit


def schemes(output_format: options.Format = None, output: options.File = None) -> None:
    """Show every init scheme with its options, its formula and where that comes from."""
    from paramctl.reports.schemes import SchemesReport
    from paramctl.schemes import SCHEMES

    report = SchemesReport(model=None, schemes=tuple(SCHEMES.values()))
    emit(report, options.output_of(output_format, output))
