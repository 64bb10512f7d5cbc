"""The MODEL argument -> the source that it means."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from paramctl.errors import ParamctlError, Problem, failure, nearest
from paramctl.references import Allowance, parse_reference
from paramctl.sources import examples
from paramctl.sources.no_spec import CHECKPOINT_SUFFIXES, SPEC_SUFFIXES, no_spec
from paramctl.sources.protocols import Source
from paramctl.sources.python import is_importable, open_python
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
    """What was typed to open a MODEL: itself, what may be imported for it, and the arguments of a class or function."""

    model: str
    allowed: Sequence[str] = ()
    arguments: Sequence[str] = ()

    @property
    def path(self) -> Path:
        """The file or the directory that MODEL names; in ``file.py:NAME`` that file."""
        place, colon, _ = self.model.rpartition(":")
        return Path(place if colon and place.endswith(".py") else self.model)

    @property
    def allowance(self) -> Allowance:
        """What `--allow` permits; its files are relative to the working directory."""
        return Allowance.of(list(self.allowed), Path.cwd())


def _open_spec(asked: Opening) -> Source:
    return read_file(asked.path, asked.model, asked.allowance)


_KINDS: Final[Mapping[str, Callable[[Opening], Source]]] = MappingProxyType(dict.fromkeys(SPEC_SUFFIXES, _open_spec))
"""What opens a file, by how its name ends; the longest suffix that fits counts."""


def open_model(model: str, allowed: Sequence[str] = (), arguments: Sequence[str] = ()) -> Source:
    """Open the model that a MODEL names.

    Args:
        model: the MODEL.
        allowed: the packages and files that a spec may import from, as typed.
        arguments: those of the class or the function that MODEL names, as typed.

    Raises:
        ParamctlError: if there is no such model, its spec is wrong, or it takes no arguments.

    """
    _check_allowed(allowed)
    asked = Opening(model, allowed, arguments)
    code = _code_of(asked)
    if code is not None:
        return code
    if arguments:
        hint = "they are those of a class or a function, where MODEL is file.py:NAME or package.module:NAME"
        raise failure(f"{model} takes no arguments", where="--arg", hint=hint)
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


def _code_of(asked: Opening) -> Source | None:
    """Open what is written as a name in Python code: it may be imported, since it was typed."""
    directory, text = Path(), asked.model
    if text.startswith(examples.PREFIX):
        directory, text = examples.directory(), text.removeprefix(examples.PREFIX)
    is_file = _suffix_of(text) is not None and os.path.exists(text)  # noqa: PTH110  never raises
    reference = None if is_file or ":" not in text else parse_reference(text, directory)
    if reference is None or (reference.path is None and not is_importable(reference.module)):
        return None
    return open_python(asked.model, reference, asked.arguments)


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
