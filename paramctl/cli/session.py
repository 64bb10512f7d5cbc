"""What every command does before it shows a report: choose the model, read it, and compute."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from paramctl.checks import check_seed
from paramctl.cli.options import check_dtype
from paramctl.cli.output import print_note, stdout_on_stderr
from paramctl.errors import failure
from paramctl.shards import is_part
from paramctl.sources.protocols import buildable
from paramctl.sources.resolve import Opening, choose, open_model

if TYPE_CHECKING:
    from paramctl.sources.protocols import Source
    from paramctl.tensors.building.built import Build


@dataclass(frozen=True, slots=True)
class Session:
    """The model that a command is about, with the seed and the dtype (None: the model's own) that count."""

    source: Source
    seed: int
    dtype: str | None

    @property
    def model(self) -> str:
        """MODEL as typed or as the default named it."""
        return self.source.model

    def builder(self) -> Build:
        """Return what builds the model, for what needs its values.

        Raises:
            ParamctlError: if the source builds none.

        """
        return partial(buildable(self.source).build, seed=self.seed, dtype=self.dtype)


def open_session(
    model: str | None,
    allow: list[str] | None,
    *,
    seed: int | None,
    dtype: str | None,
    writes: Mapping[str, str | None],
    sharded: str | None = None,
    device: str = "cpu",
    arguments: list[str] | None = None,
    key: str | None = None,
    weights: str | None = None,
    strict: bool = True,
) -> Session:
    """Open what MODEL means.

    Args:
        model: MODEL as typed.
        allow: what the spec may import, as typed.
        seed: the seed, where one was typed.
        dtype: the dtype, where one was typed.
        writes: the files that the command will write, by their options.
        sharded: the file instead of which it may write shards.
        device: where tensors with values go.
        arguments: those of a class or a function that MODEL names, as typed.
        key: the part of a checkpoint that is wanted, as typed.
        weights: the checkpoint that is loaded into the model, as typed.
        strict: whether every name of the model must be in that, and no other one.

    Raises:
        ParamctlError: if there is no such model, it or an option is wrong, or a file would be written over another.

    """
    if not strict and weights is None:
        raise failure("no checkpoint is loaded", where="--no-strict", hint="it speaks of --weights")
    if seed is not None:
        check_seed(seed, "--seed")
    check_dtype(dtype)
    chosen = choose(model)
    if chosen.note is not None:
        print_note(chosen.note)
    reads = {"MODEL": Opening(chosen.model).path}
    if weights is not None:
        reads["--weights"] = Path(weights)
    _check_writes(reads, writes, sharded)
    with stdout_on_stderr():  # layers of the user's own are imported, and may print
        source = open_model(chosen.model, allow or [], arguments or [], key=None if weights is not None else key)
        if weights is not None:
            from paramctl.sources.weights import with_weights

            source = with_weights(buildable(source), weights, key, strict=strict)
    if device != "cpu":
        from paramctl.tensors.device import check_device

        check_device(device)
    return Session(source, source.seed if seed is None else seed, dtype)


def _check_writes(reads: Mapping[str, Path], writes: Mapping[str, str | None], sharded: str | None) -> None:
    """Refuse to write over what is read, or two things into one file; devices and pipes take any number."""
    taken = {os.path.realpath(path): owner for owner, path in reads.items()}
    for option, file in writes.items():
        if file is None or file == "-":
            continue
        path = os.path.realpath(file)
        special = os.path.exists(path) and not os.path.isfile(path)  # noqa: PTH110, PTH113  these raise nothing
        if path in taken and not special:
            raise failure(f"{file} is the file of {taken[path]} too", where=option, hint="name another file")
        taken[path] = option
    if sharded is not None:
        out = Path(os.path.realpath(os.path.dirname(sharded)), os.path.basename(sharded))  # noqa: PTH119, PTH120
        for path, owner in taken.items():
            if is_part(Path(path), out):
                message = f"{Path(path).name} is the file of {owner} too"
                raise failure(message, where="--max-shard-size", hint="name another file")


@contextmanager
def computing(*, collecting: bool = True) -> Iterator[None]:
    """Run what computes a report: what code of the user's prints goes to stderr, and garbage is collected.

    Args:
        collecting: whether objects that hold each other are looked for; a listing makes many objects and none of
            those, and a look at them takes a fifth of its time.

    """
    if collecting:
        # From now on: `main` switches the collector off while torch is imported.
        gc.freeze()
        gc.enable()
    with stdout_on_stderr():
        yield
