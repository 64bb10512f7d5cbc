"""What fills a tensor: one kernel for each declared scheme, under its name."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import torch
from torch import nn

from paramctl.fans import Fans
from paramctl.schemes import TensorFacts
from paramctl.tensors.threads import one_thread

Kernel: TypeAlias = Callable[..., object]
"""Changes a tensor in place; takes it, what a formula may depend on, a generator, and the scheme's options."""
Fill: TypeAlias = Callable[[torch.Tensor, torch.Generator], object]
"""Fills or changes a run of elements in place."""


def fill(
    tensor: torch.Tensor,
    scheme: str,
    options: Mapping[str, Any],
    generator: torch.Generator,
    fans: Fans | None = None,
) -> None:
    """Apply a scheme to a tensor on the CPU, in place and unrecorded by autograd; without fans, torch's count.

    Values are made in float32 (float64 and complex in their own precision) and rounded once to a smaller dtype, so that
    a bfloat16 model holds the rounded values of the float32 one.
    """
    kernel = KERNELS[scheme]
    facts = TensorFacts(tuple(tensor.shape), layer_fans=fans)
    with torch.no_grad(), warnings.catch_warnings():
        # torch warns of what the report's expected moments state: a mean outside the bounds, a rectangular tensor.
        warnings.simplefilter("ignore")
        if tensor.dtype in {torch.float32, torch.float64} or tensor.dtype.is_complex:
            kernel(tensor, facts, generator, **options)
            return
        wide = tensor.to(torch.float32)
        kernel(wide, facts, generator, **options)
        tensor.copy_(wide)


def _elementwise(name: str) -> Kernel:
    def kernel(tensor: torch.Tensor, facts: TensorFacts, generator: torch.Generator, **options: Any) -> None:
        ELEMENTWISE[name](facts, **options)(tensor, generator)

    return kernel


def _uniform(low: float, high: float) -> Fill:
    return lambda block, generator: block.uniform_(low, high, generator=generator)


def _normal(mean: float, std: float) -> Fill:
    return lambda block, generator: block.normal_(mean, std, generator=generator)


def _constant(value: float) -> Fill:
    return lambda block, _: block.fill_(value)


def _glorot_std(facts: TensorFacts, gain: float) -> float:
    return gain * math.sqrt(2.0 / float(sum(facts.fans)))


def _he_std(facts: TensorFacts, a: float, mode: str, nonlinearity: Any) -> float:
    fan_in, fan_out = facts.fans
    return nn.init.calculate_gain(nonlinearity, a) / math.sqrt(fan_in if mode == "fan_in" else fan_out)


def _symmetric(std: float) -> Fill:
    bound = math.sqrt(3.0) * std
    return _uniform(-bound, bound)


ELEMENTWISE: Mapping[str, Callable[..., Fill]] = MappingProxyType(
    {
        "uniform": lambda _, *, a, b: _uniform(a, b),
        "normal": lambda _, *, mean, std: _normal(mean, std),
        "constant": lambda _, *, val: _constant(val),
        "ones": lambda _: _constant(1.0),
        "zeros": lambda _: _constant(0.0),
        "xavier_uniform": lambda facts, *, gain: _symmetric(_glorot_std(facts, gain)),
        "xavier_normal": lambda facts, *, gain: _normal(0.0, _glorot_std(facts, gain)),
        "kaiming_uniform": lambda facts, *, a, mode, nonlinearity: _symmetric(_he_std(facts, a, mode, nonlinearity)),
        "kaiming_normal": lambda facts, *, a, mode, nonlinearity: _normal(0.0, _he_std(facts, a, mode, nonlinearity)),
        "add": lambda _, *, value: lambda block, __: block.add_(value),
        "mul": lambda _, *, value: lambda block, __: block.mul_(value),
    }
)
"""The schemes that draw each element for itself: a function of the facts and the options that returns what fills, or
changes, any run of elements. The arithmetic is torch's own, to the bit."""


def _torchs(function: Callable[..., torch.Tensor]) -> Kernel:
    def kernel(tensor: torch.Tensor, _: TensorFacts, __: torch.Generator, **options: Any) -> None:
        function(tensor, **options)

    return kernel


def _trunc_normal(tensor: torch.Tensor, _: TensorFacts, generator: torch.Generator, **options: Any) -> None:
    nn.init.trunc_normal_(tensor, generator=generator, **options)


def _orthogonal(tensor: torch.Tensor, _: TensorFacts, generator: torch.Generator, **options: Any) -> None:
    """LAPACK gives other bits with another number of threads, so it gets one."""
    with one_thread():
        nn.init.orthogonal_(tensor, generator=generator, **options)


def _sparse(tensor: torch.Tensor, _: TensorFacts, generator: torch.Generator, *, sparsity: float, std: float) -> None:
    """Do as `torch.nn.init.sparse_`, which takes its permutations from the global generator."""
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    tensor.normal_(0, std, generator=generator)
    for column in range(columns):
        tensor[torch.randperm(rows, generator=generator)[:zeros], column] = 0


KERNELS: Mapping[str, Kernel] = MappingProxyType(
    {
        **{name: _elementwise(name) for name in ELEMENTWISE},
        "eye": _torchs(nn.init.eye_),
        "dirac": _torchs(nn.init.dirac_),
        "trunc_normal": _trunc_normal,
        "orthogonal": _orthogonal,
        "sparse": _sparse,
    }
)
"""The kernels by the scheme's name; `default` has none, since each layer has its own program."""
