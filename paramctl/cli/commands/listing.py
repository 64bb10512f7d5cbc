"""`paramctl list`."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import typer

from paramctl.cli import options
from paramctl.cli.output import emit
from paramctl.errors import failure
from paramctl.render.formats import OutputFormat


class SortKey(StrEnum):
    """What rows are sorted by."""

    NAME = "name"
    NUMEL = "numel"
    NBYTES = "nbytes"


def list_parameters(
    model: options.Model = None,
    include: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Only names that match. Repeatable.")
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="No names that match. Repeatable.")] = None,
    layer: Annotated[
        str | None, typer.Option(metavar="PATH", help="One module, with the names that it has by itself.")
    ] = None,
    buffers: Annotated[bool, typer.Option("--buffers", help="Buffers, too.")] = False,
    stats: Annotated[
        bool,
        typer.Option("--stats", help="Mean, std (the population's, correction=0), min, max and norm of the values."),
    ] = False,
    values: options.Values = False,
    hist: Annotated[
        bool,
        typer.Option("--hist", help="--stats with the distribution from min to max, in JSON and CSV with its numbers."),
    ] = False,
    sort: Annotated[SortKey | None, typer.Option(help="Sizes largest first. Default: model order.")] = None,
    tree: Annotated[bool, typer.Option("--tree", help="The modules as a tree, equal blocks folded.")] = False,
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
    """List the parameters: name, module, shape, dtype, size. Nothing is allocated for it."""
    target = options.output_of(output_format, output)
    if tree:
        _check_tree(target.format, {"--stats": stats, "--hist": hist, "--values": values, "--sort": sort is not None})
    from paramctl.analysis.listing import ListOptions
    from paramctl.cli.progress import watch
    from paramctl.cli.session import computing, open_session
    from paramctl.sources import listing

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
    wanted = ListOptions(
        include=include or (),
        exclude=exclude or (),
        layer=layer,
        buffers=buffers,
        sort=sort.value if sort else None,
        tree=tree,
        stats=stats,
        values=values,
        hist=hist,
    )
    with computing(collecting=wanted.needs_values):
        report = listing.list_parameters(session.source, wanted, seed=session.seed, dtype=session.dtype, watch=watch)
    emit(report, target)


def _check_tree(output_format: OutputFormat, asked: Mapping[str, bool]) -> None:
    """Refuse what a tree does not show in this format.

    Raises:
        ParamctlError: naming the options that do not go together.

    """
    if output_format in {OutputFormat.CSV, OutputFormat.MARKDOWN}:
        raise failure("a tree has no rows", where="--tree", hint="write it with --format table or json")
    unseen = [option for option, is_asked in asked.items() if is_asked]
    if unseen and output_format is OutputFormat.TABLE:
        hint = "leave out one or the other, or write both with --format json"
        raise failure(f"a tree shows nothing of {' and '.join(unseen)}", where="--tree", hint=hint)
