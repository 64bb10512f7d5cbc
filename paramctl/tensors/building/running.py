"""The modules that were running when a pass failed, and what makes an error of that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from traceback import walk_tb
from typing import Any, Protocol

import torch
from torch import nn

from paramctl.errors import ParamctlError


@dataclass(frozen=True, slots=True)
class Running:
    """A module whose forward has begun, and what it was given."""

    module: nn.Module
    inputs: tuple[Any, ...]

    @property
    def tensors(self) -> list[torch.Tensor]:
        """The tensors among what it was given."""
        return [each for each in self.inputs if isinstance(each, torch.Tensor)]

    def __str__(self) -> str:
        """Name what it was given: the shapes of tensors, the types of everything else that may hold some."""
        shown = [
            str(list(each.shape)) if isinstance(each, torch.Tensor) else f"a {type(each).__name__}"
            for each in self.inputs
            if isinstance(each, torch.Tensor | tuple | list | dict)
        ]
        return " and ".join(shown) or "no tensor"


class Explain(Protocol):
    """Makes the error for a failure in a pass."""

    def __call__(self, running: Sequence[Running], error: BaseException, operation: str | None = None) -> ParamctlError:
        """Make the error.

        Args:
            running: the modules that were running, outermost first; in backward, when the operation was called.
            error: what was raised.
            operation: the operation whose backward failed; None where forward did.

        """


def modules_in(error: BaseException) -> Iterator[Running]:
    """Yield the modules that an exception went through, outermost first."""
    for frame, _ in walk_tb(error.__traceback__):
        if frame.f_code is nn.Module._wrapped_call_impl.__code__:  # noqa: SLF001  what `net(...)` calls
            held = frame.f_locals
            yield Running(held["self"], (*held["args"], *held["kwargs"].values()))
