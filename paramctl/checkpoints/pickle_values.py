"""What the values of a pickle are where Python's own would be imported, called or hashed: plain and inert."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

_KEY_BITS: Final = 64
"""The longest integer that is a key as it is: of longer ones as many as one likes have the same hash."""
_WRITTEN_BITS: Final = 512
_MAX_KEY_DEPTH: Final = 8
_MAX_KEY_PARTS: Final = 100


class PickleError(Exception):
    """What is wrong with a pickle, at which of its bytes."""

    def __init__(self, message: str, byte: int = -1) -> None:
        super().__init__(message)
        self.message = message
        self.byte = byte


class Global(NamedTuple):
    """A name that a pickle would import, at the byte that says so."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(slots=True, eq=False, repr=False)
class Made:
    """What a call would have made, and what would have been put into it."""

    made_by: Global
    arguments: tuple[Any, ...] = ()
    state: Any = None
    members: dict[Any, Any] = field(default_factory=dict)


class WrittenKey(NamedTuple):
    """A key of a dict that is no text, as it is written; `objects` tells those apart that are written alike."""

    text: str
    objects: tuple[int, ...] = ()


Call: TypeAlias = Callable[..., Any]
"""Makes the value that stands for a call, from its arguments; raises PickleError where they are none."""


def key_of(key: Any) -> Any:
    """Return what stands for a key of a dict.

    Tuples and long integers become texts, whose hashes nobody can choose: with keys of one hash, a dict of a few
    megabytes would take hours.

    Raises:
        PickleError: if no dict can have such a key, or it is so large that none has.

    """
    if type(key) is str or (type(key) is int and key.bit_length() <= _KEY_BITS):
        return key
    if isinstance(key, int | tuple) and not isinstance(key, bool | Global):
        objects: list[int] = []
        written = _written(key, [_MAX_KEY_PARTS], objects, 0)
        return WrittenKey(written, tuple(objects))
    _check_hashable(key)
    return key


def _written(key: Any, left: list[int], objects: list[int], depth: int) -> str:
    """Write a key; `left` counts its parts down, and `objects` gets those that have no text of their own."""
    if type(key) is tuple:
        left[0] -= len(key)
        if depth > _MAX_KEY_DEPTH or left[0] < 0:
            raise PickleError("a key is nested too deeply, or has too many parts")
        parts = [_written(each, left, objects, depth + 1) for each in key]
        return f"({', '.join(parts)}{',' * (len(parts) == 1)})"
    if type(key) is int and key.bit_length() > _WRITTEN_BITS:
        raise PickleError(f"a key is an integer of {key.bit_length():,} bits")
    if key is None or isinstance(key, str | bytes | int | float):
        return repr(key)
    if isinstance(key, Global):
        return str(key)
    _check_hashable(key)
    objects.append(id(key))
    return f"<{key.made_by.name if isinstance(key, Made) else type(key).__name__}>"


def _check_hashable(key: Any) -> None:
    if isinstance(key, list | dict | bytearray | set):
        raise PickleError(f"a key is a {type(key).__name__}, which cannot be one")
