"""Values that hold tensors -> the tensors of one part of them, under dotted names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from paramctl.checkpoints.torch_objects import Tensor
from paramctl.errors import ParamctlError, failure, nearest

MAX_NAMES: Final = 5_000_000
MAX_DEPTH: Final = 200
"""The names and the nesting that are followed, as in a spec."""
_BITS: Final = 64
_MOST_LISTED: Final = 8
_MOST_PATHS: Final = 1000
_USUAL: Final = (
    "state_dict", "model_state_dict", "model_state", "model", "module", "net", "network", "generator", "weights",
    "params", "params_ema", "ema", "model_ema",
)  # fmt: skip
"""Under which names the weights stand in a checkpoint that holds more, the most usual first."""


class Part(NamedTuple):
    """The tensors of one part of a checkpoint by their dotted names, and a note on how it was chosen."""

    tensors: Mapping[str, Tensor]
    note: str | None = None


def pick(root: Any, key: str | None, name: str) -> Part:
    """Return the tensors under a key, or, where there is none, those of the weights.

    Where no tensor stands at the top, these are the tensors under the most usual of the names that weights have there;
    where none of these names does, all tensors.

    Args:
        root: plain values: dicts, lists, tuples, and tensors among them.
        key: the dotted path of a part, or what the names of some tensors begin with, in all of it or in the weights.
        name: what messages call the file.

    Raises:
        ParamctlError: if there is no such part or no tensor in it.

    """
    holders = _Holders(root)
    if key is not None:
        return _under(root, key, name, holders)
    if not holders.hold(root):
        raise failure(f"{name} holds no tensors", where="MODEL")
    return _weights(root, holders)


def _under(root: Any, key: str, name: str, holders: _Holders) -> Part:
    """Return the tensors under a key: a path, or what names begin with, of all tensors or else of the weights."""
    part = _at(root, key, holders)
    if part is not None:
        return Part(_named(part, holders, key.rpartition(".")[2]))
    for named in (_named(root, holders, ""), _weights(root, holders).tensors):
        begun = {each.removeprefix(f"{key}."): tensor for each, tensor in named.items() if each.startswith(f"{key}.")}
        if begun:
            return Part(begun)
    known = list(islice(_paths(root, holders), _MOST_PATHS))
    hint = nearest(key, known) or (f"it has {', '.join(known[:_MOST_LISTED])}" if known else None)
    raise failure(f"{name} has no tensors under {key!r}", where="--key", hint=hint)


def _weights(root: Any, holders: _Holders) -> Part:
    path: list[str] = []
    others: list[str] = []
    while isinstance(root, dict) and not any(isinstance(value, Tensor) for value in root.values()):
        inside = {key: value for key, value in _items(root) if holders.hold(value)}
        chosen = next((usual for usual in _USUAL if usual in inside), None)
        if chosen is None:
            break
        others += [".".join([*path, key]) for key in inside if key != chosen]
        path.append(chosen)
        root = inside[chosen]
        if len(path) > MAX_DEPTH:
            raise _too_deep(".".join(path[:5]))
    note = None
    if others:
        listed = ", ".join(map(repr, others[:_MOST_LISTED])) + (", …" if len(others) > _MOST_LISTED else "")
        note = f"these are the tensors under {'.'.join(path)!r}; --key shows those under {listed}"
    return Part(_named(root, holders, path[-1] if path else "tensor"), note)


def _too_deep(path: str) -> ParamctlError:
    return failure(f"tensors are nested deeper than {MAX_DEPTH} levels, or a value holds itself", path=f"{path[:60]}…")


class _Holders:
    """Which of some values hold tensors; each value is looked at once, however often it is referred to."""

    def __init__(self, root: Any) -> None:
        self._ids: set[int] = set()
        parents: dict[int, list[int]] = {}
        found: list[int] = []
        pending = [root]
        met = {id(root)}
        while pending:
            value = pending.pop()
            for child in _children(value):
                parents.setdefault(id(child), []).append(id(value))
                if id(child) not in met:
                    met.add(id(child))
                    pending.append(child)
            if isinstance(value, Tensor):
                found.append(id(value))
        while found:
            each = found.pop()
            if each not in self._ids:
                self._ids.add(each)
                found += parents.get(each, ())

    def hold(self, value: Any) -> bool:
        """Tell whether a value is a tensor or holds one."""
        return id(value) in self._ids


def _children(value: Any) -> Sequence[Any]:
    if isinstance(value, Tensor):
        return ()
    if isinstance(value, dict):
        return [child for child in value.values() if isinstance(child, dict | list | tuple)]
    if isinstance(value, list | tuple):
        return [child for child in value if isinstance(child, dict | list | tuple)]
    return ()


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((key if isinstance(key, str) else _text_of(key), child) for key, child in value.items())
    else:
        yield from ((str(i), child) for i, child in enumerate(value))


def _text_of(key: Any) -> str:
    """Write a key that is no text: a number as it is, and whatever else by its kind, since it may be of any size."""
    short = key is None or isinstance(key, bool | float) or (isinstance(key, int) and key.bit_length() <= _BITS)
    return str(key) if short else f"<{type(key).__name__}>"


def _named(root: Any, holders: _Holders, alone: str) -> dict[str, Tensor]:
    """Return every tensor below a value under its dotted name; a single tensor is called `alone`."""
    if isinstance(root, Tensor):
        return {alone: root}
    named: dict[str, Tensor] = {}
    pending: list[tuple[Iterator[tuple[str, Any]], str]] = [(_items(root), "")]
    while pending:
        items, prefix = pending[-1]
        step = next(items, None)
        if step is None:
            pending.pop()
            continue
        key, value = step
        if not holders.hold(value):
            continue
        if not isinstance(value, Tensor):
            if len(pending) >= MAX_DEPTH:
                raise _too_deep(prefix)
            pending.append((_items(value), f"{prefix}{key}."))
            continue
        if f"{prefix}{key}" in named:
            raise failure("two tensors have this name", path=f"{prefix}{key}", hint="pick one part with --key")
        named[f"{prefix}{key}"] = value
        if len(named) > MAX_NAMES:
            raise failure(f"there are more than {MAX_NAMES:,} names of tensors", where="MODEL")
    return named


def _at(root: Any, key: str, holders: _Holders) -> Any:
    """Return what stands under a dotted path whose parts may have dots themselves; None where there are no tensors."""
    if isinstance(root, Tensor) or not holders.hold(root):
        return None
    for name, value in _items(root):
        if holders.hold(value):
            if name == key:
                return value
            if key.startswith(f"{name}."):
                found = _at(value, key.removeprefix(f"{name}."), holders)
                if found is not None:
                    return found
    return None


def _paths(root: Any, holders: _Holders, prefix: str = "", depth: int = 0) -> Iterator[str]:
    """Yield the paths of the parts that hold tensors, the first levels alone."""
    if isinstance(root, Tensor) or depth > 2:
        return
    for name, value in _items(root):
        if holders.hold(value) and not isinstance(value, Tensor):
            yield f"{prefix}{name}"
            yield from _paths(value, holders, f"{prefix}{name}.", depth + 1)
