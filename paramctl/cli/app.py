"""The Typer application and its commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Final

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
_OF_A_MODEL: Final[Mapping[str, Callable[..., None]]] = MappingProxyType(
    {"list": listing.list_parameters, "init": init.init, "shared": shared.shared, "grad": grad.grad}
)
"""The commands whose first parameter is MODEL."""
for _name, _command in _OF_A_MODEL.items():
    app.command(_name)(_command)
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


def call(words: Sequence[str]) -> None:
    """Run what the words of a command line ask for.

    A command that is told nothing but its MODEL is called as the function that it is: Typer has pydantic convert every
    parameter, also what was not given, and importing that takes as long as all that a short listing does.

    Raises:
        ParamctlError: if the command finds its input wrong.
        typer.Exit: with the exit code, where that is not 0.
        SystemExit: where Typer has dealt with it.

    """
    match words:
        case [name, model] if name in _OF_A_MODEL and not model.startswith("-"):
            _OF_A_MODEL[name](model)
        case _:
            app(words, prog_name="paramctl")
