"""The Typer application and its commands."""

from __future__ import annotations

from typing import Annotated

import typer

from paramctl import __version__
from paramctl.cli.commands import grad, init, listing, schema, schemes, shared

app = typer.Typer(
    name="paramctl",
    help="What is in this model's parameters? List them, initialise them, find the shared ones, see their gradients.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "Exit codes: 0 done, 1 a check found something, 2 the command or its input is wrong, 3 a bug, 130 interrupted."
    ),
)
app.command("list")(listing.list_parameters)
app.command("init")(init.init)
app.command("shared")(shared.shared)
app.command("grad")(grad.grad)
app.command("schemes")(schemes.schemes)
app.command("schema")(schema.schema)


def _print_version(wanted: bool) -> None:  # noqa: FBT001  Typer calls it with the option's value
    if wanted:
        typer.echo(f"paramctl {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass
