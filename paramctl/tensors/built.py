"""A model that was built, with what its spec or its code says about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from torch import nn

from paramctl.rules import InitRule
from paramctl.spec.model import InputSpec, Loss, ModuleSpec
from paramctl.tensors.defaults import Programs

if TYPE_CHECKING:
    from paramctl.tensors.backward import Explain


@dataclass(slots=True, kw_only=True)
class BuiltModel:
    """A built model.

    Attributes:
        net: the model; what is on the meta device has no values yet.
        programs: what the layers of torch.nn write into their tensors by themselves; empty where nobody asked.
        origins: each module with the node of the spec that it came from, where it came from one.
        explain: makes the error for a failure in its forward.
        notes: what the user should know.
        rules: its own init rules, which come before those of the command line.
        input: the input of its own for a forward pass.
        input_hint: tells which input it would take, where it has none of its own.
        loss: what backward starts from.

    """

    net: nn.Module
    programs: Programs
    origins: Sequence[tuple[nn.Module, ModuleSpec]] = ()
    explain: Explain
    notes: Sequence[str] = ()
    rules: Sequence[InitRule] = ()
    input: InputSpec | None = None
    input_hint: Callable[[], str] = field(default=lambda: "give --input-shape")
    loss: Loss = "sum"


Build: TypeAlias = Callable[[], BuiltModel]
"""Builds a model."""
