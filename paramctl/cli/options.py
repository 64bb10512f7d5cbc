"""The arguments and options that commands share."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final

import typer

from paramctl.cli.output import Output
from paramctl.errors import failure, nearest
from paramctl.records import FLOATING_DTYPES
from paramctl.render.formats import OutputFormat
from paramctl.shards import parse_size

_MODEL = (
    "A spec (.yaml, .yml, .json), - for a spec on stdin, example:NAME, a checkpoint (.safetensors, its .index.json, "
    ".pt, .pth, .bin, .ckpt), a directory that holds one, or Python code, file.py:NAME or package.module:NAME, where "
    "NAME is a model, its class, or a function that returns one. "
    "Default: $PARAMCTL_MODEL, else ./paramctl.yaml, else example:mlp."
)
_REPORT = "Report"
_MODEL_PANEL = "Model"

Model = Annotated[str | None, typer.Argument(metavar="MODEL", help=_MODEL, show_default=False)]
Format = Annotated[
    OutputFormat | None,
    typer.Option(
        "--format",
        "-f",
        help="How the report is written. Default: as the suffix of --output says (.json, .csv, .md), else table.",
        rich_help_panel=_REPORT,
    ),
]
File = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write the report to a file.", rich_help_panel=_REPORT),
]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        "--allow",
        metavar="PACKAGE|FILE.py",
        help="Let the spec import code of your own from here. Repeatable.",
        rich_help_panel=_MODEL_PANEL,
    ),
]
Arg = Annotated[
    list[str] | None,
    typer.Option(
        "--arg",
        metavar="KEY=VALUE",
        help="An argument of the class or function that MODEL names; the value is YAML. Repeatable.",
        rich_help_panel=_MODEL_PANEL,
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="PATH",
        help="The part of a checkpoint that is meant, such as optimizer. Default: the weights.",
        rich_help_panel=_MODEL_PANEL,
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="CHECKPOINT",
        help="Load a checkpoint into the model; every name and every shape must fit.",
        rich_help_panel=_MODEL_PANEL,
    ),
]
NoStrict = Annotated[
    bool,
    typer.Option(
        "--no-strict",
        help="Load what --weights has; what it lacks keeps its own values, what else it holds is left out.",
        rich_help_panel=_MODEL_PANEL,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Seed of everything drawn. Default: the spec's, else 0.", rich_help_panel=_MODEL_PANEL
    ),
]
Device = Annotated[
    str,
    typer.Option(
        metavar="DEVICE",
        help="Where forward and backward run; values are always drawn on the CPU.",
        rich_help_panel=_MODEL_PANEL,
    ),
]
CheckedDevice = Annotated[
    str,
    typer.Option(
        metavar="DEVICE",
        help="Only checked to be there, as for grad: values are made and measured on the CPU.",
        rich_help_panel=_MODEL_PANEL,
    ),
]
Dtype = Annotated[
    str | None,
    typer.Option(
        metavar="DTYPE", help="Dtype of floating parameters. Default: the model's.", rich_help_panel=_MODEL_PANEL
    ),
]
Values = Annotated[bool, typer.Option("--values", help="Show the elements, as torch prints them.")]
Hist = Annotated[
    bool, typer.Option("--hist", help="Show their distribution from min to max, in JSON and CSV with its numbers.")
]


_SUFFIXES: Final = MappingProxyType(
    {".json": OutputFormat.JSON, ".csv": OutputFormat.CSV, ".md": OutputFormat.MARKDOWN}
)


def output_of(output_format: OutputFormat | None, file: str | None) -> Output:
    """Return where a report goes, and in which format: the one asked for, else that of the file's suffix."""
    path = None if file is None else Path(file)
    told = OutputFormat.TABLE if path is None else _SUFFIXES.get(path.suffix.lower(), OutputFormat.TABLE)
    return Output(output_format or told, path)


def check_dtype(dtype: str | None) -> str | None:
    """Return the dtype if floating parameters can have it.

    Raises:
        ParamctlError: naming those that they can have.

    """
    if dtype is not None and dtype not in FLOATING_DTYPES:
        hint = nearest(dtype.removeprefix("torch."), FLOATING_DTYPES) or f"one of {', '.join(FLOATING_DTYPES)}"
        raise failure(f"{dtype!r} is no dtype of floating parameters", where="--dtype", hint=hint)
    return dtype


def check_max_shard_size(size: str | None, out: str | None) -> int | None:
    """Return the most bytes of a shard; None where no shards are asked for.

    Raises:
        ParamctlError: if it is no size, or nothing is written to safetensors files.

    """
    option = "--max-shard-size"
    if size is None:
        return None
    if out is None:
        hint = "name the file with --out, such as --out model.safetensors"
        raise failure("nothing is written that shards could be made of", where=option, hint=hint)
    if Path(out).suffix != ".safetensors":
        raise failure(f"shards are safetensors files, and {out} is none", where=option, hint="--out model.safetensors")
    return parse_size(size, option)
