"""`paramctl init`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from paramctl.cli import options
from paramctl.cli.output import emit


class Fan(StrEnum):
    """Whose fan_in and fan_out the schemes use."""

    LAYER = "layer"
    TORCH = "torch"


class Rng(StrEnum):
    """What values are drawn from."""

    STREAMS = "streams"
    TORCH = "torch"


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
    max_shard_size: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Write what is larger, 5GB or 2GiB say, to several .safetensors files and their index.",
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Threads that draw the values, which do not depend on it. Default: all."),
    ] = None,
    fan: Annotated[
        Fan | None,
        typer.Option(
            help="fan_in and fan_out of the layer's own computation, or torch's, by the shape alone. "
            "Default: layer; torch with --rng torch."
        ),
    ] = None,
    rng: Annotated[
        Rng,
        typer.Option(help="A stream for each parameter, or what a script draws after torch.manual_seed."),
    ] = Rng.STREAMS,
    values: options.Values = False,
    hist: options.Hist = False,
    arg: options.Arg = None,
    allow: options.Allow = None,
    key: options.Key = None,
    weights: options.Weights = None,
    no_strict: options.NoStrict = False,
    seed: options.Seed = None,
    device: options.CheckedDevice = "cpu",
    dtype: options.Dtype = None,
    output_format: options.Format = None,
    output: options.File = None,
) -> None:
    """Initialise the parameters and hold the values against what the theory promises.

    SCHEME is a name (see `paramctl schemes`), file.py:FUNCTION or package.module:FUNCTION,
    with options behind it: normal:std=0.02.
    """
    from paramctl.cli.progress import watch
    from paramctl.cli.session import computing, open_session
    from paramctl.spec.rules import parse_rule, parse_whole_model

    here = Path.cwd()
    rules = [] if scheme is None else [parse_whole_model(scheme, here)]
    rules += [parse_rule(text, here) for text in rule or ()]
    most = options.check_max_shard_size(max_shard_size, out)
    session = open_session(
        model,
        allow,
        seed=seed,
        dtype=dtype,
        writes={"--out": out, "--output": output},
        sharded=None if most is None else out,
        device=device,
        arguments=arg,
        key=key,
        weights=weights,
        strict=not no_strict,
    )
    build = session.builder()
    from paramctl.tensors.answers.init import initialize

    with computing():
        report = initialize(
            build,
            session.model,
            rules,
            seed=session.seed,
            out=None if out is None else Path(out),
            max_shard_size=most,
            with_values=values,
            threads=threads,
            fan=None if fan is None else fan.value,
            rng=rng.value,
            watch=watch,
            hist=hist,
        )
    emit(report, options.output_of(output_format, output))
