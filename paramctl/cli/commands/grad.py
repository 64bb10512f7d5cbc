"""`paramctl grad`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from paramctl.cli import options
from paramctl.cli.main import CHECK_FAILED
from paramctl.cli.output import emit, print_note
from paramctl.errors import failure
from paramctl.reports.health import CHECKS, Limits

_CHECKS = "Checks"
_USUAL = Limits()


class LossName(StrEnum):
    """What backward starts from."""

    SUM = "sum"
    MEAN = "mean"
    MSE = "mse"
    CROSS_ENTROPY = "cross_entropy"


class AutocastName(StrEnum):
    """The dtype of mixed precision."""

    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


class Mode(StrEnum):
    """The mode of the model's modules."""

    TRAIN = "train"
    EVAL = "eval"


def grad(
    model: options.Model = None,
    input_shape: Annotated[
        str | None, typer.Option(metavar="2,4", help="Shape of the input. Default: the spec's.")
    ] = None,
    fill: Annotated[
        str | None,
        typer.Option(
            metavar="FILL", help="rand, randn, ones, zeros, arange or randint(LOW,HIGH). Default: the spec's."
        ),
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="[NAME=]SHAPE",
            help="An argument of forward, with :DTYPE and :FILL behind: 2,4 or ids=2,8:int64:ones. Repeatable.",
        ),
    ] = None,
    loss: Annotated[
        LossName | None, typer.Option(help="Default: the spec's; of Python code the loss that it returns, else sum.")
    ] = None,
    autocast: Annotated[
        AutocastName | None, typer.Option(help="Run forward in mixed precision, as torch.autocast does.")
    ] = None,
    passes: Annotated[int, typer.Option(metavar="N", min=1, help="Repeat forward and backward; gradients add up.")] = 1,
    uses: Annotated[bool, typer.Option("--uses", help="Split each gradient by the uses of its parameter.")] = False,
    flow: Annotated[
        bool, typer.Option("--flow", help="Draw the norm of each layer's gradient, in order, on a logarithmic scale.")
    ] = False,
    health: Annotated[
        bool, typer.Option("--health", help="Check for gradients that are not as they should be, and say where.")
    ] = False,
    vanishing: Annotated[
        float | None,
        typer.Option(
            metavar="NORM",
            help=f"Norms below it vanish. Implies --health. Default: {_USUAL.vanishing:g}.",
            rich_help_panel=_CHECKS,
        ),
    ] = None,
    exploding: Annotated[
        float | None,
        typer.Option(
            metavar="NORM",
            help=f"Norms above it explode. Implies --health. Default: {_USUAL.exploding:g}.",
            rich_help_panel=_CHECKS,
        ),
    ] = None,
    max_ratio: Annotated[
        float | None,
        typer.Option(
            metavar="RATIO",
            help="Of a weight's gradient to the weight, by norm; vectors are not held to it. Implies --health. "
            f"Default: {_USUAL.ratio:g}.",
            rich_help_panel=_CHECKS,
        ),
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(
            metavar="CHECK,…",
            help=f"Exit with 1 if one of these checks finds something: {', '.join(CHECKS)}.",
            rich_help_panel=_CHECKS,
        ),
    ] = None,
    values: Annotated[
        bool, typer.Option("--values", help="Show the gradients' elements, as torch prints them.")
    ] = False,
    hist: options.Hist = False,
    mode: Annotated[Mode, typer.Option(help="Train: dropout drops, batch norm uses the batch.")] = Mode.TRAIN,
    arg: options.Arg = None,
    allow: options.Allow = None,
    key: options.Key = None,
    weights: options.Weights = None,
    no_strict: options.NoStrict = False,
    seed: options.Seed = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = None,
    output_format: options.Format = None,
    output: options.File = None,
) -> None:
    """Run forward and backward, and show the gradient that each parameter has before and after."""
    from paramctl.checks import check_limits, parse_checks
    from paramctl.cli.session import computing, open_session
    from paramctl.spec.inputs import parse_fill, parse_input, parse_shape

    failing = parse_checks(fail_on, "--fail-on")
    limits = check_limits(vanishing=vanishing, exploding=exploding, max_ratio=max_ratio)
    shape = None if input_shape is None else parse_shape(input_shape, "--input-shape")
    filled = None if fill is None else parse_fill(fill, "--fill")
    inputs = tuple(parse_input(text, "--input") for text in given or ())
    if filled is not None and inputs and shape is None:
        raise failure("--fill speaks of --input-shape", where="--fill", hint="write --input 2,4:ones")
    session = open_session(
        model,
        allow,
        seed=seed,
        dtype=dtype,
        writes={"--output": output},
        device=device,
        arguments=arg,
        key=key,
        weights=weights,
        strict=not no_strict,
    )
    build = session.builder()
    from paramctl.tensors.answers.grad import PassOptions, gradients

    wanted = PassOptions(
        inputs=inputs,
        shape=shape,
        fill=filled,
        loss=loss.value if loss else None,
        passes=passes,
        train=mode is Mode.TRAIN,
        device=device,
        with_uses=uses,
        with_flow=flow,
        limits=limits or (_USUAL if health or failing else None),
        autocast=autocast.value if autocast else None,
        with_values=values,
        hist=hist,
    )
    with computing():
        report = gradients(build, session.model, wanted, seed=session.seed)
    emit(report, options.output_of(output_format, output))
    if report.health is not None and (found := report.health.failures(failing)):
        print_note(f"--fail-on: {'; '.join(found)}")
        raise typer.Exit(CHECK_FAILED)
