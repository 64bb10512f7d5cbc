"""Running a constructor on the meta device, where filling a tensor does nothing and need cost nothing."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

_UNRECORDED_FILLS: Final = frozenset(
    {nn.init.normal_, nn.init.uniform_, nn.init.constant_, nn.init.kaiming_uniform_, nn.init.kaiming_normal_}
)
_FILLS: Final = frozenset(
    {
        torch.Tensor.normal_, torch.Tensor.uniform_, torch.Tensor.erfinv_, torch.Tensor.mul_, torch.Tensor.add_,
        torch.Tensor.div_, torch.Tensor.sub_, torch.Tensor.clamp_,
    }
)  # fmt: skip
"""What changes the elements of its first argument, and returns it; autograd sees nothing of those above."""
_SCALINGS: Final = frozenset(
    {
        torch.mul, torch.Tensor.mul, torch.Tensor.__mul__, torch.Tensor.__rmul__, torch.div, torch.Tensor.div,
        torch.Tensor.__truediv__, torch.add, torch.Tensor.add, torch.Tensor.__add__, torch.Tensor.__radd__, torch.sub,
        torch.Tensor.sub, torch.Tensor.__sub__,
    }
)  # fmt: skip
"""What returns a tensor like its first argument, where that is floating and the second one is a number."""


@contextmanager
def on_meta() -> Iterator[None]:
    """Make tensors on the meta device, and leave out what would only fill them.

    The first `normal_` on it imports 500 modules, the first multiplication 300 more: together a second.
    """
    with warnings.catch_warnings(), torch.device("meta"), _WithoutFilling():
        # For every parameter of a state dict that is loaded.
        warnings.filterwarnings("ignore", message=".*copying from a non-meta parameter")
        yield


class _WithoutFilling(TorchFunctionMode):
    """Makes every call but those that fill or scale a tensor on meta; what autograd may have to say it lets through."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.randn and not {"out", "device", "generator", "names"} & kwargs.keys():
            return torch.empty(*args, **kwargs)
        target = args[0] if args else kwargs.get("tensor")
        if isinstance(target, torch.Tensor) and target.is_meta:
            if func in _UNRECORDED_FILLS:
                return target
            recorded = target.requires_grad and torch.is_grad_enabled()
            if func in _FILLS and not recorded and _are_numbers(*args[1:], *kwargs.values()):
                return target
            if func in _SCALINGS and not recorded and not kwargs and _keeps_dtype(*args):
                return torch.empty(target.shape, dtype=target.dtype)  # `empty_like` imports sympy
        return func(*args, **kwargs)


def _keeps_dtype(tensor: torch.Tensor, *others: object) -> bool:
    return tensor.is_floating_point() and [type(each) in {int, float} for each in others] == [True]


def _are_numbers(*arguments: object) -> bool:
    """Tell whether arguments are numbers, or left out: a tensor might have a shape that does not fit."""
    return all(each is None or type(each) in {int, float} for each in arguments)
