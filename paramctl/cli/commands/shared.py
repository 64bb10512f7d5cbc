"""`paramctl shared`."""

from __future__ import annotations

from typing import Annotated

import typer

from paramctl.cli import options
from paramctl.cli.main import CHECK_FAILED
from paramctl.cli.output import emit


def shared(
    model: options.Model = None,
    by_value: Annotated[
        bool, typer.Option("--by-value", help="Equal values in different memory, too; constant ones aside.")
    ] = False,
    survival: Annotated[
        bool, typer.Option("--survival", help="What deepcopy, to, save_file, an optimizer … would do to each tie.")
    ] = False,
    expect: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=NAME", help="Exit with 1 unless these are the same elements. Repeatable."),
    ] = None,
    expect_none: Annotated[
        bool, typer.Option("--expect-none", help="Exit with 1 if anything is shared that --expect does not name.")
    ] = False,
    arg: options.Arg = None,
    allow: options.Allow = None,
    key: options.Key = None,
    seed: options.Seed = None,
    device: options.CheckedDevice = "cpu",
    dtype: options.Dtype = None,
    output_format: options.Format = None,
    output: options.File = None,
) -> None:
    """Find the parameters that are one and the same, share memory, or merely have equal values."""
    from paramctl.analysis.expecting import SharedOptions, parse_tie
    from paramctl.cli.session import computing, open_session
    from paramctl.sources.sharing import find_shared

    wanted = SharedOptions(
        by_value=by_value,
        survival=survival,
        expected=[parse_tie(text) for text in expect or ()],
        nothing_else=expect_none,
    )
    session = open_session(
        model, allow, seed=seed, dtype=dtype, writes={"--output": output}, device=device, arguments=arg, key=key
    )
    with computing():
        report = find_shared(session.source, wanted, seed=session.seed, dtype=session.dtype)
    emit(report, options.output_of(output_format, output))
    if not report.meets_expectations:
        raise typer.Exit(CHECK_FAILED)
