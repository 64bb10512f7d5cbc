"""Which module was running, and which operation, when each node of autograd's graph was made.

Autograd numbers the nodes in the order in which they are made. So the number at the beginning and at the end of an
operation, and wherever a module begins or ends, tells of every node what made it, also of one that nobody announced.
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from threading import RLock, get_ident
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.autograd.graph import Node
from torch.overrides import TorchFunctionMode

from paramctl.tensors.collect import named_modules

_next_number: Callable[[], int] = torch.autograd._get_sequence_nr  # type: ignore[attr-defined]  # noqa: SLF001  only torch's own code has needed it
_one_at_a_time = RLock()
"""Held while `Module.__call__` is another one, so that each thread puts back what it found."""


@dataclass(slots=True, eq=False)
class ModuleCall:
    """A call of a module.

    Attributes:
        module: the module.
        caller: the call that it was made from; None for the outermost.
        turn: how many calls its caller had made before.
        begun: the number of the first node that could be made in it.
        ended: the number of the first node that could be made after it.
        calls: how many calls it has made itself.

    """

    module: nn.Module
    caller: ModuleCall | None
    turn: int
    begun: int
    ended: int = sys.maxsize
    calls: int = 0

    def chain(self) -> list[ModuleCall]:
        """Return the calls that were running, outermost first, this one last."""
        before = self.caller.chain() if self.caller else []
        return [*before, self]


Origin: TypeAlias = tuple[ModuleCall | None, str]
"""What made a node: the call that was running, None for code outside the model; and the operation's name."""


@dataclass(slots=True, eq=False)
class Timeline:
    """What ran between which numbers; the numbers at which operations and calls begin rise.

    Attributes:
        elsewhere: the `id()`s of modules that ran in other threads, whose nodes have numbers of their own.
        begun: the number of the first node that may be made now.

    """

    elsewhere: set[int] = field(default_factory=set)
    begun: int = field(default_factory=_next_number)
    _starts: list[int] = field(default_factory=list)
    _ends: list[int] = field(default_factory=list)
    _functions: list[Callable[..., Any]] = field(default_factory=list)
    _entries: list[int] = field(default_factory=list)
    _calls: list[ModuleCall] = field(default_factory=list)
    _names: dict[Callable[..., Any], str] = field(default_factory=dict)

    def note_operation(self, start: int, end: int, function: Callable[..., Any]) -> None:
        """Remember that a function made the nodes from `start` to before `end`."""
        self._starts.append(start)
        self._ends.append(end)
        self._functions.append(function)

    def note_call(self, call: ModuleCall) -> None:
        """Remember that a call begins."""
        self._entries.append(call.begun)
        self._calls.append(call)

    def operation_at(self, number: int) -> int | None:
        """Return which operation, counted from 0, made the node of a number; None where none was seen to."""
        index = bisect_right(self._starts, number) - 1
        return index if index >= 0 and number < self._ends[index] else None

    def origin(self, node: Node, number: int) -> Origin:
        """Return what made a node, by its number; of one that no operation made, the operation is its name."""
        operation = self.operation_at(number)
        name = name_of(node) if operation is None else self._name(self._functions[operation])
        index = bisect_right(self._entries, number) - 1
        call = self._calls[index] if index >= 0 else None
        # The last one that had begun may have ended: what goes on then is one around it.
        while call is not None and number >= call.ended:
            call = call.caller
        return call, name

    def threads_made(self, numbers: Sequence[int]) -> bool:
        """Tell whether some of a graph's nodes were made in other threads: two have one number, or one is ahead."""
        return len(set(numbers)) < len(numbers) or max(numbers, default=-1) >= _next_number()

    def _name(self, function: Callable[..., Any]) -> str:
        known = self._names.get(function)
        if known is None:
            self._names[function] = known = _function_name(function)
        return known


def name_of(node: Node) -> str:
    """Return a node's name without what all of them have: ``Addmm`` for ``AddmmBackward0``."""
    return re.sub(r"Backward\d*$", "", node.name())


class Watch:
    """What looks on while modules run; a subclass says at what."""

    def entered(self, call: ModuleCall, inputs: object) -> None:
        """Look at what a module is given, by position and by name."""

    def left(self, call: ModuleCall, output: Any) -> None:
        """Look at what a module returns."""


@contextmanager
def recording(timeline: Timeline, watch: Watch | None = None) -> Iterator[None]:
    """Record what runs in this thread inside the block.

    Code that was compiled runs as it was written meanwhile: otherwise it would be one operation. And autocast keeps
    no parameter that it cast, since all uses of one would be one node.
    """
    with ExitStack() as stack:
        stack.enter_context(_calls_noted(timeline, watch))
        stack.enter_context(_not_compiled())
        stack.callback(torch.set_autocast_cache_enabled, torch.is_autocast_cache_enabled())
        stack.enter_context(_Operations(timeline))
        yield


class _Operations(TorchFunctionMode):
    """Notes every function of torch's that is called, except from within another one, and makes nodes."""

    def __init__(self, timeline: Timeline) -> None:
        super().__init__()
        self.timeline = timeline

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if torch.is_autocast_cache_enabled():  # a block of the model's own switches it on
            torch.set_autocast_cache_enabled(False)
        start = _next_number()
        returned = func(*args, **kwargs) if kwargs else func(*args)
        end = _next_number()
        if end != start:
            self.timeline.note_operation(start, end, func)
        return returned


@contextmanager
def _calls_noted(timeline: Timeline, watch: Watch | None) -> Iterator[None]:
    """Note where calls of modules begin and end, by a `Module.__call__` that says so, as `torch.fx` traces them.

    Global hooks would take twice as long, run before the module's own, and miss the end of a call that fails.
    """
    thread = get_ident()
    running: ModuleCall | None = None

    def call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        nonlocal running
        if get_ident() != thread:
            timeline.elsewhere.add(id(module))
            output = torchs_own(module, *args, **kwargs)
            if watch is not None:
                watch.left(ModuleCall(module, None, 0, _next_number()), output)
            return output
        caller = running
        turn = 0
        if caller is not None:
            turn = caller.calls
            caller.calls = turn + 1
        running = this = ModuleCall(module, caller, turn, _next_number())
        timeline.note_call(this)
        if watch is not None:
            watch.entered(this, (args, kwargs))
        try:
            output = torchs_own(module, *args, **kwargs)
        finally:
            running = caller
            this.ended = _next_number()
        if watch is not None:
            watch.left(this, output)
        return output

    with _one_at_a_time:
        torchs_own = nn.Module.__call__
        nn.Module.__call__ = call  # type: ignore[method-assign]  # for a while, as the docstring says
        try:
            yield
        finally:
            nn.Module.__call__ = torchs_own  # type: ignore[method-assign]  # as it was


class Paths:
    """The paths of the modules of a model, by the calls of them."""

    def __init__(self, root: nn.Module) -> None:
        self._first: dict[int, str] = {}
        for path, module in named_modules(root):
            self._first.setdefault(id(module), path)
        self._inside: dict[int, dict[int, str]] = {}
        self._steps: dict[int, list[str]] = {}
        self._known: dict[ModuleCall, str] = {}

    def hold(self, modules: Iterable[int]) -> bool:
        """Tell whether one of some modules, given by `id()`, is one of the model's."""
        return any(each in self._first for each in modules)

    def of(self, call: ModuleCall) -> str:
        """Return the path of what was called; "" for the root.

        In a Sequential that is its position, for a module that stands at several; elsewhere its first name. A module
        that is none of the model's has the path of the one that called it.
        """
        known = self._known.get(call)
        if known is None:
            self._known[call] = known = self._path(call)
        return known

    def _path(self, call: ModuleCall) -> str:
        if call.caller is None:
            return self._first.get(id(call.module), "")
        above = self.of(call.caller)
        below = self._below(call.caller.module, call)
        if below is None:
            return self._first.get(id(call.module), above)
        return f"{above}.{below}" if above else below

    def _below(self, caller: nn.Module, call: ModuleCall) -> str | None:
        if type(caller).forward is nn.Sequential.forward:
            children = caller._modules  # noqa: SLF001  the public generators leave out a module that was met before
            if id(caller) not in self._steps:
                self._steps[id(caller)] = list(children)
            steps = self._steps[id(caller)]
            if call.turn < len(steps) and children.get(steps[call.turn]) is call.module:
                return steps[call.turn]
        if id(caller) not in self._inside:
            self._inside[id(caller)] = {id(module): path for path, module in caller.named_modules()}
        return self._inside[id(caller)].get(id(call.module))


def _not_compiled() -> AbstractContextManager[object]:
    """Run compiled code as it was written inside the block."""
    if "torch._dynamo" not in sys.modules:  # without it nothing can be compiled, and importing it takes seconds
        return nullcontext()
    stance: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return stance


def _function_name(function: Callable[..., Any]) -> str:
    """Return the name of a function of torch's: ``linear``, ``matmul`` for ``__matmul__``, ``T`` for the attribute."""
    name: str = getattr(function, "__name__", type(function).__name__)
    if name == "__get__":
        name = getattr(getattr(function, "__self__", None), "__name__", name)
    return name[2:-2] if name.startswith("__") and name.endswith("__") else name
