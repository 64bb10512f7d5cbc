"""Values that hold tensors -> the tensors of one part of them, under dotted names."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from itertools import islice
from typing import Any, Final, NamedTuple

from paramctl.checkpoints.held import Holders, items
from paramctl.checkpoints.reading import clipped
from paramctl.checkpoints.torch_objects import Tensor
from paramctl.errors import failure, few, nearest

_MOST_LISTED: Final = 8
_MOST_PATHS: Final = 1000
_USUAL: Final = (
    "state_dict", "model_state_dict", "model_state", "model", "module", "net", "network", "generator", "weights",
    "params", "params_ema", "ema", "model_ema",
)  # fmt: skip
"""Under which names the weights stand in a checkpoint that holds more, the most usual first."""


class Part(NamedTuple):
    """The tensors of one part of a checkpoint by their dotted names, and notes on how they were chosen and named."""

    tensors: Mapping[str, Tensor]
    notes: tuple[str, ...] = ()


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
    holders = Holders(root)
    if key is not None:
        return _under(root, key, name, holders)
    if not holders.hold(root):
        raise failure(f"{name} holds no tensors", where="MODEL")
    return _weights(root, holders)


def _under(root: Any, key: str, name: str, holders: Holders) -> Part:
    """Return the tensors under a key: a path, or what names begin with, of all tensors or else of the weights."""
    part = _at(root, key, holders)
    if part is not None:
        return _named(part, holders, key.rpartition(".")[2])
    for named_part in (_named(root, holders, ""), _weights(root, holders)):
        begun = {each: tensor for each, tensor in named_part.tensors.items() if each.startswith(f"{key}.")}
        if begun:
            return Part({each.removeprefix(f"{key}."): tensor for each, tensor in begun.items()})
    known = [clipped(each) for each in islice(_paths(root, holders), _MOST_PATHS)]
    hint = nearest(key, known) or (f"it has {', '.join(known[:_MOST_LISTED])}" if known else None)
    raise failure(f"{name} has no tensors under {key!r}", where="--key", hint=hint)


def _weights(root: Any, holders: Holders) -> Part:
    path: list[str] = []
    others: list[str] = []
    while isinstance(root, dict) and not any(isinstance(value, Tensor) for value in root.values()):
        inside = {key: value for key, value in items(root) if holders.hold(value)}
        chosen = next((usual for usual in _USUAL if usual in inside), None)
        if chosen is None:
            break
        room = max(0, _MOST_LISTED + 1 - len(others))
        others += [".".join([*path, key]) for key in islice((key for key in inside if key != chosen), room)]
        path.append(chosen)
        root = inside[chosen]
    part = _named(root, holders, path[-1] if path else "tensor")
    if not others:
        return part
    listed = ", ".join(repr(clipped(each)) for each in others[:_MOST_LISTED]) + ", …" * (len(others) > _MOST_LISTED)
    note = f"these are the tensors under {clipped('.'.join(path))!r}; --key shows those under {listed}"
    return Part(part.tensors, (note, *part.notes))


def named(root: Any) -> Mapping[str, Tensor]:
    """Return every tensor below a value under its dotted name.

    Raises:
        ParamctlError: if there are more names, or longer ones, than are made.

    """
    return _named(root, Holders(root), "tensor").tensors


def _named(root: Any, holders: Holders, alone: str) -> Part:
    """Return every tensor below a value under its dotted name; a single tensor is called `alone`.

    Keys may have dots themselves, so that two tensors may come to one name: the later ones are numbered.
    """
    if isinstance(root, Tensor):
        return Part({alone: root})
    holders.check_nameable(root)
    found: dict[str, Tensor] = {}
    doubled: dict[str, int] = {}
    pending: list[tuple[Iterator[tuple[str, Any]], str]] = [(items(root), "")]
    while pending:
        left, prefix = pending[-1]
        step = next(left, None)
        if step is None:
            pending.pop()
            continue
        key, value = step
        if isinstance(value, Tensor):
            name = f"{prefix}{key}"
            found[_numbered(name, doubled, found) if name in found else name] = value
        elif holders.hold(value):
            pending.append((items(value), f"{prefix}{key}."))
    return Part(found, (_note_on(doubled),) if doubled else ())


def _numbered(name: str, doubled: dict[str, int], taken: Container[str]) -> str:
    while True:
        doubled[name] = number = doubled.get(name, 1) + 1
        if f"{name} ({number})" not in taken:
            return f"{name} ({number})"


def _note_on(doubled: Mapping[str, int]) -> str:
    named = [clipped(name) for name in islice(doubled, _MOST_LISTED)]
    listed = few(named) + ", …" * (len(doubled) > len(named))
    return f"several tensors come to the same name, {listed}, since keys have dots or differ in type: they are numbered"


def _at(root: Any, key: str, holders: Holders) -> Any:
    """Return what stands under a dotted path whose parts may have dots themselves; None where there are no tensors."""
    if isinstance(root, Tensor) or not holders.hold(root):
        return None
    for name, value in items(root):
        if holders.hold(value):
            if name == key:
                return value
            if key.startswith(f"{name}."):
                found = _at(value, key.removeprefix(f"{name}."), holders)
                if found is not None:
                    return found
    return None


def _paths(root: Any, holders: Holders, prefix: str = "", depth: int = 0) -> Iterator[str]:
    """Yield the paths of the parts that hold tensors, the first levels alone."""
    if isinstance(root, Tensor) or depth > 2:
        return
    for name, value in items(root):
        if holders.hold(value) and not isinstance(value, Tensor):
            yield f"{prefix}{name}"
            yield from _paths(value, holders, f"{prefix}{name}.", depth + 1)
