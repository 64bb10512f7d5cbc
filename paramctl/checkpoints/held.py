"""What every value of a pickle holds: how many tensors under how long names, before any of the names is made.

Values may be referred to from anywhere, so that forty of them may make 2^40 names. Each is looked at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from paramctl.checkpoints.pickle_values import Global, Made, WrittenKey
from paramctl.checkpoints.stored import MAX_NAME
from paramctl.checkpoints.torch_objects import Tensor
from paramctl.errors import ParamctlError, failure

MAX_NAMES: Final = 1_000_000
MAX_DEPTH: Final = 200
"""The names and the nesting that are followed."""
_MAX_CHARACTERS: Final = 2**28
_MAX_OPEN: Final = 20_000
"""How deep values are looked for tensors: so deep that all that has any can be told."""
_MOST: Final = 2**63
_HOLDING: Final = (dict, list, tuple, Made)
"""What tensors are, and what they can be in."""


class Held(NamedTuple):
    """What a value holds.

    Attributes:
        names: the names of tensors that it makes, one for each way to a tensor.
        characters: how many these have together.
        longest: how many the longest has.
        levels: how deep its tensors are nested; more than are followed, where it holds itself.

    """

    names: int
    characters: int
    longest: int
    levels: int


_NOTHING: Final = Held(0, 0, 0, 0)
_TENSOR: Final = Held(1, -1, -1, 0)  # behind its key there is no dot
_ITSELF: Final = Held(0, 0, 0, MAX_DEPTH + 1)


@dataclass(slots=True)
class _Open:
    """A value whose items are being looked at, under the key of what it is in."""

    key: str
    value: Any
    left: Iterator[tuple[str, Any]]
    names: int = 0
    characters: int = 0
    longest: int = 0
    levels: int = 0

    def add(self, key: str, child: Held) -> None:
        """Count what the value of a key holds."""
        step = len(key) + 1
        self.names = min(self.names + child.names, _MOST)
        self.characters = min(self.characters + child.characters + child.names * step, _MOST)
        self.longest = max(self.longest, child.longest + step)
        self.levels = max(self.levels, child.levels + 1)

    def total(self) -> Held:
        """Return what was counted."""
        return Held(self.names, self.characters, self.longest, self.levels) if self.names else _NOTHING


class Holders:
    """Which of the values below a root hold tensors, and how many; each is looked at once."""

    def __init__(self, root: Any) -> None:
        """Look at the values.

        Raises:
            ParamctlError: if they are nested so deep that it cannot be told.

        """
        self._held: dict[int, Held] = {}
        path = [_Open("", root, items(root))]
        met = {id(root)}
        while path:
            here = path[-1]
            step = next(here.left, None)
            if step is None:
                path.pop()
                met.discard(id(here.value))
                self._held[id(here.value)] = here.total()
                if path:
                    path[-1].add(here.key, here.total())
                continue
            key, child = step
            held = _ITSELF if id(child) in met else self._of(child)
            if held is not None:
                here.add(key, held)
            elif len(path) < _MAX_OPEN:
                met.add(id(child))
                path.append(_Open(key, child, items(child)))
            else:
                raise _too_deep([each.key for each in path[1:]])

    def _of(self, value: Any) -> Held | None:
        return _TENSOR if isinstance(value, Tensor) else self._held.get(id(value))

    def hold(self, value: Any) -> bool:
        """Tell whether a value is a tensor or holds one."""
        held = self._of(value)
        return held is not None and held.names > 0

    def check_nameable(self, value: Any) -> None:
        """Refuse a value whose tensors have more names, or longer ones, than are made.

        Raises:
            ParamctlError: saying what there is too much of.

        """
        held = self._of(value)
        if held is None:
            return
        if held.levels > MAX_DEPTH:
            raise _too_deep(list(self._deepest(value)))
        if held.names > MAX_NAMES:
            raise failure(f"there are more than {MAX_NAMES:,} names of tensors", where="MODEL")
        if held.longest > MAX_NAME:
            raise failure(f"a name of a tensor has {held.longest:,} characters; {MAX_NAME:,} are read", where="MODEL")
        if held.characters > _MAX_CHARACTERS:
            message = f"the names of tensors have {held.characters:,} characters; {_MAX_CHARACTERS:,} are read"
            raise failure(message, where="MODEL")

    def _deepest(self, value: Any) -> Iterator[str]:
        for _ in range(MAX_DEPTH):
            steps = ((self._held.get(id(child), _NOTHING).levels, key, child) for key, child in items(value))
            levels, key, value = max(steps, key=lambda step: step[0], default=(0, "", None))
            if not levels:
                return
            yield key


def _too_deep(path: list[str]) -> ParamctlError:
    message = f"tensors are nested deeper than {MAX_DEPTH} levels, or a value holds itself"
    return failure(message, path=f"{'.'.join(path)[:60]}…")


def items(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a dict or a list holds of tensors and of values that may hold some, under texts.

    So does what stands for a dict or a list of a class of its own.
    """
    if isinstance(value, Made):
        value = value.members
    if isinstance(value, dict):
        for key, child in value.items():
            if isinstance(child, _HOLDING) and child:
                yield key if isinstance(key, str) else text_of(key), child
    elif isinstance(value, list | tuple):
        for i, child in enumerate(value):
            if isinstance(child, _HOLDING) and child:
                yield str(i), child


def text_of(key: Any) -> str:
    """Write a key that is no text: a number as it is, and whatever else by its kind, since it may be of any size."""
    if isinstance(key, WrittenKey):
        return key.text
    return str(key) if key is None or isinstance(key, bool | int | float | Global) else f"<{type(key).__name__}>"
