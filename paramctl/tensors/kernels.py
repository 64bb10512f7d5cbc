"""What fills a tensor: one kernel for each declared scheme, under its name."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import torch
from torch import nn

from paramctl.tensors.threads import one_thread

Kernel: TypeAlias = Callable[..., object]
"""Changes a tensor in place; takes it, a generator, and the scheme's options."""


def fill(tensor: torch.Tensor, scheme: str, options: Mapping[str, Any], generator: torch.Generator) -> None:
    """Apply a scheme to a tensor on the CPU, in place and unrecorded by autograd.

    Values are made in float32 (float64 and complex in their own precision) and rounded once to a smaller dtype, so that
    a bfloat16 model holds the rounded values of the float32 one.
    """
    kernel = KERNELS[scheme]
    with torch.no_grad(), warnings.catch_warnings():
        # torch warns of what the report's expected moments state: a mean outside the bounds, a rectangular tensor.
        warnings.simplefilter("ignore")
        if tensor.dtype in {torch.float32, torch.float64} or tensor.dtype.is_complex:
            kernel(tensor, generator, **options)
            return
        wide = tensor.to(torch.float32)
        kernel(wide, generator, **options)
        tensor.copy_(wide)


def _random(function: Callable[..., torch.Tensor]) -> Kernel:
    def kernel(tensor: torch.Tensor, generator: torch.Generator, **options: Any) -> None:
        function(tensor, generator=generator, **options)

    return kernel


def _fixed(function: Callable[..., torch.Tensor]) -> Kernel:
    def kernel(tensor: torch.Tensor, _: torch.Generator, **options: Any) -> None:
        function(tensor, **options)

    return kernel


def _orthogonal(tensor: torch.Tensor, generator: torch.Generator, **options: Any) -> None:
    """LAPACK gives other bits with another number of threads, so it gets one."""
    with one_thread():
        nn.init.orthogonal_(tensor, generator=generator, **options)


def _sparse(tensor: torch.Tensor, generator: torch.Generator, *, sparsity: float, std: float) -> None:
    """Do as `torch.nn.init.sparse_`, which takes its permutations from the global generator."""
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    tensor.normal_(0, std, generator=generator)
    for column in range(columns):
        tensor[torch.randperm(rows, generator=generator)[:zeros], column] = 0


def _add(tensor: torch.Tensor, _: torch.Generator, *, value: float) -> None:
    tensor.add_(value)


def _mul(tensor: torch.Tensor, _: torch.Generator, *, value: float) -> None:
    tensor.mul_(value)


KERNELS: Mapping[str, Kernel] = MappingProxyType(
    {
        **{
            name: _random(getattr(nn.init, f"{name}_"))
            for name in (
                "uniform", "normal", "trunc_normal", "xavier_uniform", "xavier_normal", "kaiming_uniform",
                "kaiming_normal",
            )
        },
        **{name: _fixed(getattr(nn.init, f"{name}_")) for name in ("constant", "ones", "zeros", "eye", "dirac")},
        "orthogonal": _orthogonal,
        "sparse": _sparse,
        "add": _add,
        "mul": _mul,
    }
)  # fmt: skip
"""The kernels by the scheme's name; `default` has none, since each layer has its own program."""
