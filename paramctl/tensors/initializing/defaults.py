"""What torch.nn's layers write into their parameters by themselves, recorded from their own code as scheme calls.

A recorded program can be run for one parameter alone, under its own stream and in any memory; and its formula is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, Self, TypeAlias

import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized
from torch.overrides import TorchFunctionMode

from paramctl.scheme_declaration import Scheme
from paramctl.schemes import SCHEMES
from paramctl.tensors.initializing import kernels
from paramctl.tensors.initializing.blocks import Stream


@dataclass(frozen=True, slots=True)
class Write:
    """One scheme call; `view` is the (size, stride, offset) of the part that it writes, None for the whole tensor."""

    scheme: Scheme
    options: Mapping[str, Any]
    view: tuple[tuple[int, ...], tuple[int, ...], int] | None = None


Program: TypeAlias = tuple[Write, ...]
"""The writes that initialise one tensor, in order; empty where nothing does."""


@dataclass(frozen=True, slots=True)
class Programs:
    """The recorded programs of a model's tensors.

    Attributes:
        recorded: tensor and program by the tensor's id; the tensor is held so that the id is not used again.
        complete: whether every tensor without a program holds what its layer wrote.
        unwritten: how many elements its layer has left unwritten, by the id of each parameter of which there are any.
        loaded: the ids of the tensors that have their values from a checkpoint.

    """

    recorded: Mapping[int, tuple[torch.Tensor, Program]]
    complete: bool = False
    unwritten: Mapping[int, int] = field(default_factory=dict)
    loaded: AbstractSet[int] = frozenset()

    def of(self, tensor: torch.Tensor) -> Program:
        """Return the program of a tensor, an empty one where nothing is known to write it."""
        return self.recorded[id(tensor)][1] if id(tensor) in self.recorded else ()


def run_program(program: Program, tensor: torch.Tensor, stream: Stream) -> None:
    """Run a recorded program on a contiguous tensor on the CPU, in place; each write draws from a stream of its own."""
    for number, write in enumerate(program):
        target = tensor if write.view is None else tensor.as_strided(*write.view)
        own = partial(stream, number) if number else stream
        kernels.fill(target, write.scheme.name, write.options, own)


def record_programs(*roots: nn.Module, complete: bool = False, unwritten: Mapping[int, int] | None = None) -> Programs:
    """Record what torch.nn's modules at and below the roots write into their tensors when they are reset.

    Nothing is executed, so the module may hold values or be on the meta device. A module whose class is not torch.nn's
    keeps its secrets: its own parameters have no program. Neither have those at and below a module that computes
    tensors from its parameters, as a parametrization or pruning does: a reset would write to what is computed.
    What is `complete` or `unwritten` is handed on.
    """
    met: set[int] = set()
    modules = [module for root in roots for module in _children_first(root, met)]
    tensors = {id(tensor): tensor for module in modules for tensor in _direct_tensors(module)}
    recorder = _Recorder(tensors, _owners(roots))
    with torch.random.fork_rng(devices=[]):  # what a reset draws besides must not advance the caller's generator
        for module in modules:
            _record(module, recorder)
    recorded = {key: (tensors[key], _what_remains(writes)) for key, writes in recorder.writes.items()}
    return Programs(recorded, complete, unwritten or {})


def _record(module: nn.Module, recorder: _Recorder) -> None:
    resets = [getattr(type(module), name, None) for name in ("reset_parameters", "_reset_parameters")]
    theirs = [each for each in resets if each is not None and each.__module__.startswith("torch.nn.")]
    if theirs and any(map(_computes_tensors, module.modules())):
        for tensor in (*module.parameters(), *module.buffers()):
            recorder.writes.pop(id(tensor), None)
        return
    for reset in theirs:
        with recorder.of(module):
            reset(module)


def _owners(roots: Iterable[nn.Module]) -> dict[int, nn.Module]:
    """Return the module under whose name each tensor stands first: of a tie, the one whose values count."""
    owners: dict[int, nn.Module] = {}
    for root in roots:
        for module in root.modules():
            for tensor in _direct_tensors(module):
                owners.setdefault(id(tensor), module)
    return owners


def _direct_tensors(module: nn.Module) -> Iterator[torch.Tensor]:
    yield from module.parameters(recurse=False)
    yield from module.buffers(recurse=False)


def _computes_tensors(module: nn.Module) -> bool:
    """Tell whether a parametrization, pruning or an older weight norm stands between a module and its parameters."""
    return is_parametrized(module) or any(isinstance(each, torch.Tensor) for each in vars(module).values())


def _what_remains(writes: list[Write]) -> Program:
    """Leave out what a later write of the whole tensor replaces."""
    last = max((i for i, write in enumerate(writes) if write.view is None), default=0)
    return tuple(writes[last:])


def _children_first(module: nn.Module, met: set[int]) -> list[nn.Module]:
    """Order modules as constructors run: those of the children before that of the parent, which may change them."""
    if id(module) in met:
        return []
    met.add(id(module))
    return [each for child in module.children() for each in _children_first(child, met)] + [module]


def _renamed(scheme: str, **names: str) -> Callable[..., tuple[str, dict[str, Any]]]:
    """Make a reader of a call's arguments; `names` gives each option's name there, in the order behind the tensor."""

    def read(arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        given = dict(zip(names, arguments, strict=False))
        given |= {option: keywords[name] for option, name in names.items() if name in keywords}
        return scheme, {name: given.get(name, option.default) for name, option in SCHEMES[scheme].options.items()}

    return read


_READERS: Mapping[Any, Callable[..., tuple[str, dict[str, Any]]]] = MappingProxyType(
    {
        torch.Tensor.uniform_: _renamed("uniform", a="from", b="to"),
        torch.Tensor.normal_: _renamed("normal", mean="mean", std="std"),
        torch.Tensor.fill_: _renamed("constant", val="value"),
        torch.Tensor.zero_: _renamed("zeros"),
        nn.init.uniform_: _renamed("uniform", a="a", b="b"),
        nn.init.normal_: _renamed("normal", mean="mean", std="std"),
        nn.init.constant_: _renamed("constant", val="val"),
        nn.init.kaiming_uniform_: _renamed("kaiming_uniform", a="a", mode="mode", nonlinearity="nonlinearity"),
        nn.init.kaiming_normal_: _renamed("kaiming_normal", a="a", mode="mode", nonlinearity="nonlinearity"),
    }
)


@dataclass(slots=True)
class _Recorder(TorchFunctionMode):
    """Notes what is written to known tensors, and makes none of these writes.

    Attributes:
        tensors: the known ones, by id.
        owners: the module that each of them belongs to.
        writes: what was written to each, in order.
        within: the ids of those that belong to the module that is being reset, or to one inside it.

    """

    tensors: Mapping[int, torch.Tensor]
    owners: Mapping[int, nn.Module]
    writes: dict[int, list[Write]] = field(default_factory=dict)
    within: set[int] = field(default_factory=set)

    def of(self, module: nn.Module) -> Self:
        """Note from now on what this module writes to its own, and to what its modules own."""
        held = ((each, id(tensor)) for each in module.modules() for tensor in _direct_tensors(each))
        self.within = {key for each, key in held if self.owners[key] is each}
        return self

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Note a call that fills a known tensor instead of making it; make every other call."""
        kwargs = kwargs or {}
        reader = _READERS.get(func)
        if reader is None:
            return func(*args, **kwargs)
        target, rest = (args[0], args[1:]) if args else (kwargs["tensor"], ())
        owner = target if id(target) in self.tensors else target._base  # noqa: SLF001  torch documents it, and there is no other way
        if owner is None or id(owner) not in self.tensors:
            return func(*args, **kwargs)
        if id(owner) not in self.within:
            return target
        scheme, options = reader(rest, kwargs)
        view = None if owner is target else (tuple(target.shape), target.stride(), target.storage_offset())
        self.writes.setdefault(id(owner), []).append(Write(SCHEMES[scheme], options, view))
        return target
