"""Spec -> `nn.Sequential`, on the meta device: what needs values gets them afterwards."""

from __future__ import annotations

from collections.abc import Container as Holding
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import nn

from paramctl.errors import ParamctlError, Position, Problem, nearest
from paramctl.globs import compile_glob
from paramctl.records import join
from paramctl.spec.model import Container, Layer, Located, ModuleSpec, Repeat, Spec, unmatched_freeze
from paramctl.spec.outline import extent_of, layers_of
from paramctl.tensors import streams
from paramctl.tensors.building.built import BuiltModel
from paramctl.tensors.building.construct import CONTAINERS, construct, initialization
from paramctl.tensors.building.prototypes import build_holdings
from paramctl.tensors.building.spec_failures import explainer, input_hint
from paramctl.tensors.collect import named_modules
from paramctl.tensors.initializing.defaults import Programs, record_programs
from paramctl.tensors.initializing.unwritten import FreshMemory
from paramctl.tensors.memory import ensure_fits

Slot: TypeAlias = tuple[nn.Module, str]
"""The module and the attribute that hold a parameter."""

MODULE_BYTES = 4096
"""What a module object with two parameters takes, on the meta device; measured."""


def build(
    spec: Spec, *, dtype: str | None = None, seed: int | None = None, overwritten: Holding[str] | None = None
) -> BuiltModel:
    """Build the model of a spec on the meta device, tied and frozen as the spec says.

    Args:
        spec: the spec.
        dtype: what floating parameters are made as, instead of what the spec says.
        seed: given where the model will get values: layers of the user's own are built on the CPU, each under the
            stream of this seed and its path, since their constructors alone know their values.
        overwritten: given where the values are to be those of a script: all layers are then built on the CPU, after
            `torch.manual_seed(seed)`, and only parameters of these names lose their values to the meta device.

    Raises:
        ParamctlError: if a constructor fails, a name does not exist, or a limit is passed.

    """
    builder = _Builder(spec, dtype or spec.dtype, seed, overwritten)
    with initialization(enabled=False):
        extent = extent_of(
            spec,
            build_holdings(spec, layers_of(spec.root), builder.dtype, _Builder(spec, builder.dtype).argument),
        )
        ensure_fits(extent.modules * MODULE_BYTES, "the modules of this spec")
        if seed is not None and spec.imports:
            ensure_fits(extent.nbytes, "the values of the model")
        net = builder.root()
    assert isinstance(net, nn.Sequential), "the root of a spec is a Sequential"
    programs = Programs({}, complete=True)
    if seed is not None:
        torch_layers = [
            module
            for module, node in builder.origins
            if isinstance(node, Layer) and node.call.reference is None and id(module) not in builder.initialized
        ]
        unwritten = builder.fresh.release(net) if spec.imports else {}
        programs = record_programs(*torch_layers, complete=True, unwritten=unwritten)
    tie(net, spec.ties)
    notes = [note for glob in spec.freeze if (note := freeze(net, glob))]
    return BuiltModel(
        net=net,
        origins=builder.origins,
        programs=programs,
        explain=explainer(spec, net, builder.origins),
        notes=notes,
        rules=spec.rules,
        input=spec.input,
        input_hint=lambda: input_hint(spec),
        loss=spec.loss,
        users_code=bool(spec.imports),
        as_script=lambda names: build(spec, dtype=dtype, seed=seed, overwritten=names).net,
    )


def tie(net: nn.Module, ties: Sequence[tuple[Located, ...]]) -> None:
    """Make the names of each tie refer to one Parameter, that of the first name; what was tied before stays so.

    Raises:
        ParamctlError: for every name that does not exist, or whose shape or dtype differs from that of the first.

    """
    if not ties:
        return
    slots = _parameter_slots(net)
    holders: dict[int, list[Slot]] = {}
    for slot in dict.fromkeys(slots.values()):
        holders.setdefault(id(getattr(*slot)), []).append(slot)
    problems: list[Problem] = []
    for first, *others in ties:
        problems += [_unknown(each, slots) for each in (first, *others) if each.text not in slots]
        for other in others:
            if first.text not in slots or other.text not in slots:
                continue
            kept, replaced = getattr(*slots[first.text]), getattr(*slots[other.text])
            mismatch = _mismatch(kept, replaced)
            if mismatch is not None:
                problems.append(
                    Problem(message=f"cannot tie {other.text} to {first.text}: {mismatch}", where=other.where)
                )
            elif kept is not replaced:
                moved = holders.pop(id(replaced))
                holders[id(kept)] += moved
                for slot in moved:
                    setattr(*slot, kept)
    if problems:
        raise ParamctlError(*problems)


def _parameter_slots(net: nn.Module) -> dict[str, Slot]:
    """Return where the parameter of each name is held."""
    return {
        join(path, attribute): (module, attribute)
        for path, module in named_modules(net)
        for attribute, _ in module.named_parameters(recurse=False, remove_duplicate=False)
    }


def _unknown(name: Located, known: Iterable[str]) -> Problem:
    message = f"there is no parameter {name.text!r} to tie"
    return Problem(message=message, where=name.where, path="tie", hint=nearest(name.text, known))


def _mismatch(kept: torch.Tensor, replaced: torch.Tensor) -> str | None:
    if kept.shape != replaced.shape:
        return f"their shapes differ, {list(replaced.shape)} and {list(kept.shape)}"
    if kept.dtype != replaced.dtype:
        return f"their dtypes differ, {replaced.dtype} and {kept.dtype}"
    return None


def freeze(net: nn.Module, glob: Located) -> str | None:
    """Let no gradient reach the parameters that a glob matches by any name; say so if there is none."""
    matches = compile_glob(glob.text)
    frozen = [parameter for name, parameter in net.named_parameters(remove_duplicate=False) if matches((name,))]
    for parameter in frozen:
        parameter.requires_grad_(False)
    return None if frozen else unmatched_freeze(glob)


@dataclass(slots=True)
class _Builder:
    spec: Spec
    dtype: str | None
    seed: int | None = None
    overwritten: Holding[str] | None = None
    origins: list[tuple[nn.Module, ModuleSpec]] = field(default_factory=list)
    instances: dict[int, dict[int, nn.Module]] = field(default_factory=lambda: {0: {}})
    initialized: set[int] = field(default_factory=set)
    fresh: FreshMemory = field(default_factory=FreshMemory)
    inside_layer_with_values: bool = False

    def root(self) -> nn.Module:
        """Build the whole model."""
        if self.overwritten is None or self.seed is None:
            return self.module(self.spec.root, "")
        with initialization(enabled=True), streams.global_stream(self.seed, "build"):
            torch.manual_seed(self.seed)
            return self.module(self.spec.root, "")

    def module(self, node: ModuleSpec, path: str) -> nn.Module:
        """Build a module, or return the one that the same node gave before in the same copy of its Repeat."""
        if node.shared and id(node) in self.instances[node.scope]:
            return self.instances[node.scope][id(node)]
        if isinstance(node, Layer):
            module = self.layer(node, path)
        elif isinstance(node, Repeat):
            module = nn.Sequential(*(self.copy(node, join(path, str(i))) for i in range(node.times)))
        else:
            module = self.container(node, path)
        self.origins.append((module, node))
        if node.shared:
            self.instances[node.scope][id(node)] = module
        return module

    def container(self, node: Container, path: str) -> nn.Module:
        named = zip(node.child_names(), node.children, strict=True)
        children = {name: self.module(child, join(path, name)) for name, child in named}
        if node.kind == "Residual":
            return CONTAINERS["Residual"](**children)
        container = CONTAINERS[node.kind]()
        for name, child in children.items():
            container.add_module(name, child)
        return container

    def copy(self, node: Repeat, path: str) -> nn.Module:
        self.instances[node.inner_scope] = {}
        return self.module(node.body, path)

    def argument(self, node: ModuleSpec) -> nn.Module:
        """Build a layer that is an argument of another, which decides about its path."""
        return self.module(node, "")

    def layer(self, node: Layer, path: str) -> nn.Module:
        """Build a layer: with values if it is the user's own, an argument of one that may change it, or a script's."""
        where = self.spec.position(node)
        if self.inside_layer_with_values:
            return self.with_values(node, where)
        if self.overwritten is None and (node.call.reference is None or self.seed is None):
            return construct(node, where, device="meta", dtype=self.dtype, build=self.argument)
        self.inside_layer_with_values = True
        if self.overwritten is None:
            assert self.seed is not None, "layers are built with values where there is a seed"
            with initialization(enabled=True), streams.global_stream(self.seed, path), self.fresh:
                module = self.with_values(node, where)
        else:
            with self.fresh if node.call.reference else nullcontext():
                module = self.with_values(node, where)
            _let_go(module, path, self.overwritten)
        self.inside_layer_with_values = False
        return module

    def with_values(self, node: Layer, where: Position) -> nn.Module:
        """Build a layer on the CPU."""
        module = construct(node, where, device="cpu", dtype=self.dtype, build=self.argument)
        self.initialized.add(id(module))
        return module


def _let_go(module: nn.Module, path: str, overwritten: Holding[str]) -> None:
    """Move the parameters whose values nobody needs to the meta device; ties are kept."""
    on_meta: dict[int, nn.Parameter] = {}
    for inner, owner in named_modules(module):
        for attribute, parameter in list(owner.named_parameters(recurse=False, remove_duplicate=False)):
            if join(join(path, inner) if inner else path, attribute) in overwritten:
                empty = _on_meta(parameter)
                kept = on_meta.setdefault(id(parameter), nn.Parameter(empty, requires_grad=parameter.requires_grad))
                setattr(owner, attribute, kept)


def _on_meta(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor like another one on the meta device, with its strides: torch draws in the order of the memory."""
    if tensor.layout is not torch.strided:
        return torch.empty_like(tensor, device="meta")
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
