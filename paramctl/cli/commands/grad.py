"""`paramctl grad`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from paramctl.cli import options
from paramctl.cli.output import emit


class LossName(StrEnum):
    """What backward starts from."""

    SUM = "sum"
    MEAN = "mean"
    MSE = "mse"
    CROSS_ENTROPY = "cross_entropy"


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
    loss: Annotated[LossName | None, typer.Option(help="Default: the spec's.")] = None,
    passes: Annotated[int, typer.Option(metavar="N", min=1, help="Repeat forward and backward; gradients add up.")] = 1,
    uses: Annotated[bool, typer.Option("--uses", help="Split each gradient by the uses of its parameter.")] = False,
    values: Annotated[
        bool, typer.Option("--values", help="Show the gradients' elements, as torch prints them.")
    ] = False,
    mode: Annotated[Mode, typer.Option(help="Train: dropout drops, batch norm uses the batch.")] = Mode.TRAIN,
    allow: options.Allow = None,
    seed: options.Seed = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = None,
    output_format: options.Format = None,
    output: options.File = None,
) -> None:
    """Run forward and backward, and show the gradient that each parameter has before and after."""
    from paramctl.cli.session import computing, open_session
    from paramctl.spec.inputs import parse_fill, parse_shape

    shape = None if input_shape is None else parse_shape(input_shape, "--input-shape")
    filled = None if fill is None else parse_fill(fill, "--fill")
    session = open_session(model, allow, seed=seed, dtype=dtype, writes={"--output": output}, device=device)
    build = session.builder()
    from paramctl.tensors import answer_grad

    wanted = answer_grad.PassOptions(
        shape=shape,
        fill=filled,
        loss=loss.value if loss else None,
        passes=passes,
        train=mode is Mode.TRAIN,
        device=device,
        with_uses=uses,
        with_values=values,
    )
    with computing():
        report = answer_grad.gradients(build, session.model, wanted, seed=session.seed)
    emit(report, options.output_of(output_format, output))
