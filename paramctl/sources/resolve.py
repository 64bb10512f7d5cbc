"""The MODEL argument -> the source that it means."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from paramctl.checkpoints.directory import holds_checkpoint
from paramctl.checkpoints.kinds import SUFFIXES
from paramctl.errors import ParamctlError, Problem, failure, few, nearest
from paramctl.references import Allowance, parse_reference
from paramctl.sources import examples
from paramctl.sources.no_spec import SPEC_SUFFIXES, no_spec
from paramctl.sources.protocols import Source

VARIABLE = "PARAMCTL_MODEL"
DEFAULT_FILE = "paramctl.yaml"
DEFAULT_EXAMPLE = "example:mlp"
_MOST_LOOKED_INTO: Final = 100


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
    """What was typed to open a MODEL.

    Attributes:
        model: the MODEL.
        allowed: what may be imported for it.
        arguments: those of the class or the function that it names.
        key: the part of a checkpoint that is wanted.

    """

    model: str
    allowed: Sequence[str] = ()
    arguments: Sequence[str] = ()
    key: str | None = None

    @property
    def path(self) -> Path:
        """The file or the directory that MODEL names; in ``file.py:NAME`` that file."""
        place, colon, _ = self.model.rpartition(":")
        return Path(place if colon and place.endswith(".py") else self.model)

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


def open_model(
    model: str, allowed: Sequence[str] = (), arguments: Sequence[str] = (), *, key: str | None = None
) -> Source:
    """Open the model that a MODEL names.

    Args:
        model: the MODEL.
        allowed: the packages and files that a spec may import from, as typed.
        arguments: those of the class or the function that MODEL names, as typed.
        key: the part of a checkpoint that is wanted.

    Raises:
        ParamctlError: if there is no such model, its spec or its file is wrong, or it takes no arguments.

    """
    _check_allowed(allowed)
    asked = Opening(model, allowed, arguments, key)
    code = _code_of(asked)
    if code is not None:
        _refuse_key(asked)
        return code
    if arguments:
        hint = "they are those of a class or a function, where MODEL is file.py:NAME or package.module:NAME"
        raise failure(f"{model} takes no arguments", where="--arg", hint=hint)
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
            if asked.path.is_symlink():
                raise failure(f"{model} is a link that leads to no file", where="MODEL")
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


def _code_of(asked: Opening) -> Source | None:
    """Open what is written as a name in Python code: it may be imported, since it was typed."""
    directory, text = Path(), asked.model
    if text.startswith(examples.PREFIX):
        directory, text = examples.directory(), text.removeprefix(examples.PREFIX)
    is_file = _suffix_of(text) is not None and os.path.exists(text)  # noqa: PTH110  never raises
    reference = None if is_file or ":" not in text else parse_reference(text, directory)
    if reference is None:
        return None
    from paramctl.sources.python import is_importable, open_python

    if reference.path is None and not is_importable(reference.module):
        return None
    return open_python(asked.model, reference, asked.arguments)


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
    if specs:
        return f"it holds {', '.join(str(directory / name) for name in specs[:5])}"
    below = [str(each) for each in _directories(directory) if holds_checkpoint(each)]
    return f"below it are {few(below)}: name one" if below else None


def _directories(directory: Path) -> Iterable[Path]:
    try:
        return sorted(each for each in directory.iterdir() if each.is_dir())[:_MOST_LOOKED_INTO]
    except OSError:
        return ()


def _nearby(path: Path) -> str | None:
    close = nearest(path.name, _files(path.parent, _KINDS))
    if close is None and path.stem in examples.names():
        return f"the shipped one is {examples.PREFIX}{path.stem}"
    return close
