"""`paramctl init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from paramctl.cli import options
from paramctl.cli.output import emit


def init(
    model: options.Model = None,
    scheme: Annotated[
        str | None,
        typer.Option(
            metavar="SCHEME", help="For a whole model: this for the weights, zeros for the biases, norms as they are."
        ),
    ] = None,
    rule: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB=SCHEME", help="For every parameter that matches; later ones win. Repeatable."),
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the state to a .safetensors or .pt file.")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Threads that draw the values, which do not depend on it. Default: all."),
    ] = None,
    values: options.Values = False,
    allow: options.Allow = None,
    seed: options.Seed = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = None,
    output_format: options.Format = None,
    output: options.File = None,
) -> None:
    """Initialise the parameters and hold the values against what the theory promises.

    SCHEME is a name (see `paramctl schemes`), file.py:FUNCTION or package.module:FUNCTION,
    with options behind it: normal:std=0.02.
    """
    from paramctl.cli.session import computing, open_session
    from paramctl.spec.rules import parse_rule, parse_whole_model

    here = Path.cwd()
    rules = [] if scheme is None else [parse_whole_model(scheme, here)]
    rules += [parse_rule(text, here) for text in rule or ()]
    session = open_session(
        model, allow, seed=seed, dtype=dtype, writes={"--out": out, "--output": output}, device=device
    )
    build = session.builder()
    from paramctl.tensors import answer_init

    with computing():
        report = answer_init.initialize(
            build,
            session.model,
            rules,
            seed=session.seed,
            out=None if out is None else Path(out),
            with_values=values,
            threads=threads,
        )
    emit(report, options.output_of(output_format, output))
