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
    allow: options.Allow = None,
    seed: options.Seed = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = None,
    output_format: options.Format = None,
    output: options.File = None,
) -> None:
    """Find the parameters that are one and the same, share memory, or merely have equal values."""
    from paramctl.analysis.expecting import parse_tie
    from paramctl.cli.session import computing, open_spec

    expected = [parse_tie(text) for text in expect or ()]
    session = open_spec(model, allow, seed=seed, dtype=dtype, writes={"--output": output}, device=device)
    from paramctl.tensors import spec_shared

    with computing():
        report = spec_shared.find_shared(
            session.spec,
            session.model,
            seed=session.seed,
            dtype=session.dtype,
            by_value=by_value,
            expected=expected,
            nothing_else=expect_none,
            survival=survival,
        )
    emit(report, options.output_of(output_format, output))
    if not report.meets_expectations:
        raise typer.Exit(CHECK_FAILED)
