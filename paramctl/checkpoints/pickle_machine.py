"""A machine for pickles: the values that its opcodes work on, and the limits of what one pickle may ask for.

Python's own unpickler imports what a pickle names and calls it, and can be made to allocate what no file holds. Here a
placeholder stands for whatever would be imported or called: nothing in a pickle is run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from paramctl.checkpoints.pickle_values import Call, Global, Made, PickleError
from paramctl.checkpoints.window import Window

MAX_STEPS: Final = 10_000_000
"""How many opcodes are followed, and how many values are copied by calls: some 300,000 tensors take so many."""
MAX_MARKS: Final = 10_000
"""How many lists, tuples and dicts are open at once."""
_STOP: Final = ord(".")


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
    memo: dict[int, Any] = field(default_factory=dict)
    _marks: list[list[Any]] = field(default_factory=list)
    _given: int = 0

    def run(self, opcodes: Mapping[int, Callable[[Machine], object]]) -> Any:
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
                opcodes.get(code, _unknown)(self)
        except PickleError as error:
            raise PickleError(error.message, at if error.byte < 0 else error.byte) from None
        except IndexError:
            raise PickleError("the pickle takes a value where there is none", at) from None
        except (ValueError, TypeError, OverflowError) as error:
            raise PickleError(f"the pickle is damaged: {str(error)[:80]}", at) from None
        raise _too_long(at)

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self.stack.append(value)

    def mark(self) -> None:
        """Begin a list, a tuple or a dict: what is put on the stack from here on is in it."""
        if len(self._marks) >= MAX_MARKS:
            raise PickleError(f"more than {MAX_MARKS:,} values are open at once")
        self._marks.append(self.stack)
        self.stack = []

    def pop_mark(self) -> list[Any]:
        """Return what was put on the stack since the last mark."""
        values = self.stack
        self.stack = self._marks.pop()
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
        if function not in self.calls:
            return Made(function, arguments)
        # A call may copy what it is given, which the pickle can give to any number of calls.
        self._given += sum(len(each) for each in arguments if isinstance(each, list | tuple | dict))
        if self._given > MAX_STEPS:
            raise _too_long()
        try:
            return self.calls[function](*arguments)
        except (TypeError, IndexError):
            raise PickleError(f"{function} is called with arguments that it does not take") from None


def _unknown(_: Machine) -> None:
    raise PickleError("there is no opcode of a pickle here")


def _too_long(byte: int = -1) -> PickleError:
    return PickleError(f"the pickle takes more than {MAX_STEPS:,} steps", byte)
