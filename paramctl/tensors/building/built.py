"""A model that was built, with what its spec or its code says about it."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from torch import nn

from paramctl.records import Inventory
from paramctl.rules import InitRule
from paramctl.spec.model import InputSpec, Loss, ModuleSpec
from paramctl.tensors.building.unregistered import take_full_inventory
from paramctl.tensors.collect import take_inventory
from paramctl.tensors.initializing.defaults import Programs

if TYPE_CHECKING:
    from paramctl.tensors.building.running import Explain


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
        loss: what backward starts from; None for the loss that the model returns, else the sum of its output.
        users_code: whether code of the user's own is in it.
        as_script: builds it once more with the values that a script's constructors draw, but for the parameters of
            these names; None where its values are those already.

    """

    net: nn.Module
    programs: Programs
    origins: Sequence[tuple[nn.Module, ModuleSpec]] = ()
    explain: Explain
    notes: Sequence[str] = ()
    rules: Sequence[InitRule] = ()
    input: InputSpec | None = None
    input_hint: Callable[[], str] = field(default=lambda: "give --input-shape")
    loss: Loss | None = None
    users_code: bool = False
    as_script: Callable[[Container[str]], nn.Module] | None = None

    def inventory(self) -> Inventory:
        """List what the model holds, and, where code of the user's is in it, what that has not registered."""
        return take_full_inventory(self.net) if self.users_code else take_inventory(self.net)


Build: TypeAlias = Callable[[], BuiltModel]
"""Builds a model."""
