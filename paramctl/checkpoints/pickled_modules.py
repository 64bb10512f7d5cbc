"""An nn.Module that was pickled whole -> the state in it: its class is never looked for, its tensors lie in dicts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from paramctl.checkpoints.nesting import named
from paramctl.checkpoints.pickle_values import Global, Made
from paramctl.checkpoints.torch_objects import Tensor


def is_module(value: object) -> bool:
    """Tell whether a placeholder stands for an nn.Module."""
    state = value.state if isinstance(value, Made) else None
    return isinstance(state, dict) and state.keys() >= {"_parameters", "_modules"}


def find_module(root: Any) -> tuple[str | None, Global] | None:
    """Return the key under which a module stands (None: at the top), and its class; None where there is no module."""
    if is_module(root):
        return None, root.made_by
    members = ((key, each) for key, each in root.items() if isinstance(key, str)) if isinstance(root, dict) else ()
    return next(((key, value.made_by) for key, value in members if is_module(value)), None)


def with_states(root: Any) -> Any:
    """Return the root with the state of each module in the place of the module.

    Raises:
        ParamctlError: if modules hold each other, or hold more tensors than are named.

    """
    if is_module(root):
        return dict(named(_state(root)))
    if not isinstance(root, dict):
        return root
    return {key: dict(named(_state(value))) if is_module(value) else value for key, value in root.items()}


def _state(module: Made) -> dict[str, Any]:
    """Return the tensors of a module in the order of `state_dict()`, those of the modules in it in dicts.

    Each module is looked at once: what holds one in several places may hold it in 2^40 of them.
    """
    states: dict[int, dict[str, Any]] = {id(module): {}}
    pending = [module]
    while pending:
        holder = pending.pop()
        state = states[id(holder)]
        hidden = _texts(holder.state.get("_non_persistent_buffers_set"))
        for held in ("_parameters", "_buffers"):
            tensors = _items(holder.state.get(held))
            state.update((name, each) for name, each in tensors if isinstance(each, Tensor) and name not in hidden)
        for name, each in _items(holder.state.get("_modules")):
            if is_module(each):
                if id(each) not in states:
                    states[id(each)] = {}
                    pending.append(each)
                state[name] = states[id(each)]
    return states[id(module)]


def _texts(held: Any) -> set[str]:
    """Return the texts in a set, which is a call of `set` in older protocols of pickle."""
    if isinstance(held, Made):
        held = held.arguments[0] if held.arguments else ()
    return {each for each in held if isinstance(each, str)} if isinstance(held, set | list | tuple) else set()


def _items(held: Any) -> Iterator[tuple[str, Any]]:
    for name, value in held.items() if isinstance(held, dict) else ():
        if isinstance(name, str):
            yield name, value
