"""A checkpoint and a built model -> the model with the checkpoint's values, if every name and every shape fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Final

import torch
from torch import nn

from paramctl.checkpoints.stored import Checkpoint
from paramctl.errors import ParamctlError, Problem, failure
from paramctl.records import ParameterRecord, Shape
from paramctl.render import text
from paramctl.tensors.building.built import BuiltModel
from paramctl.tensors.collect import bytes_of, dtype_name, named_modules
from paramctl.tensors.initializing.defaults import record_programs
from paramctl.tensors.memory import ensure_fits
from paramctl.tensors.stored import StoredReader, check_readable
from paramctl.tensors.writing.saving import state_names

_WHERE: Final = "--weights"
_MOST_PAIRED: Final = 50
"""For how many missing names a match is looked for; more are not shown."""
_LEAST_LIKENESS: Final = 0.5


def load(built: BuiltModel, checkpoint: Checkpoint, weights: str) -> BuiltModel:
    """Give every parameter and persistent buffer of a model its value in a checkpoint; its own init rules are dropped.

    Args:
        built: the model.
        checkpoint: the checkpoint.
        weights: the checkpoint as the user named it.

    Raises:
        ParamctlError: if names are missing, unexpected or of another shape, or the values do not fit in memory.

    """
    wanted = fitting(built.net, checkpoint, weights)
    tensors = {id(tensor): tensor for tensor in (*built.net.parameters(), *built.net.buffers())}
    ensure_fits(sum(bytes_of(tensors[key]) for key in wanted), "the weights")
    reader = StoredReader()
    values: dict[int, torch.Tensor] = {}
    casts: set[tuple[str, str]] = set()
    for key, records in wanted.items():
        tensor = tensors[key]
        loaded = [_read(reader, checkpoint, record) for record in records]
        if any(not torch.equal(loaded[0], other) for other in loaded[1:]):
            names = " and ".join(record.name for record in records)
            raise failure(f"{names} are one parameter of the model, and differ in {weights}", where=_WHERE)
        if loaded[0].dtype != tensor.dtype:
            casts.add((dtype_name(loaded[0].dtype), dtype_name(tensor.dtype)))
        values[key] = loaded[0].to(tensor.dtype)
    _put(built.net, values)
    notes = [f"values cast from {before} to {after}, the dtype of the model" for before, after in sorted(casts)]
    return replace(
        built,
        rules=(),
        programs=record_programs(built.net),
        as_script=None,
        notes=(*built.notes, *checkpoint.notes, *notes),
    )


def _read(reader: StoredReader, checkpoint: Checkpoint, record: ParameterRecord) -> torch.Tensor:
    check_readable(checkpoint, record)
    return reader.load(record, checkpoint.locate(record.name))


def fitting(net: nn.Module, checkpoint: Checkpoint, weights: str) -> dict[int, list[ParameterRecord]]:
    """Return the records that hold the value of each tensor of a model's state, by the tensor's id.

    Raises:
        ParamctlError: naming every name that is missing, unexpected or of another shape.

    """
    held = {name: record for record in checkpoint.records for name in record.names}
    shapes = {id(tensor): tuple(tensor.shape) for tensor in (*net.parameters(), *net.buffers())}
    known, _ = state_names(net)
    wanted: dict[int, list[ParameterRecord]] = {}
    missing: dict[str, Shape] = {}
    problems: list[Problem] = []
    for key, names in known.items():
        found = {held[name].name: held[name] for name in names if name in held}
        if not found:
            missing[names[0]] = shapes[key]
        for record in found.values():
            if record.shape != shapes[key]:
                message = f"{text.shape(shapes[key])} in the model, {text.shape(record.shape)} in the checkpoint"
                problems.append(Problem(message=message, where=weights, path=record.name))
        wanted[key] = list(found.values())
    expected = {name for names in known.values() for name in names}
    unexpected = {name: record.shape for name, record in held.items() if name not in expected}
    unshaped = len(problems)
    problems += _differences(missing, unexpected, weights)
    if problems:
        counts = [f"{count:,} {what}" for count, what in _counted(missing, unexpected, unshaped) if count]
        summary = f"{weights} does not fit the model: {', '.join(counts)}"
        raise ParamctlError(Problem(message=summary, where=_WHERE, hint=_prefix_hint(missing, unexpected)), *problems)
    return wanted


def _counted(missing: Mapping[str, Shape], unexpected: Mapping[str, Shape], unshaped: int) -> Sequence[tuple[int, str]]:
    return (len(missing), "missing"), (len(unexpected), "unexpected"), (unshaped, "of another shape")


def _differences(missing: Mapping[str, Shape], unexpected: Mapping[str, Shape], weights: str) -> Iterator[Problem]:
    """Yield what is missing beside what may be meant by it, then what else is unexpected."""
    left = dict(unexpected)
    for i, (name, shape) in enumerate(missing.items()):
        alike = [other for other, its in left.items() if its == shape] if i < _MOST_PAIRED else []
        close = get_close_matches(name, alike, 1, _LEAST_LIKENESS)
        meant = f"; unexpected there, of the same shape: {close[0]}" if close else ""
        for other in close:
            del left[other]
        message = f"{text.shape(shape)} in the model, missing in the checkpoint{meant}"
        yield Problem(message=message, where=weights, path=name)
    for name, shape in left.items():
        message = f"{text.shape(shape)} in the checkpoint, unexpected: the model has no such name"
        yield Problem(message=message, where=weights, path=name)


def _prefix_hint(missing: Mapping[str, Shape], unexpected: Mapping[str, Shape]) -> str | None:
    """Say that the names differ by what stands before them, as those of a wrapped or nested model do."""
    name = next(iter(missing), None)
    longer = next((other for other in unexpected if name and other.endswith(f".{name}")), None)
    if name is None or longer is None:
        return None
    prefix = longer.removesuffix(f".{name}")
    if all(f"{prefix}.{each}" in unexpected for each in missing):
        return f"all names of the model stand there behind {prefix!r}: add --key {prefix}"
    return None


def _put(net: nn.Module, values: Mapping[int, torch.Tensor]) -> None:
    """Replace what is on meta, in every place that holds it; what has values is changed in place."""
    replaced: dict[int, torch.Tensor] = {}
    for tensor in (*net.parameters(), *net.buffers()):
        loaded = values.get(id(tensor))
        if loaded is None:
            continue
        if not tensor.is_meta:
            with torch.no_grad():
                tensor.copy_(loaded)
        elif isinstance(tensor, nn.Parameter):
            replaced[id(tensor)] = nn.Parameter(loaded, requires_grad=tensor.requires_grad)
        else:
            replaced[id(tensor)] = loaded
    for _, module in list(named_modules(net)):
        held = (
            *module.named_parameters(recurse=False, remove_duplicate=False),
            *module.named_buffers(recurse=False, remove_duplicate=False),
        )
        for attribute, tensor in held:
            if id(tensor) in replaced:
                setattr(module, attribute, replaced[id(tensor)])
