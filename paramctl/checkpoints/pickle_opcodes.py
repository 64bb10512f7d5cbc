"""The opcodes of pickle: what each does to the values of a machine."""

from __future__ import annotations

import codecs
import struct
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final

from paramctl.checkpoints.pickle_machine import Machine
from paramctl.checkpoints.pickle_values import Global, Made, PickleError, key_of


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
        target.members.update(enumerate(values, len(target.members)))
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
        members[key_of(key)] = value


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


_U1, _U2, _U4, _I4, _U8 = "<B", "<H", "<I", "<i", "<Q"
OPCODES: Final[Mapping[int, Callable[[Machine], object]]] = {
    ord("("): lambda m: m.mark(),
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
