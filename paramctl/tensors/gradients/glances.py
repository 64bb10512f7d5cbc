"""A glance at a tensor: its least and its largest element tell whether all are finite, and whether all are zero."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from paramctl.tensors.statistics import MEASURED


class Glance(NamedTuple):
    """The least and the largest element; both NaN where one is. Of complex numbers, those of their parts."""

    least: float
    largest: float

    @property
    def is_finite(self) -> bool:
        """Whether all elements are."""
        return math.isfinite(self.least) and math.isfinite(self.largest)

    @property
    def has_nan(self) -> bool:
        """Whether an element is NaN."""
        return math.isnan(self.least)

    @property
    def is_zero(self) -> bool:
        """Whether all elements are."""
        return self.least == self.largest == 0


def glance(tensor: torch.Tensor) -> Glance | None:
    """Look at a tensor; None where it has no elements, no fractions, or nothing that can be looked at by torch."""
    if not (tensor.is_floating_point() or tensor.is_complex()) or tensor.dtype not in MEASURED or tensor.is_meta:
        return None
    try:
        held = _dense(tensor.detach())
        if held.numel() == 0:
            return None
        least, largest = torch.aminmax(held)
        return Glance(least.item(), largest.item())
    except RuntimeError:  # a class of tensors may lack whatever it does not need: nested ones have no least element
        return None


def _dense(tensor: torch.Tensor) -> torch.Tensor:
    while torch._C._functorch.is_functorch_wrapped_tensor(tensor):  # noqa: SLF001  torch has no public way to what vmap maps over
        tensor = torch._C._functorch.get_unwrapped(tensor)  # noqa: SLF001  as above
    if tensor.layout is not torch.strided:
        tensor = tensor.coalesce().values() if tensor.layout is torch.sparse_coo else tensor.to_dense()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    return tensor.float() if tensor.element_size() == 1 else tensor
