"""What fills a tensor: one kernel for each declared scheme, under its name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import torch
from torch import nn

from paramctl.fans import Fans
from paramctl.scheme_declaration import TensorFacts
from paramctl.tensors.initializing.blocks import Fill, Stream, fill_blocks, precision_of
from paramctl.tensors.initializing.truncated import truncated_normal
from paramctl.tensors.threads import one_thread

Kernel: TypeAlias = Callable[..., object]
"""Changes a whole tensor in place; takes it, a generator, and the scheme's options."""


def fill(
    tensor: torch.Tensor, scheme: str, options: Mapping[str, Any], stream: Stream, fans: Fans | None = None
) -> None:
    """Apply a scheme to a tensor on the CPU, in place and unrecorded by autograd; without fans, with torch's.

    Values are made in float32 (float64 and complex in their own precision) and rounded once to a smaller dtype, so that
    a bfloat16 model holds the rounded values of the float32 one.
    """
    with torch.no_grad():
        if scheme in ELEMENTWISE:
            work = tensor.contiguous()
            facts = TensorFacts(tuple(tensor.shape), layer_fans=fans)
            fill_blocks(work, [(ELEMENTWISE[scheme](facts, **options), stream)])
        else:
            work = tensor.to(precision_of(tensor.dtype))
            WHOLE[scheme](work, stream(0), **options)
        if work.data_ptr() != tensor.data_ptr():
            tensor.copy_(work)


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
        "trunc_normal": lambda _, **options: truncated_normal(**options),
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
changes, any run of elements. The arithmetic is torch's own, to the bit, except for what `trunc_normal` draws again."""


def _torchs(function: Callable[..., torch.Tensor]) -> Kernel:
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


WHOLE: Mapping[str, Kernel] = MappingProxyType(
    {"eye": _torchs(nn.init.eye_), "dirac": _torchs(nn.init.dirac_), "orthogonal": _orthogonal, "sparse": _sparse}
)
"""The schemes whose elements depend on each other; `default` has no kernel, since each layer has its own program."""
