"""What every command does before it shows a report: choose the model, read it, and compute."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paramctl.cli.options import check_dtype, check_seed
from paramctl.cli.output import print_note
from paramctl.sources.resolve import choose, open_model

if TYPE_CHECKING:
    from paramctl.spec.model import Spec


@dataclass(frozen=True, slots=True)
class Session:
    """The model that a command is about, with the seed and the dtype (None: the spec's) that count."""

    model: str
    spec: Spec
    seed: int
    dtype: str | None


def open_spec(
    model: str | None, allow: list[str] | None, *, seed: int | None, dtype: str | None, device: str = "cpu"
) -> Session:
    """Read the spec that MODEL means.

    Raises:
        ParamctlError: if there is no such model, or it or an option is wrong.

    """
    check_seed(seed)
    check_dtype(dtype)
    chosen = choose(model)
    if chosen.note is not None:
        print_note(chosen.note)
    with redirect_stdout(sys.stderr):  # layers of the user's own are imported, and may print
        source = open_model(chosen.model, allow or [])
    if device != "cpu":
        from paramctl.tensors.device import check_device

        check_device(device)
    return Session(source.model, source.spec, source.spec.seed if seed is None else seed, dtype)


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
    with redirect_stdout(sys.stderr):
        yield
