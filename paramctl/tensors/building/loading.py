"""A checkpoint and a built model -> the model with the checkpoint's values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Final

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from paramctl.checkpoints.fitting import Fit, Held, Weights, fit
from paramctl.checkpoints.stored import Checkpoint
from paramctl.errors import failure
from paramctl.records import ParameterRecord, join
from paramctl.tensors.building.built import BuiltModel
from paramctl.tensors.collect import bytes_of, distinct_tensors, dtype_name, named_modules
from paramctl.tensors.initializing.defaults import record_programs
from paramctl.tensors.initializing.materialize import draw_buffer, plan_drawings
from paramctl.tensors.memory import ensure_fits
from paramctl.tensors.stored import StoredReader, check_readable
from paramctl.tensors.user_code import describe
from paramctl.tensors.writing.saving import state_names

_WHERE: Final = "--weights"
_COUNTER: Final = "num_batches_tracked"
"""A buffer that the oldest checkpoints lack; torch loads them all the same."""


def load(built: BuiltModel, weights: Weights, *, seed: int) -> BuiltModel:
    """Give every parameter and persistent buffer of a model its value in a checkpoint; its own init rules are dropped.

    Args:
        built: the model.
        weights: the checkpoint.
        seed: the seed of what the checkpoint need not have and does not have.

    Raises:
        ParamctlError: if the checkpoint does not fit the model, or the values do not fit in memory.

    """
    found, notes = fitting(built.net, weights)
    held = distinct_tensors(built.net)
    tensors = {id(tensor): tensor for tensor in held}
    ensure_fits(sum(bytes_of(tensor) for tensor in tensors.values()), "the weights")
    reader = StoredReader()
    values = _own_values(built, tensors.keys() - found.keys(), seed)
    casts: set[tuple[str, str]] = set()
    for key, records in found.items():
        loaded = _value(reader, weights, records)
        if loaded.dtype != tensors[key].dtype:
            casts.add((dtype_name(loaded.dtype), dtype_name(tensors[key].dtype)))
        if loaded.is_complex() and not tensors[key].is_complex():
            message = f"{records[0].name} is complex there, and {dtype_name(tensors[key].dtype)} in the model"
            raise failure(f"{message}: its imaginary part would be lost", where=weights.typed)
        values[key] = loaded.to(tensors[key].dtype)
    _put(built.net, values)
    pairs = zip(held, distinct_tensors(built.net), strict=True)
    programs = replace(record_programs(built.net), loaded={id(new) for old, new in pairs if id(old) in found})
    casted = [f"values cast from {before} to {after}, the dtype of the model" for before, after in sorted(casts)]
    return replace(
        built,
        rules=(),
        programs=programs,
        as_script=None,
        notes=(*built.notes, *weights.checkpoint.notes, *notes, *casted),
    )


def fitting(net: nn.Module, weights: Weights) -> Fit:
    """Return the records that hold the value of each tensor of a model's state, by the tensor's id; see `fit`."""
    shapes = {id(tensor): tuple(tensor.shape) for tensor in distinct_tensors(net)}
    counters = {join(path, _COUNTER) for path, module in named_modules(net) if isinstance(module, _NormBase)}
    names, _ = state_names(net)
    state = names.items()
    return fit({key: Held(names, shapes[key], counters.isdisjoint(names)) for key, names in state}, weights)


def _own_values(built: BuiltModel, keys: AbstractSet[int], seed: int) -> dict[int, torch.Tensor]:
    """Return the values that tensors on meta have without a checkpoint, by the tensors' ids; others get theirs."""
    if not keys:
        return {}
    drawings, _ = plan_drawings(built.net, built.programs, built.rules, seed)
    values = {id(each.tensor): each.draw(seed) for each in drawings if id(each.tensor) in keys}
    values |= {
        id(buffer): draw_buffer(name, buffer, built.programs, seed)
        for name, buffer in built.net.named_buffers()
        if id(buffer) in keys
    }
    on_meta = {id(tensor) for tensor in distinct_tensors(built.net) if tensor.is_meta}
    return {key: value for key, value in values.items() if key in on_meta}


def _value(reader: StoredReader, weights: Weights, records: Sequence[ParameterRecord]) -> torch.Tensor:
    """Return the one value that several records of a tensor hold."""
    first, *others = [_read(reader, weights.checkpoint, record) for record in records]
    if any(not torch.equal(first, other) for other in others):
        names = " and ".join(record.name for record in records)
        raise failure(f"{names} are one parameter of the model, and differ in {weights.typed}", where=_WHERE)
    return first


def _read(reader: StoredReader, checkpoint: Checkpoint, record: ParameterRecord) -> torch.Tensor:
    check_readable(checkpoint, record)
    return reader.load(record, checkpoint.locate(record.name))


def _copy(tensor: torch.Tensor, loaded: torch.Tensor) -> None:
    try:
        tensor.copy_(loaded)
    except RuntimeError as error:  # elements that are one in memory, or a tensor that is frozen
        raise failure(f"a tensor of {list(tensor.shape)} takes no values: {describe(error)}", where=_WHERE) from error


def _put(net: nn.Module, values: Mapping[int, torch.Tensor]) -> None:
    """Replace what is on meta, in every place that holds it; what has values is changed in place."""
    replaced: dict[int, torch.Tensor] = {}
    for tensor in distinct_tensors(net):
        loaded = values.get(id(tensor))
        if loaded is None:
            continue
        if not tensor.is_meta:
            with torch.no_grad():
                _copy(tensor, loaded)
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
