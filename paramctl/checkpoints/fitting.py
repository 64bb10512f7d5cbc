"""The state of a model and the names in a checkpoint -> which tensor is which, and what does not fit."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, NamedTuple

from paramctl.checkpoints.stored import Checkpoint
from paramctl.errors import ParamctlError, Problem, few
from paramctl.records import ParameterRecord, Shape

_MOST_PAIRED: Final = 50
"""For how many missing names a match is looked for; more are not shown."""
_MOST_LIKENED: Final = 1000
"""With how many unexpected names of its shape a missing one is compared."""
_LEAST_LIKENESS: Final = 0.5
_EXTRA_STATE: Final = "_extra_state"
"""Under which name torch stores what a module keeps beside its tensors."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A checkpoint that is to be loaded into a model.

    Attributes:
        checkpoint: what was read of it.
        typed: the file or the directory, as typed.
        key: the part of it that was asked for.
        strict: whether every name of the model must be there, and no other one.

    """

    checkpoint: Checkpoint
    typed: str
    key: str | None = None
    strict: bool = True


class Held(NamedTuple):
    """A tensor of a model's state.

    Attributes:
        names: its names in the state.
        shape: its shape.
        required: whether a checkpoint must have it.

    """

    names: Sequence[str]
    shape: Shape
    required: bool = True


class Fit(NamedTuple):
    """Which tensors of a checkpoint are those of a model.

    Attributes:
        found: the records that hold the value of each tensor that is there, by its key.
        notes: what is left out.

    """

    found: Mapping[int, Sequence[ParameterRecord]]
    notes: Sequence[str]


def fit(state: Mapping[int, Held], weights: Weights) -> Fit:
    """Find each tensor of a model's state in a checkpoint, under any of its names.

    Args:
        state: the tensors under keys of the caller's.
        weights: the checkpoint.

    Raises:
        ParamctlError: naming every name that is of another shape, and, unless that is allowed and some are there,
            every one that is missing or unexpected.

    """
    stored = {name: record for record in weights.checkpoint.records for name in record.names}
    found: dict[int, list[ParameterRecord]] = {}
    missing: dict[str, Shape] = {}
    misshapen: list[Problem] = []
    for key, held in state.items():
        records = list({stored[name].name: stored[name] for name in held.names if name in stored}.values())
        if records:
            found[key] = records
        else:
            missing[held.names[0]] = held.shape
        for record in records:
            if record.shape != held.shape:
                message = f"{list(held.shape)} in the model, {list(record.shape)} in the checkpoint"
                misshapen.append(Problem(message=message, where=weights.typed, path=record.name))
    known = {name for held in state.values() for name in held.names}
    unexpected = {
        name: record.shape
        for name, record in stored.items()
        if name not in known and name.rpartition(".")[2] != _EXTRA_STATE
    }
    lacking = [held.names[0] for held in state.values() if held.required and held.names[0] in missing]
    if misshapen or ((lacking or unexpected) and (weights.strict or not found)):
        raise _misfit(weights, missing, unexpected, misshapen, some=bool(found))
    return Fit(found, list(_left_out(weights.typed, lacking, unexpected)))


def _misfit(
    weights: Weights,
    missing: Mapping[str, Shape],
    unexpected: Mapping[str, Shape],
    misshapen: Sequence[Problem],
    *,
    some: bool,
) -> ParamctlError:
    """Make the error for what does not fit, where `some` tensors may."""
    counted = ((len(missing), "missing"), (len(unexpected), "unexpected"), (len(misshapen), "of another shape"))
    counts = ", ".join(f"{count:,} {what}" for count, what in counted if count)
    summary = f"{weights.typed} does not fit the model: {counts}"
    prefix = _prefix_hint(weights, missing, unexpected)
    hint = prefix or (None if misshapen or not some else "--no-strict loads what fits")
    problems = [Problem(message=summary, where="--weights", hint=hint), *misshapen]
    if prefix is None:  # else every missing name is accounted for
        problems += _differences(missing, unexpected, weights.typed)
    return ParamctlError(*problems)


def _left_out(typed: str, missing: Collection[str], unexpected: Collection[str]) -> Iterator[str]:
    if missing:
        keeps = "1 name of the model is not in it, and keeps its" if len(missing) == 1 else None
        keeps = keeps or f"{len(missing):,} names of the model are not in it, and keep their"
        yield f"{typed}: {keeps} own values: {few(list(missing))}"
    if unexpected:
        names = "1 name in it is" if len(unexpected) == 1 else f"{len(unexpected):,} names in it are"
        yield f"{typed}: {names} not the model's: {few(list(unexpected))}"


def _differences(missing: Mapping[str, Shape], unexpected: Mapping[str, Shape], typed: str) -> Iterator[Problem]:
    """Yield what is missing beside what may be meant by it, then what else is unexpected."""
    left = dict(unexpected)
    for i, (name, shape) in enumerate(missing.items()):
        close = _meant(name, [other for other, its in left.items() if its == shape]) if i < _MOST_PAIRED else None
        meant = f"; unexpected there, of the same shape: {close}" if close else ""
        if close:
            del left[close]
        yield Problem(message=f"{list(shape)} in the model, missing in the checkpoint{meant}", where=typed, path=name)
    for name, shape in left.items():
        message = f"{list(shape)} in the checkpoint, unexpected: the model has no such name"
        yield Problem(message=message, where=typed, path=name)


def _meant(name: str, alike: Sequence[str]) -> str | None:
    """Return the name that is the same but for what stands before it, else the one most like it, of those alike."""
    behind = (other for other in alike if other.endswith(f".{name}") or name.endswith(f".{other}"))
    return next(behind, None) or next(iter(get_close_matches(name, alike[:_MOST_LIKENED], 1, _LEAST_LIKENESS)), None)


def _prefix_hint(weights: Weights, missing: Collection[str], unexpected: Collection[str]) -> str | None:
    """Say that the names differ by what stands before them, as those of a wrapped or nested model do."""
    name = next(iter(missing), None)
    if name is None:
        return None
    longer = (other.removesuffix(f".{name}") for other in unexpected if other.endswith(f".{name}"))
    shorter = (name.removesuffix(f".{other}") for other in unexpected if name.endswith(f".{other}"))
    for prefix in longer:
        if all(f"{prefix}.{each}" in unexpected for each in missing):
            key = f"{weights.key}.{prefix}" if weights.key else prefix
            return f"all names of the model stand there behind {prefix!r}: add --key {key}"
    for prefix in shorter:
        if all(each.startswith(f"{prefix}.") and each.removeprefix(f"{prefix}.") in unexpected for each in missing):
            return f"all names stand there without the {prefix!r} of the model: name the module that this wraps"
    return None
