"""The operations that models go through, each as something that is done to a small copy of the model."""

from __future__ import annotations

import copy
import io
import pickle
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeAlias

import torch
from safetensors.torch import load_file, load_model, save_file, save_model
from torch import nn

from paramctl.analysis.sharing import find_groups
from paramctl.reports.shared import RELATIONS, SAME_ELEMENTS, SharedGroup
from paramctl.tensors import user_code
from paramctl.tensors.sharing.rehearsal import NotTriedError
from paramctl.tensors.sharing.sharding import sharded
from paramctl.tensors.sharing.surveying import survey

Outcome: TypeAlias = tuple[str | None, str | None]
"""What became of a tie, and why; no outcome for what was not tried."""
KEPT: Final = "kept"

_DTYPES: Final = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.float8_e5m2)
"""Dtypes to convert a model to; one that a parameter has already would leave it as it is."""
_NAMES: Final = re.compile(r"\[?\{'[^{}]*\}(, \{'[^{}]*\})*\]?")
"""Sets of names, which safetensors lists in another order in every process."""
_MOST_SENTENCES: Final = 2
"""So many sentences of a message say what is wrong; what follows says where to read more."""
_MOST_TOLD: Final = 240
"""So many characters of it: some messages hold the whole model."""


class MakeCopy(Protocol):
    """Makes a small copy of the model."""

    def __call__(self, device: str = "cpu") -> nn.Module:
        """Return a copy whose tensors are on a device."""


Operation: TypeAlias = Callable[[MakeCopy, Sequence[SharedGroup]], Sequence[Outcome]]
"""Tries something, and tells what became of each tie."""


def refusal(error: Exception) -> Outcome:
    """Return what an error is as an outcome."""
    first, *_ = user_code.describe(error).splitlines()
    told = ". ".join(_NAMES.sub("the names of the tie", first).split(". ")[:_MOST_SENTENCES]).rstrip(".")
    return "refused", told if len(told) <= _MOST_TOLD else f"{told[:_MOST_TOLD]} …"


def relations(module: nn.Module) -> Callable[[SharedGroup], str | None]:
    """Return what tells the most specific relation that the names of a tie have in a module."""
    of_name: dict[str, list[SharedGroup]] = {}
    for group in find_groups(survey(module)).groups:
        for name in group.names:
            of_name.setdefault(name, []).append(group)

    def relation(tie: SharedGroup) -> str | None:
        around = [group for group in of_name.get(tie.names[0], ()) if set(tie.names) <= set(group.names)]
        return min(around, key=lambda group: group.rank).relation if around else None

    return relation


def _compared(tie: SharedGroup, after: str | None) -> Outcome:
    """Say what is left of a tie between parameters."""
    if after is None:
        return "broken", None
    return (KEPT if RELATIONS.index(after) <= tie.rank else after), None


def _modules(change: Callable[[nn.Module, MakeCopy], nn.Module], device: str = "cpu") -> Operation:
    """Return the operation that makes a module of the model."""

    def operation(make_copy: MakeCopy, ties: Sequence[SharedGroup]) -> Sequence[Outcome]:
        relation = relations(change(make_copy(device), make_copy))
        return [_compared(tie, relation(tie)) for tie in ties]

    return operation


def _states(change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Operation:
    """Return the operation that makes tensors of the state of the model, the names of each tie for themselves."""

    def operation(make_copy: MakeCopy, ties: Sequence[SharedGroup]) -> Sequence[Outcome]:
        state = make_copy().state_dict()
        return [_state_outcome(change, state, tie) for tie in ties]

    return operation


def _state_outcome(
    change: Callable[[Mapping[str, Any]], Mapping[str, Any]], state: Mapping[str, Any], tie: SharedGroup
) -> Outcome:
    missing = [name for name in tie.names if name not in state]
    if missing:
        return "broken", f"the state has no {missing[0]}"
    try:
        after = change({name: state[name] for name in tie.names})
    except Exception as error:  # noqa: BLE001  whatever an operation raises is its answer
        return refusal(error)
    relation = relations(holding(after))(tie)
    # A state holds tensors, no Parameters: all that can be kept is the memory.
    return (KEPT, None) if relation in SAME_ELEMENTS and tie.relation in SAME_ELEMENTS else _compared(tie, relation)


def holding(tensors: Mapping[str, torch.Tensor]) -> nn.Module:
    """Return a module that holds tensors as parameters under dotted names, for a survey."""
    holder = nn.Module()
    held: dict[str, Any] = dict(tensors)
    holder._parameters = held  # noqa: SLF001  the public way takes no dots
    return holder


def _through_memory(value: object) -> Any:
    """Return what `torch.save` and `torch.load` make of a value."""
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, weights_only=False)  # it was saved just now


def _through_safetensors(state: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "state.safetensors"
        save_file(dict(state), path)
        return load_file(path)


def _save_model(net: nn.Module, make_copy: MakeCopy) -> nn.Module:
    """Save a model and load it into a copy, whose values must then be those of the model."""
    loaded = make_copy()
    with torch.no_grad():
        for parameter in loaded.parameters():
            parameter.zero_()
    with tempfile.TemporaryDirectory() as directory:
        path = str(Path(directory) / "model.safetensors")
        save_model(net, path)
        load_model(loaded, path)
    after = loaded.state_dict()
    if any(not _same_bits(value, after[name]) for name, value in net.state_dict().items()):
        raise ValueError("what is loaded has other values than what was saved")
    return loaded


def _same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    first, second = (each.contiguous().view(-1).view(torch.uint8) for each in (one, other))
    return torch.equal(first, second)


def _assigned(net: nn.Module, make_copy: MakeCopy) -> nn.Module:
    loaded = make_copy()
    loaded.load_state_dict(_through_memory(net.state_dict()), assign=True)
    return loaded


def _other_dtype(net: nn.Module, _: MakeCopy) -> nn.Module:
    in_use = {parameter.dtype for parameter in net.parameters()}
    unused = [dtype for dtype in _DTYPES if dtype not in in_use]
    if not unused:
        raise NotTriedError("the model has parameters of every dtype that it could be converted to")
    return net.to(unused[0])


def _other_device(net: nn.Module, _: MakeCopy) -> nn.Module:
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None:
        raise NotTriedError("there is no device here but the CPU")
    return net.to(accelerator)


def _stepped(make_copy: MakeCopy, ties: Sequence[SharedGroup]) -> Sequence[Outcome]:
    """Step each tie's parameters by 1, and see how far their elements went."""
    held = dict(make_copy().named_parameters(remove_duplicate=False))
    return [_steps([held[name] for name in tie.names]) for tie in ties]


def _steps(tied: Sequence[nn.Parameter]) -> Outcome:
    parameters = [each for each in tied if each.requires_grad]
    if not parameters:
        return None, "nothing of it is trained: requires_grad is False"
    if not all(each.is_floating_point() and each.dtype == parameters[0].dtype for each in parameters):
        return None, "its elements are not all floating numbers of one dtype"
    try:
        with torch.no_grad():
            for each in parameters:
                each.zero_()
        for each in parameters:
            each.grad = torch.ones_like(each)
        torch.optim.SGD(list(dict.fromkeys(parameters)), lr=1.0).step()
    except Exception as error:  # noqa: BLE001  whatever an operation raises is its answer
        return refusal(error)
    times = round(-min(each.min().item() for each in parameters))
    return {1: "once", 2: "twice"}.get(times, f"{times} times"), None


OPERATIONS: Final[Mapping[str, Operation]] = MappingProxyType(
    {
        "optimizer.step": _stepped,
        "state_dict": _states(lambda state: state),
        "torch.save, torch.load": _states(_through_memory),
        "safetensors.save_file": _states(_through_safetensors),
        "safetensors.save_model": _modules(_save_model),
        "load_state_dict(assign=True)": _modules(_assigned),
        "deepcopy": _modules(lambda net, _: copy.deepcopy(net)),
        "pickle": _modules(lambda net, _: pickle.loads(pickle.dumps(net))),  # noqa: S301  what was just pickled
        "to(dtype)": _modules(_other_dtype),
        "to(device)": _modules(_other_device),
        "meta, to_empty(device)": _modules(lambda net, _: net.to_empty(device="cpu"), device="meta"),
        "fully_shard": _modules(lambda net, _: sharded(net)),
        "fully_shard each layer": _modules(lambda net, _: sharded(net, each_layer=True)),
    }
)
"""By the name that users know it by."""
