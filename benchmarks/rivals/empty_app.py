"""A Typer application with the commands and options of paramctl, and empty bodies."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"


class SortKey(StrEnum):
    NAME = "name"
    NUMEL = "numel"
    NBYTES = "nbytes"


class Loss(StrEnum):
    SUM = "sum"
    MEAN = "mean"
    MSE = "mse"
    CROSS_ENTROPY = "cross_entropy"


class Autocast(StrEnum):
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


class Rng(StrEnum):
    STREAMS = "streams"
    TORCH = "torch"


class Mode(StrEnum):
    TRAIN = "train"
    EVAL = "eval"


class Fan(StrEnum):
    """Fans."""

    LAYER = "layer"
    TORCH = "torch"


Model = Annotated[str | None, typer.Argument(help="The model.")]
Texts = Annotated[list[str] | None, typer.Option(help="Some texts.")]
Text = Annotated[str | None, typer.Option(help="A text.")]
Number = Annotated[int | None, typer.Option(help="A number.")]
Limit = Annotated[float | None, typer.Option(help="A number.")]
Output = Annotated[Format, typer.Option("--format", "-f", help="The format.")]
File = Annotated[str | None, typer.Option("--output", "-o", help="A file.")]

app = typer.Typer(
    name="empty",
    help="Nothing.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def show_version(wanted: bool) -> None:
    if wanted:
        typer.echo("empty 0.1.0")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="The version.", callback=show_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command("list")
def list_parameters(
    model: Model = None,
    include: Texts = None,
    exclude: Texts = None,
    layer: Text = None,
    buffers: Annotated[bool, typer.Option("--buffers", help="A flag.")] = False,
    stats: Annotated[bool, typer.Option("--stats", help="A flag.")] = False,
    values: Annotated[bool, typer.Option("--values", help="A flag.")] = False,
    hist: Annotated[bool, typer.Option("--hist", help="A flag.")] = False,
    sort: Annotated[SortKey | None, typer.Option(help="A key.")] = None,
    tree: Annotated[bool, typer.Option("--tree", help="A flag.")] = False,
    arg: Texts = None,
    allow: Texts = None,
    key: Text = None,
    weights: Text = None,
    no_strict: Annotated[bool, typer.Option("--no-strict", help="A flag.")] = False,
    seed: Number = None,
    device: Text = "cpu",
    dtype: Text = None,
    output_format: Output = Format.TABLE,
    output: File = None,
) -> None:
    """Do nothing."""


@app.command()
def init(
    model: Model = None,
    scheme: Text = None,
    rule: Texts = None,
    out: Text = None,
    max_shard_size: Text = None,
    threads: Number = None,
    fan: Annotated[Fan | None, typer.Option(help="Fans.")] = None,
    rng: Annotated[Rng, typer.Option(help="A source.")] = Rng.STREAMS,
    values: Annotated[bool, typer.Option("--values", help="A flag.")] = False,
    hist: Annotated[bool, typer.Option("--hist", help="A flag.")] = False,
    arg: Texts = None,
    allow: Texts = None,
    key: Text = None,
    weights: Text = None,
    no_strict: Annotated[bool, typer.Option("--no-strict", help="A flag.")] = False,
    seed: Number = None,
    device: Text = "cpu",
    dtype: Text = None,
    output_format: Output = Format.TABLE,
    output: File = None,
) -> None:
    """Do nothing."""


@app.command()
def shared(
    model: Model = None,
    by_value: Annotated[bool, typer.Option("--by-value", help="A flag.")] = False,
    survival: Annotated[bool, typer.Option("--survival", help="A flag.")] = False,
    expect: Texts = None,
    expect_none: Annotated[bool, typer.Option("--expect-none", help="A flag.")] = False,
    arg: Texts = None,
    allow: Texts = None,
    key: Text = None,
    seed: Number = None,
    device: Text = "cpu",
    dtype: Text = None,
    output_format: Output = Format.TABLE,
    output: File = None,
) -> None:
    """Do nothing."""


@app.command()
def grad(
    model: Model = None,
    input_shape: Text = None,
    fill: Text = None,
    given: Annotated[list[str] | None, typer.Option("--input", help="Some texts.")] = None,
    loss: Annotated[Loss | None, typer.Option(help="A loss.")] = None,
    autocast: Annotated[Autocast | None, typer.Option(help="A dtype.")] = None,
    passes: Annotated[int, typer.Option(min=1, help="A number.")] = 1,
    uses: Annotated[bool, typer.Option("--uses", help="A flag.")] = False,
    flow: Annotated[bool, typer.Option("--flow", help="A flag.")] = False,
    health: Annotated[bool, typer.Option("--health", help="A flag.")] = False,
    vanishing: Limit = None,
    exploding: Limit = None,
    max_ratio: Limit = None,
    fail_on: Text = None,
    values: Annotated[bool, typer.Option("--values", help="A flag.")] = False,
    hist: Annotated[bool, typer.Option("--hist", help="A flag.")] = False,
    mode: Annotated[Mode, typer.Option(help="A mode.")] = Mode.TRAIN,
    arg: Texts = None,
    allow: Texts = None,
    key: Text = None,
    weights: Text = None,
    no_strict: Annotated[bool, typer.Option("--no-strict", help="A flag.")] = False,
    seed: Number = None,
    device: Text = "cpu",
    dtype: Text = None,
    output_format: Output = Format.TABLE,
    output: File = None,
) -> None:
    """Do nothing."""


@app.command()
def schemes(output_format: Output = Format.TABLE, output: File = None) -> None:
    """Do nothing."""


@app.command()
def schema(output: File = None) -> None:
    """Do nothing."""


if __name__ == "__main__":
    app()
