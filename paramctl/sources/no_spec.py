"""What a MODEL that cannot be opened may be meant for, and what would be right."""

from __future__ import annotations

from pathlib import Path

from paramctl.checkpoints.kinds import SUFFIXES
from paramctl.errors import ParamctlError, failure, nearest
from paramctl.references import parse_reference
from paramctl.sources import examples

SPEC_SUFFIXES = (".yaml", ".yml", ".json")
_KINDS = (
    "MODEL is a spec (.yaml, .yml or .json), - for a spec on stdin, example:NAME, a checkpoint (.safetensors, its "
    ".index.json, .pt, .pth, .bin or .ckpt), a directory that holds one, or Python code, file.py:NAME or "
    "package.module:NAME"
)


def no_spec(model: str) -> ParamctlError:
    """Return the error for a MODEL that is neither a spec by its name nor a directory.

    Raises:
        OSError: if a file system cannot have such a name.

    """
    if "://" in model:
        return failure(f"{model} is a URL", where="MODEL", hint="MODEL is a file: download the spec first")
    place, colon, name = model.rpartition(":")
    meant = _beside(model) or _exactly(name or model)
    if meant is not None:
        return failure(f"cannot tell what model {model!r} is", where="MODEL", hint=meant)
    if (file := place if colon else model).endswith(".py"):
        message = f"{model} names nothing in {file}" if colon else f"{model} is Python code; which name in it?"
        return failure(message, where="MODEL", hint=_in_file(file))
    from paramctl.sources.python import is_importable

    likely = _nearly(model)
    if likely is None and (reference := parse_reference(model, Path())):
        top = reference.dotted.partition(".")[0]
        dotted, _, last = model.rpartition(".")
        hint = f"it is looked for in {Path.cwd()} and among the installed packages"
        module = Path(f"{model.replace('.', '/')}.py")
        if not colon and module.is_file():
            hint = _in_file(str(module), model)
            return failure(f"{model} is a module; which name in it?", where="MODEL", hint=hint)
        if not colon and is_importable(top):
            return failure(f"{model} names nothing in a module", where="MODEL", hint=f"write {dotted}:{last}")
        if colon:
            return failure(f"there is no module {top!r}", where="MODEL", hint=hint)
    return failure(f"cannot tell what model {model!r} is", where="MODEL", hint=likely or _misspelt(model) or _KINDS)


def _in_file(file: str, place: str | None = None) -> str:
    """Return the hint that tells what can be named in a Python file, which MODEL calls `place` if not by its path."""
    from paramctl.sources.python import names_in

    names = names_in(file)
    place = place or file
    if not names:
        return f"write {place}:NAME, where NAME is a model, its class, or a function that returns one"
    return f"it defines {', '.join(names[:8])}{', …' * bool(names[8:])}: write {place}:{names[0]}"


def _beside(model: str) -> str | None:
    """Return the hint that names a spec or a checkpoint where only the suffix is missing."""
    suffixes = (*SPEC_SUFFIXES, *SUFFIXES)
    files = [name for name in (model + suffix for suffix in suffixes) if model and Path(name).is_file()]
    return f"did you mean {' or '.join(map(repr, files))}?" if files else None


def _misspelt(model: str) -> str | None:
    """Return the hint for a file whose suffix is nearly one that tells a kind."""
    path = Path(model)
    meant = nearest(path.suffix, (*SPEC_SUFFIXES, *SUFFIXES)) if path.suffix else None
    if meant is None:
        return None
    known = [each.name for each in path.parent.glob("*") if each.name.endswith((*SPEC_SUFFIXES, *SUFFIXES))]
    return nearest(path.name, known) or f"the suffix {path.suffix!r} tells no kind of model: {meant}"


def _exactly(name: str) -> str | None:
    return f"did you mean '{examples.PREFIX}{name}'?" if name in examples.names() else None


def _nearly(name: str) -> str | None:
    likely = [each for each in examples.names() if nearest(name, [each])]
    return nearest(f"{examples.PREFIX}{name}", [f"{examples.PREFIX}{each}" for each in likely])
