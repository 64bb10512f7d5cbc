"""What a MODEL that is no spec may be meant for, and what would be right."""

from __future__ import annotations

from pathlib import Path

from paramctl.errors import ParamctlError, failure, nearest
from paramctl.references import parse_reference
from paramctl.sources import examples

SPEC_SUFFIXES = (".yaml", ".yml", ".json")
CHECKPOINT_SUFFIXES = (
    ".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".safetensors.index.json", ".bin.index.json",
)  # fmt: skip
"""What ends the name of a checkpoint, or of its index, which is no spec though it is JSON."""
_KINDS = "MODEL is a spec (.yaml, .yml or .json), - for a spec on stdin, or example:NAME"


def no_spec(model: str) -> ParamctlError:
    """Return the error for a MODEL that is neither a spec by its name nor a directory.

    Raises:
        OSError: if a file system cannot have such a name.

    """
    if "://" in model:
        return failure(f"{model} is a URL", where="MODEL", hint="MODEL is a file: download the spec first")
    if model.endswith(CHECKPOINT_SUFFIXES):
        hint = "give the spec of its model; parameters are not read from checkpoints yet"
        return failure(f"{model} is a checkpoint, not a model spec", where="MODEL", hint=hint)
    place, colon, name = model.partition(":")
    meant = _beside(model) or _exactly(name or model)
    if meant is not None:
        return failure(f"cannot tell what model {model!r} is", where="MODEL", hint=meant)
    if model.endswith(".py") or (colon and parse_reference(model, Path())):
        layer = f"layers: [{place}:{name or 'CLASS'}]"
        allow = place if place.endswith(".py") else place.partition(".")[0]
        hint = f"write it as a layer in a spec, {layer}, and add --allow {allow}; MODEL cannot name Python code yet"
        return failure(f"{model} is Python code, not a model spec", where="MODEL", hint=hint)
    return failure(f"cannot tell what model {model!r} is", where="MODEL", hint=_nearly(model) or _KINDS)


def _beside(model: str) -> str | None:
    """Return the hint that names a spec where only the suffix is missing."""
    files = [name for name in (model + suffix for suffix in SPEC_SUFFIXES) if model and Path(name).is_file()]
    return f"did you mean {' or '.join(map(repr, files))}?" if files else None


def _exactly(name: str) -> str | None:
    return f"did you mean '{examples.PREFIX}{name}'?" if name in examples.names() else None


def _nearly(name: str) -> str | None:
    likely = [each for each in examples.names() if nearest(name, [each])]
    return nearest(f"{examples.PREFIX}{name}", [f"{examples.PREFIX}{each}" for each in likely])
