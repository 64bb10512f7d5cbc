"""Code of the user's own: importing it, and telling a failure in it from one of ours."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from types import ModuleType
from typing import ParamSpec, TypeVar

import torch

from paramctl.errors import ParamctlError, Terminated, failure, few, nearest
from paramctl.references import Reference

_P = ParamSpec("_P")
_R = TypeVar("_R")

_OURS_AND_TORCHS = (
    f"{Path(__file__).resolve().parents[1]}{os.sep}",
    f"{Path(torch.__file__).resolve().parent}{os.sep}",
    "<frozen",
)
_PYTHONS = f"{Path(os.__file__).resolve().parent}{os.sep}"
_INSTALLED = (f"{_PYTHONS}site-packages{os.sep}", f"{_PYTHONS}dist-packages{os.sep}")
_MOST_FRAMES = 12
_MISSING = object()


def load(reference: Reference) -> object:
    """Import what a reference names.

    The caller has checked that the user allowed it. Its code runs as `as_script` says.

    Raises:
        ParamctlError: if the file, module or name is missing, or if its code fails.

    """
    with as_script(reference):
        if reference.path is None:
            module, rest = _import_longest(reference)
            return _attribute(module, rest, module.__name__) if rest else module
        path = reference.path
        try:
            known = path.is_file()
        except OSError as error:  # a name that no file can have
            raise failure(f"cannot read {path}: {error.strerror}") from error
        if not known:
            raise failure(f"there is no file {path}", hint=_file_like(path))
        try:
            module = call_theirs(f"importing {path}", _import_file, path.resolve())
        except ParamctlError as error:
            raise _as_module(error, path.resolve(), reference.name) from error
        return _attribute(module, reference.name, str(path))


@contextmanager
def as_script(reference: Reference) -> Iterator[None]:
    """Let code see what it sees as a script without arguments, for a while.

    The file's own directory, or the working directory for a package, stands first on `sys.path`, and `sys.argv` has
    none of our words, which a parser of the user's own would refuse.
    """
    directory = str(Path.cwd()) if reference.path is None else os.path.dirname(os.path.realpath(reference.path))  # noqa: PTH120  these raise nothing
    sys.path.insert(0, directory)
    words, sys.argv = sys.argv, [str(reference.path or reference)]
    try:
        yield
    finally:
        sys.argv = words
        if directory in sys.path:  # what else the user's code has put there is still wanted
            sys.path.remove(directory)


def call_theirs(doing: str, function: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
    """Call code of the user's; report what it raises with the user's own frames.

    Args:
        doing: what is being done, for the message: ``importing my_init.py``.
        function: what to call.
        args: its arguments.
        kwargs: its keyword arguments.

    Raises:
        ParamctlError: with the user's frames, innermost last, and the exception's type and message.

    """
    try:
        return function(*args, **kwargs)
    except (ParamctlError, KeyboardInterrupt, Terminated):
        raise
    except BaseException as error:  # also what pytest's skip() and an exit raise
        hint = their_frames(error)
        raise failure(f"{doing} failed: {describe(error)}", hint=hint) from error


def describe(error: BaseException) -> str:
    """Return an exception's type and message in one line."""
    try:
        message = " ".join(str(error).split())
    except Exception:  # noqa: BLE001  how an exception of theirs is written is code of theirs
        message = ""
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def their_frames(error: BaseException) -> str | None:
    """List the frames of the user's own code, ``faulty.py:20 in breaks``, innermost last."""
    frames = [
        f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
        if _is_theirs(frame.filename)
    ]
    if isinstance(error, SyntaxError) and error.filename:
        frames.append(f"{Path(error.filename).name}:{error.lineno}")
    if len(frames) > _MOST_FRAMES:  # what calls itself without an end
        half = _MOST_FRAMES // 2
        frames[half:-half] = [f"… {len(frames) - 2 * half:,} more"]
    return f"raised at {', '.join(frames)}" if frames else None


def _is_theirs(file: str) -> bool:
    """Tell whether code is the user's own, or that of a package that they have installed."""
    return not file.startswith(_OURS_AND_TORCHS) and (not file.startswith(_PYTHONS) or file.startswith(_INSTALLED))


def _import_file(path: Path) -> ModuleType:
    """Import a file once, under a name of its own: one named like a module of the library must not take its place."""
    name = f"_paramctl_{path.stem}_{hashlib.sha256(str(path).encode(errors='surrogateescape')).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, "a reference to a file ends in .py"
    assert spec.loader is not None, "and has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _as_module(error: ParamctlError, path: Path, name: str) -> ParamctlError:
    """Return the error of a file's import, with how a file of a package is named where it needs to be one."""
    cause = error.__cause__
    if not isinstance(cause, ImportError) or "relative import" not in str(cause):
        return error
    packages = list(takewhile(lambda each: (each / "__init__.py").is_file(), path.parents)) or [path.parent]
    module = ".".join([*(each.name for each in reversed(packages)), path.stem])
    place = packages[-1].parent
    hint = f"a file of a package is named as package.module:NAME: write {module}:{name}, in the directory {place}"
    return ParamctlError(*(replace(each, hint=hint) for each in error.problems))


def _import_longest(reference: Reference) -> tuple[ModuleType, str]:
    """Import the longest part of a dotted path that is a module; return it and the rest of the path."""
    if reference.module:
        return _import_module(reference.module), reference.name
    first, *rest = reference.name.split(".")
    module = _import_module(first)
    while rest and _is_module(f"{module.__name__}.{rest[0]}"):
        module = _import_module(f"{module.__name__}.{rest.pop(0)}")
    return module, ".".join(rest)


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError, AttributeError):
        return False


def _import_module(name: str) -> ModuleType:
    top = name.partition(".")[0]
    if not _is_module(top):
        raise _missing_module(top)
    try:
        return call_theirs(f"importing {name}", importlib.import_module, name)
    except ParamctlError as error:
        cause = error.__cause__
        if isinstance(cause, ModuleNotFoundError) and cause.name and f"{name}.".startswith(f"{cause.name}."):
            raise _missing_module(cause.name) from error
        raise


def _file_like(path: Path) -> str | None:
    try:
        return nearest(path.name, [each.name for each in path.parent.glob("*.py")])
    except OSError:
        return None


def _missing_module(name: str) -> ParamctlError:
    hint = f"it is looked for in {Path.cwd()} and among the installed packages"
    package, dot, last = name.rpartition(".")
    if dot:
        beside = [each.name for each in pkgutil.iter_modules(getattr(sys.modules.get(package), "__path__", ()))]
        hint = nearest(last, beside) or f"{package} has {few(beside, 8) or 'no modules'}"
    return failure(f"there is no module {name!r}", hint=hint)


def _attribute(module: ModuleType, dotted: str, place: str) -> object:
    found: object = module
    for name in dotted.split("."):
        value = call_theirs(f"importing {place}:{dotted}", getattr, found, name, _MISSING)
        if value is _MISSING:
            public = [each for each in dir(found) if not each.startswith("__")]
            raise failure(f"{place} has no {dotted!r}", hint=nearest(name, public) or _defined_in(found))
        found = value
    return found


def _defined_in(found: object) -> str | None:
    """List the classes and functions that a module defines itself."""
    if not isinstance(found, ModuleType):
        return None
    own = [name for name, value in vars(found).items() if getattr(value, "__module__", None) == found.__name__]
    return f"it defines {', '.join(own[:8])}{', …' * bool(own[8:])}" if own else None
