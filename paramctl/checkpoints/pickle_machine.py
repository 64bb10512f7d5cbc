"""A pickle -> plain values, with a placeholder for whatever it would import or call: nothing in it is run.

Python's own unpickler imports what a pickle names and calls it, and can be made to allocate what no file holds. This
one is a table of the opcodes over a stack of values.
"""

from __future__ import annotations

import codecs
import struct
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

from paramctl.checkpoints.window import Window

MAX_STEPS: Final = 20_000_000
"""How many opcodes are followed: some 600,000 tensors take so many."""
_MAX_KEY_DEPTH: Final = 8
_MEMO_LIMIT: Final = 2**32


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


@dataclass(slots=True, eq=False)
class Made:
    """What a call would have made, and what would have been put into it."""

    made_by: Global
    arguments: tuple[Any, ...] = ()
    state: Any = None
    members: dict[Any, Any] = field(default_factory=dict)


Call: TypeAlias = Callable[..., Any]
"""Makes the value that stands for a call, from its arguments; raises PickleError where they are none."""


@dataclass(slots=True)
class Machine:
    """What follows one pickle.

    Attributes:
        window: the bytes of the pickle.
        calls: what stands for the calls of known functions; of any other a `Made`.
        load: what stands for a persistent id, such as a storage.
        globals: the names that the pickle would have imported, with their bytes.
        called: those of them that it would have called as functions.

    """

    window: Window
    calls: Mapping[Global, Call]
    load: Call
    globals: dict[Global, int] = field(default_factory=dict)
    called: set[Global] = field(default_factory=set)
    stack: list[Any] = field(default_factory=list)
    marks: list[list[Any]] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def run(self) -> Any:
        """Follow the pickle and return its value.

        Raises:
            PickleError: if it is none, ends early or takes too many steps.

        """
        at = self.window.position
        try:
            for _ in range(MAX_STEPS):
                at = self.window.position
                code = self.window.take(1)[0]
                if code == _STOP:
                    return self.stack.pop()
                _STEPS.get(code, _unknown)(self)
        except PickleError as error:
            raise PickleError(error.message, at if error.byte < 0 else error.byte) from None
        except IndexError:
            raise PickleError("the pickle takes a value where there is none", at) from None
        except (ValueError, TypeError, OverflowError) as error:
            raise PickleError(f"the pickle is damaged: {str(error)[:80]}", at) from None
        raise PickleError(f"the pickle takes more than {MAX_STEPS:,} steps", at)

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self.stack.append(value)

    def pop_mark(self) -> list[Any]:
        """Return what was put on the stack since the last mark."""
        values = self.stack
        self.stack = self.marks.pop()
        return values

    def name(self, module: str, name: str) -> Global:
        """Note a name that would be imported."""
        found = Global(module, name)
        self.globals.setdefault(found, self.window.position)
        return found

    def make(self, function: Any, arguments: Any) -> Any:
        """Return what stands for a call."""
        if not isinstance(arguments, tuple):
            raise PickleError("the arguments of a call are no tuple")
        if not isinstance(function, Global):
            raise PickleError("what is called is no function that was named")
        if function in self.calls:
            try:
                return self.calls[function](*arguments)
            except (TypeError, IndexError):
                raise PickleError(f"{function} is called with arguments that it does not take") from None
        return Made(function, arguments)


def _unknown(_: Machine) -> None:
    raise PickleError("there is no opcode of a pickle here")


def _mark(machine: Machine) -> None:
    machine.marks.append(machine.stack)
    machine.stack = []


def _proto(machine: Machine) -> None:
    version = machine.window.take(1)[0]
    if version > 5:
        raise PickleError(f"the pickle is of protocol {version}; the latest known is 5")


def _memoize_at(machine: Machine, index: int) -> None:
    machine.memo[index] = machine.stack[-1]


def _recall(machine: Machine, index: int) -> None:
    if index not in machine.memo:
        raise PickleError(f"the pickle refers to value {index}, which it has not kept")
    machine.push(machine.memo[index])


def _line(machine: Machine) -> str:
    return machine.window.line().decode("utf-8")


def _text(machine: Machine, length: int) -> None:
    machine.push(machine.window.take(length).decode("utf-8", "surrogatepass"))


def _global(machine: Machine) -> None:
    module = _line(machine)
    machine.push(machine.name(module, _line(machine)))


def _stack_global(machine: Machine) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise PickleError("a name to import is no text")
    machine.push(machine.name(module, name))


def _reduce(machine: Machine) -> None:
    arguments, function = machine.stack.pop(), machine.stack.pop()
    if isinstance(function, Global):
        machine.called.add(function)
    machine.push(machine.make(function, arguments))


def _new_object(machine: Machine) -> None:
    arguments, kind = machine.stack.pop(), machine.stack.pop()
    machine.push(machine.make(kind, arguments))


def _new_object_with_keywords(machine: Machine) -> None:
    machine.stack.pop()
    _new_object(machine)


def _old_instance(machine: Machine) -> None:
    arguments = tuple(machine.pop_mark())
    module = _line(machine)
    machine.push(machine.make(machine.name(module, _line(machine)), arguments))


def _old_object(machine: Machine) -> None:
    kind, *arguments = machine.pop_mark()
    machine.push(machine.make(kind, tuple(arguments)))


def _build(machine: Machine) -> None:
    state = machine.stack.pop()
    value = machine.stack[-1]
    if isinstance(value, Made):
        value.state = state  # of a dict or a list, which stand for their subclasses too, attributes count nothing


def _append(machine: Machine) -> None:
    value = machine.stack.pop()
    _extend(machine.stack[-1], [value])


def _appends(machine: Machine) -> None:
    values = machine.pop_mark()
    _extend(machine.stack[-1], values)


def _extend(target: Any, values: list[Any]) -> None:
    if isinstance(target, list):
        target.extend(values)
    elif isinstance(target, Made):
        target.members |= zip(range(len(target.members), len(target.members) + len(values)), values, strict=True)
    else:
        raise PickleError("the pickle appends to what is no list")


def _set_item(machine: Machine) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    _set_items(machine.stack[-1], [key, value])


def _set_all(machine: Machine) -> None:
    items = machine.pop_mark()
    _set_items(machine.stack[-1], items)


def _set_items(target: Any, items: list[Any]) -> None:
    members = target.members if isinstance(target, Made) else target
    if not isinstance(members, dict):
        raise PickleError("the pickle sets items of what is no dict")
    if len(items) % 2:
        raise PickleError("a key of a dict has no value")
    for key, value in zip(items[::2], items[1::2], strict=True):
        _check_key(key)
        members[key] = value


def _check_key(key: Any, depth: int = 0) -> None:
    """Refuse a key that no dict can have, or a tuple so deep that Python's hash of it would not come back."""
    if isinstance(key, tuple) and not isinstance(key, Global):
        if depth > _MAX_KEY_DEPTH or len(key) > 1000:
            raise PickleError("a key is nested too deeply")
        for each in key:
            _check_key(each, depth + 1)
    elif isinstance(key, list | dict | bytearray | set):
        raise PickleError(f"a key is a {type(key).__name__}, which cannot be one")


def _add_items(machine: Machine) -> None:
    items = machine.pop_mark()
    if isinstance(machine.stack[-1], set):  # of which names alone matter: no tensor can be in one
        machine.stack[-1].update(item for item in items if isinstance(item, str))


def _dict(machine: Machine) -> None:
    items = machine.pop_mark()
    made: dict[Any, Any] = {}
    _set_items(made, items)
    machine.push(made)


def _tuple_of(count: int) -> Callable[[Machine], None]:
    def step(machine: Machine) -> None:
        if len(machine.stack) < count:
            raise IndexError
        machine.stack[-count:] = [tuple(machine.stack[-count:])]

    return step


def _persistent(machine: Machine) -> None:
    machine.push(machine.load(machine.stack.pop()))


def _persistent_text(machine: Machine) -> None:
    machine.push(machine.load(_line(machine)))


def _integer(machine: Machine) -> None:
    text = _line(machine)
    machine.push({"00": False, "01": True}[text] if text in {"00", "01"} else int(text))


def _long(machine: Machine, length: int) -> None:
    machine.push(int.from_bytes(machine.window.take(length), "little", signed=True))


def _quoted(machine: Machine) -> None:
    text = machine.window.line()
    if len(text) < 2 or text[:1] != text[-1:] or text[:1] not in {b"'", b'"'}:
        raise PickleError("a text has no quotes")
    with warnings.catch_warnings(action="ignore"):  # of an escape that is none
        machine.push(codecs.escape_decode(text[1:-1])[0].decode("latin-1"))


def _number(machine: Machine, form: str) -> int:
    (number,) = struct.unpack(form, machine.window.take(struct.calcsize(form)))
    length: int = number
    if length < 0:
        raise PickleError("a length is negative")
    return length


def _signed(machine: Machine) -> int:
    return int.from_bytes(machine.window.take(4), "little", signed=True)


def _pop(machine: Machine) -> None:
    if machine.stack:
        machine.stack.pop()
    else:
        machine.pop_mark()


def _duplicate(machine: Machine) -> None:
    machine.push(machine.stack[-1])


_STOP: Final = ord(".")
_U1, _U2, _U4, _I4, _U8 = "<B", "<H", "<I", "<i", "<Q"
_STEPS: Final[Mapping[int, Callable[[Machine], object]]] = {
    ord("("): _mark,
    ord("0"): _pop,
    ord("1"): lambda m: m.pop_mark() and None,
    ord("2"): _duplicate,
    ord("F"): lambda m: m.push(float(_line(m))),
    ord("G"): lambda m: m.push(struct.unpack(">d", m.window.take(8))[0]),
    ord("I"): _integer,
    ord("J"): lambda m: m.push(_signed(m)),
    ord("K"): lambda m: m.push(m.window.take(1)[0]),
    ord("L"): lambda m: m.push(int(_line(m).removesuffix("L"))),
    ord("M"): lambda m: m.push(_number(m, _U2)),
    0x8A: lambda m: _long(m, _number(m, _U1)),
    0x8B: lambda m: _long(m, _number(m, _I4)),
    ord("N"): lambda m: m.push(None),
    0x88: lambda m: m.push(True),
    0x89: lambda m: m.push(False),
    ord("P"): _persistent_text,
    ord("Q"): _persistent,
    ord("R"): _reduce,
    ord("S"): _quoted,
    ord("T"): lambda m: m.push(m.window.take(_number(m, _I4)).decode("latin-1")),
    ord("U"): lambda m: m.push(m.window.take(_number(m, _U1)).decode("latin-1")),
    ord("V"): lambda m: m.push(m.window.line().decode("raw-unicode-escape")),
    ord("X"): lambda m: _text(m, _number(m, _U4)),
    0x8C: lambda m: _text(m, _number(m, _U1)),
    0x8D: lambda m: _text(m, _number(m, _U8)),
    ord("B"): lambda m: m.push(m.window.take(_number(m, _U4))),
    ord("C"): lambda m: m.push(m.window.take(_number(m, _U1))),
    0x8E: lambda m: m.push(m.window.take(_number(m, _U8))),
    0x96: lambda m: m.push(bytearray(m.window.take(_number(m, _U8)))),
    ord("a"): _append,
    ord("e"): _appends,
    ord("b"): _build,
    ord("c"): _global,
    0x93: _stack_global,
    ord("d"): _dict,
    ord("}"): lambda m: m.push({}),
    ord("s"): _set_item,
    ord("u"): _set_all,
    ord("l"): lambda m: m.push(m.pop_mark()),
    ord("]"): lambda m: m.push([]),
    ord("t"): lambda m: m.push(tuple(m.pop_mark())),
    ord(")"): lambda m: m.push(()),
    0x85: _tuple_of(1),
    0x86: _tuple_of(2),
    0x87: _tuple_of(3),
    0x8F: lambda m: m.push(set()),
    0x90: _add_items,
    0x91: lambda m: m.push(frozenset(m.pop_mark() and ())),
    ord("i"): _old_instance,
    ord("o"): _old_object,
    0x81: _new_object,
    0x92: _new_object_with_keywords,
    0x80: _proto,
    0x95: lambda m: m.window.take(8) and None,
    0x94: lambda m: _memoize_at(m, len(m.memo)),
    ord("p"): lambda m: _memoize_at(m, int(_line(m))),
    ord("q"): lambda m: _memoize_at(m, _number(m, _U1)),
    ord("r"): lambda m: _memoize_at(m, _number(m, _U4)),
    ord("g"): lambda m: _recall(m, int(_line(m))),
    ord("h"): lambda m: _recall(m, _number(m, _U1)),
    ord("j"): lambda m: _recall(m, _number(m, _U4)),
}
"""What each opcode does; those that reach into other processes (extensions, buffers out of band) are unknown."""
