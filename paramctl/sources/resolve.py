"""The MODEL argument -> the source that it means."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from paramctl.errors import ParamctlError, Problem, failure, nearest
from paramctl.references import Allowance
from paramctl.sources import examples
from paramctl.sources.no_spec import CHECKPOINT_SUFFIXES, SPEC_SUFFIXES, no_spec
from paramctl.sources.protocols import Source
from paramctl.sources.spec import read_file, read_stdin

VARIABLE = "PARAMCTL_MODEL"
DEFAULT_FILE = "paramctl.yaml"
DEFAULT_EXAMPLE = "example:mlp"


@dataclass(frozen=True, slots=True)
class Chosen:
    """A MODEL, and a note where the user did not type it."""

    model: str
    note: str | None = None


def choose(typed: str | None) -> Chosen:
    """Return the MODEL that was typed, else that of the environment, of the working directory, or the example."""
    if typed is not None:
        return Chosen(typed)
    if os.environ.get(VARIABLE):
        model = os.environ[VARIABLE]
        return Chosen(model, f"no MODEL given: taking {model}, from ${VARIABLE}")
    if Path(DEFAULT_FILE).is_file():
        return Chosen(DEFAULT_FILE, f"no MODEL given: taking ./{DEFAULT_FILE}")
    return Chosen(DEFAULT_EXAMPLE, f"no MODEL given: taking {DEFAULT_EXAMPLE}")


class Opening(NamedTuple):
    """What was typed to open a MODEL: itself, and what may be imported for it."""

    model: str
    allowed: Sequence[str] = ()

    @property
    def path(self) -> Path:
        """The file or the directory that MODEL names."""
        return Path(self.model)

    @property
    def allowance(self) -> Allowance:
        """What `--allow` permits; its files are relative to the working directory."""
        return Allowance.of(list(self.allowed), Path.cwd())


def _open_spec(asked: Opening) -> Source:
    return read_file(asked.path, asked.model, asked.allowance)


_KINDS: Final[Mapping[str, Callable[[Opening], Source]]] = MappingProxyType(dict.fromkeys(SPEC_SUFFIXES, _open_spec))
"""What opens a file, by how its name ends; the longest suffix that fits counts."""


def open_model(model: str, allowed: Sequence[str] = ()) -> Source:
    """Open the model that a MODEL names.

    Args:
        model: the MODEL.
        allowed: the packages and files that a spec may import from, as typed.

    Raises:
        ParamctlError: if there is no such model, or its spec is wrong.

    """
    _check_allowed(allowed)
    asked = Opening(model, allowed)
    if model == "-":
        return read_stdin(asked.allowance)
    if model.startswith(examples.PREFIX):
        path = examples.find(model.removeprefix(examples.PREFIX))
        shipped = [str(each) for each in path.parent.glob("*.py")]
        return read_file(path, model, asked._replace(allowed=(*allowed, *shipped)).allowance)
    try:
        if model and asked.path.is_dir():
            raise failure(f"{model} is a directory, not a spec", where="MODEL", hint=_in_directory(asked.path))
        suffix = _suffix_of(model)
        if suffix is None or suffix not in _KINDS or "://" in model:
            raise no_spec(model)
        if not asked.path.exists():
            raise failure(f"there is no file {model}", where="MODEL", hint=_nearby(asked.path))
    except OSError as error:
        raise failure(f"cannot read {model}: {error.strerror}", where="MODEL") from error
    return _KINDS[suffix](asked)


def _suffix_of(model: str) -> str | None:
    """Return the longest of the suffixes that tell a kind of MODEL: an index of a checkpoint ends in .json, too."""
    known = sorted({*_KINDS, *CHECKPOINT_SUFFIXES}, key=len, reverse=True)
    return next((suffix for suffix in known if model.endswith(suffix)), None)


def _check_allowed(allowed: Sequence[str]) -> None:
    """Refuse to allow a file that is not there: it is misspelt, and the spec would be told that its own is forbidden.

    Raises:
        ParamctlError: naming every such file.

    """
    missing = [item for item in allowed if item.endswith(".py") and not os.path.isfile(item)]  # noqa: PTH113  never raises
    if missing:
        raise ParamctlError(*(Problem(message=f"there is no file {item}", where="--allow") for item in missing))


def _specs(directory: Path) -> list[str]:
    try:
        return sorted(each.name for each in directory.iterdir() if each.suffix in SPEC_SUFFIXES)
    except OSError:
        return []


def _in_directory(directory: Path) -> str | None:
    specs = _specs(directory)
    return f"it holds {', '.join(str(directory / name) for name in specs[:5])}" if specs else None


def _nearby(path: Path) -> str | None:
    close = nearest(path.name, _specs(path.parent))
    if close is None and path.stem in examples.names():
        return f"the shipped one is {examples.PREFIX}{path.stem}"
    return close
