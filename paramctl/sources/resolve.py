"""The MODEL argument -> the source that it means."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from paramctl.checkpoints.kinds import SUFFIXES
from paramctl.errors import ParamctlError, Problem, failure, nearest
from paramctl.references import Allowance
from paramctl.sources import examples
from paramctl.sources.no_spec import SPEC_SUFFIXES, no_spec
from paramctl.sources.protocols import Source

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
    """What was typed to open a MODEL: itself, what may be imported for it, and which part of a checkpoint is wanted."""

    model: str
    allowed: Sequence[str] = ()
    key: str | None = None

    @property
    def path(self) -> Path:
        """The file or the directory that MODEL names."""
        return Path(self.model)

    @property
    def allowance(self) -> Allowance:
        """What `--allow` permits; its files are relative to the working directory."""
        return Allowance.of(list(self.allowed), Path.cwd())


# What reads one kind of MODEL is imported for it alone: a checkpoint needs no YAML, and a spec no unpickler.


def _open_spec(asked: Opening, path: Path | None = None) -> Source:
    from paramctl.sources.spec import read_file

    _refuse_key(asked)
    return read_file(path or asked.path, asked.model, asked.allowance)


def _refuse_key(asked: Opening) -> None:
    if asked.key is not None:
        raise failure(f"{asked.model} has no parts", where="--key", hint="it picks a part of a checkpoint")


def _open_checkpoint(asked: Opening) -> Source:
    from paramctl.sources.checkpoint import open_checkpoint

    return open_checkpoint(asked.path, asked.model, asked.key)


_KINDS: Final[Mapping[str, Callable[[Opening], Source]]] = MappingProxyType(
    {**dict.fromkeys(SPEC_SUFFIXES, _open_spec), **dict.fromkeys(SUFFIXES, _open_checkpoint)}
)
"""What opens a file, by how its name ends; the longest suffix that fits counts."""


def open_model(model: str, allowed: Sequence[str] = (), *, key: str | None = None) -> Source:
    """Open the model that a MODEL names.

    Args:
        model: the MODEL.
        allowed: the packages and files that a spec may import from, as typed.
        key: the part of a checkpoint that is wanted.

    Raises:
        ParamctlError: if there is no such model, or its spec or its file is wrong.

    """
    _check_allowed(allowed)
    asked = Opening(model, allowed, key)
    if model == "-":
        from paramctl.sources.spec import read_stdin

        _refuse_key(asked)
        return read_stdin(asked.allowance)
    if model.startswith(examples.PREFIX):
        path = examples.find(model.removeprefix(examples.PREFIX))
        shipped = [str(each) for each in path.parent.glob("*.py")]
        return _open_spec(asked._replace(allowed=(*allowed, *shipped)), path)
    try:
        if model and asked.path.is_dir():
            return _open_directory(asked)
        suffix = _suffix_of(model)
        if suffix is None or "://" in model:
            raise no_spec(model)
        if not asked.path.exists():
            raise failure(f"there is no file {model}", where="MODEL", hint=_nearby(asked.path))
    except OSError as error:
        raise failure(f"cannot read {model}: {error.strerror}", where="MODEL") from error
    return _KINDS[suffix](asked)


def _open_directory(asked: Opening) -> Source:
    from paramctl.sources.checkpoint import open_directory

    source = open_directory(asked.path, asked.model, asked.key)
    if source is None:
        message = f"{asked.model} is a directory, and holds no checkpoint"
        raise failure(message, where="MODEL", hint=_in_directory(asked.path))
    return source


def _suffix_of(model: str) -> str | None:
    """Return the longest of the suffixes that tell a kind of MODEL: an index of a checkpoint ends in .json, too."""
    return next((suffix for suffix in sorted(_KINDS, key=len, reverse=True) if model.endswith(suffix)), None)


def _check_allowed(allowed: Sequence[str]) -> None:
    """Refuse to allow a file that is not there: it is misspelt, and the spec would be told that its own is forbidden.

    Raises:
        ParamctlError: naming every such file.

    """
    missing = [item for item in allowed if item.endswith(".py") and not os.path.isfile(item)]  # noqa: PTH113  never raises
    if missing:
        raise ParamctlError(*(Problem(message=f"there is no file {item}", where="--allow") for item in missing))


def _files(directory: Path, suffixes: Iterable[str]) -> list[str]:
    try:
        return sorted(each.name for each in directory.iterdir() if each.name.endswith(tuple(suffixes)))
    except OSError:
        return []


def _in_directory(directory: Path) -> str | None:
    specs = _files(directory, SPEC_SUFFIXES)
    return f"it holds {', '.join(str(directory / name) for name in specs[:5])}" if specs else None


def _nearby(path: Path) -> str | None:
    close = nearest(path.name, _files(path.parent, _KINDS))
    if close is None and path.stem in examples.names():
        return f"the shipped one is {examples.PREFIX}{path.stem}"
    return close
