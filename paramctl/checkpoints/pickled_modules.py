"""An nn.Module that was pickled whole -> the state in it: its class is never looked for, its tensors lie in dicts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from paramctl.checkpoints.pickle_machine import Global, Made
from paramctl.checkpoints.torch_objects import Tensor
from paramctl.errors import failure

_MAX_DEPTH: Final = 200


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
        ParamctlError: if modules hold each other.

    """
    if is_module(root):
        return dict(_state(root, "", 0))
    if not isinstance(root, dict):
        return root
    return {key: dict(_state(value, "", 0)) if is_module(value) else value for key, value in root.items()}


def _state(module: Made, prefix: str, depth: int) -> Iterator[tuple[str, Tensor]]:
    """Yield names and tensors in the order of `state_dict()`."""
    if depth > _MAX_DEPTH:
        raise failure(f"modules are nested deeper than {_MAX_DEPTH} levels, or hold each other", path=f"{prefix[:60]}…")
    fields = module.state
    hidden = _texts(fields.get("_non_persistent_buffers_set"))
    for held in ("_parameters", "_buffers"):
        for name, value in _items(fields.get(held)):
            if isinstance(value, Tensor) and name not in hidden:
                yield f"{prefix}{name}", value
    for name, value in _items(fields.get("_modules")):
        if is_module(value):
            yield from _state(value, f"{prefix}{name}.", depth + 1)


def _texts(held: Any) -> set[str]:
    """Return the texts in a set, which is a call of `set` in older protocols of pickle."""
    if isinstance(held, Made):
        held = held.arguments[0] if held.arguments else ()
    return {each for each in held if isinstance(each, str)} if isinstance(held, set | list | tuple) else set()


def _items(held: Any) -> Iterator[tuple[str, Any]]:
    for name, value in held.items() if isinstance(held, dict) else ():
        if isinstance(name, str):
            yield name, value
