"""The elements of a tensor as plain numbers, and as torch prints them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import torch

from paramctl.records import NestedValues


@dataclass(frozen=True, slots=True)
class TensorValues:
    """The elements of one tensor; they are converted when they are asked for."""

    tensor: torch.Tensor

    @classmethod
    def copied(cls, tensor: torch.Tensor) -> Self:
        """Return the elements that a tensor has now, whatever is written to it later."""
        return cls(tensor.detach().clone())

    def nested(self) -> NestedValues:
        """Return all elements, nested like the shape; None for what is not finite."""
        tensor = self.tensor.detach().cpu()
        if tensor.layout is not torch.strided:
            tensor = tensor.to_dense()
        if tensor.is_floating_point() and tensor.dtype not in {torch.float32, torch.float64}:
            tensor = tensor.to(torch.float64)
        return _plain(tensor.tolist())

    def text(self) -> str:
        """Return the elements as torch prints them: more than 1,000 are summarised."""
        return str(self.tensor.detach())


def _plain(value: Any) -> NestedValues:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, complex):
        return {"real": _plain(value.real), "imag": _plain(value.imag)}  # type: ignore[dict-item]
    return None if isinstance(value, float) and not math.isfinite(value) else value
