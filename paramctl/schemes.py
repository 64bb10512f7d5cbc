"""Every init scheme: its options, its formula with the source, and the moments that it promises.

A scheme is declared by one function. Its keyword-only parameters are the scheme's options under torch's names; from the
tensor's shape and what it held before, it returns the moments of the values that the scheme leaves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from paramctl.scheme_declaration import Moments, Scheme, TensorFacts, declare
from paramctl.scheme_options import Count, FanMode, Finite, Fraction, Nonlinearity, NotNegative, Positive

GLOROT = "Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks"
HE = "He et al. 2015, Delving deep into rectifiers"
SAXE = "Saxe et al. 2014, Exact solutions to the nonlinear dynamics of learning in deep linear neural networks"
MARTENS = "Martens 2010, Deep learning via Hessian-free optimization"

UNIFORM_KURTOSIS = 1.8


def _two_point(ones: int, numel: int) -> Moments:
    share = ones / numel
    return Moments(share, math.sqrt(share * (1 - share)))


GAINS: Final = "√2 of relu, √(2 / (1 + a²)) of leaky_relu, 5/3 of tanh, 3/4 of selu, 1 of all others"
"""The gains of the nonlinearities, with `a` the slope of leaky_relu."""


def gain_of(nonlinearity: Nonlinearity, negative_slope: float) -> float:
    """Return the gain that keeps a signal's variance through a nonlinearity, as `torch.nn.init.calculate_gain` does.

    `GAINS` says which.
    """
    leaky = math.sqrt(2) / math.hypot(1, negative_slope)
    gains = {"tanh": 5 / 3, "relu": math.sqrt(2), "leaky_relu": leaky, "selu": 3 / 4}
    return gains.get(nonlinearity, 1.0)


def _glorot_std(tensor: TensorFacts, gain: float) -> float:
    return gain * math.sqrt(2 / sum(tensor.fans))


def _he_std(tensor: TensorFacts, a: float, mode: FanMode, nonlinearity: Nonlinearity) -> float:
    fan_in, fan_out = tensor.fans
    return gain_of(nonlinearity, a) / math.sqrt(fan_in if mode == "fan_in" else fan_out)


@declare("U(a, b)", ordered=("a", "b"))
def uniform(_: TensorFacts, *, a: Finite = 0.0, b: Finite = 1.0) -> Moments:
    """Give every value between two bounds the same chance."""
    return Moments((a + b) / 2, (b - a) / math.sqrt(12), UNIFORM_KURTOSIS)


@declare("N(mean, std²)", own_defaults=("std",))
def normal(_: TensorFacts, *, mean: Finite = 0.0, std: NotNegative = 0.01) -> Moments:
    """Draw from a normal distribution."""
    return Moments(mean, std)


@declare("N(mean, std²), what falls outside [a, b] drawn again", ordered=("a", "b"), real=True)
def trunc_normal(
    _: TensorFacts, *, mean: Finite = 0.0, std: Positive = 1.0, a: Finite = -2.0, b: Finite = 2.0
) -> Moments | None:
    """Draw from a normal distribution cut off at two bounds."""
    low, high = (a - mean) / std, (b - mean) / std
    # erfc of the two far ends on the same side keeps the digits that a difference of two values near 1 loses.
    side = -1 if low > 0 else 1
    mass = side * (math.erfc(-side * high / math.sqrt(2)) - math.erfc(-side * low / math.sqrt(2))) / 2
    if mass <= 0:
        return None
    # The raw moments of the standardised variable, by m(k) = (k - 1) m(k - 2) - [x^(k-1) density(x)] / mass.
    first = (_weighted_density(low, 0) - _weighted_density(high, 0)) / mass
    second = 1 + (_weighted_density(low, 1) - _weighted_density(high, 1)) / mass
    third = 2 * first + (_weighted_density(low, 2) - _weighted_density(high, 2)) / mass
    fourth = 3 * second + (_weighted_density(low, 3) - _weighted_density(high, 3)) / mass
    variance = max(second - first**2, 0.0)
    central = fourth - 4 * first * third + 6 * first**2 * second - 3 * first**4
    kurtosis = max(central / variance**2, 1.0) if variance > 0 else UNIFORM_KURTOSIS
    return Moments(mean + std * first, std * math.sqrt(variance), kurtosis)


def _weighted_density(x: float, power: int) -> float:
    """Return x^power times the density of the standard normal at x; 0 far out, where the power alone overflows."""
    density = math.exp(-x * x / 2) / math.sqrt(2 * math.pi) if abs(x) < 40 else 0.0
    return x**power * density if density else 0.0


@declare("val everywhere")
def constant(_: TensorFacts, *, val: float) -> Moments:
    """Set every element to one value."""
    return Moments(val, 0.0)


@declare("1 everywhere")
def ones(_: TensorFacts) -> Moments:
    """Set every element to one."""
    return Moments(1.0, 0.0)


@declare("0 everywhere")
def zeros(_: TensorFacts) -> Moments:
    """Set every element to zero."""
    return Moments(0.0, 0.0)


@declare("1 on the diagonal, 0 elsewhere", dims=(2, 2))
def eye(tensor: TensorFacts) -> Moments:
    """Make a linear layer pass its input on."""
    return _two_point(min(tensor.shape), tensor.numel)


@declare("1 at the kernel's centre from input channel i to output channel i of each group, 0 elsewhere", dims=(3, 5))
def dirac(tensor: TensorFacts, *, groups: Count = 1) -> Moments:
    """Make a convolution pass its input on."""
    return _two_point(groups * min(tensor.shape[0] // groups, tensor.shape[1]), tensor.numel)


@declare("U(-b, b), b = gain × √(6 / (fan_in + fan_out))", source=GLOROT, dims=(2, None), uses_fans=True)
def xavier_uniform(tensor: TensorFacts, *, gain: Finite = 1.0) -> Moments:
    """Keep the variance of activations and of gradients alike, with uniform values.

    Equation 16 of the paper: a uniform distribution of variance 2 / (fan_in + fan_out), here times gain².
    """
    return Moments(0.0, abs(_glorot_std(tensor, gain)), UNIFORM_KURTOSIS)


@declare("N(0, std²), std = gain × √(2 / (fan_in + fan_out))", source=GLOROT, dims=(2, None), uses_fans=True)
def xavier_normal(tensor: TensorFacts, *, gain: NotNegative = 1.0) -> Moments:
    """Keep the variance of activations and of gradients alike, with normal values.

    The variance is that of equation 12 of the paper, 2 / (fan_in + fan_out), here times gain².
    """
    return Moments(0.0, _glorot_std(tensor, gain))


@declare(
    "U(-b, b), b = gain(nonlinearity, a) × √(3 / fan), fan as mode says", source=HE, dims=(2, None), uses_fans=True
)
def kaiming_uniform(
    tensor: TensorFacts, *, a: Finite = 0.0, mode: FanMode = "fan_in", nonlinearity: Nonlinearity = "leaky_relu"
) -> Moments:
    """Keep the variance through rectifiers, with uniform values.

    The variance is gain² / fan: equations 10 (fan_in), 14 (fan_out) and 15 (the slope a) of the paper.
    """
    return Moments(0.0, _he_std(tensor, a, mode, nonlinearity), UNIFORM_KURTOSIS)


@declare("N(0, std²), std = gain(nonlinearity, a) / √fan, fan as mode says", source=HE, dims=(2, None), uses_fans=True)
def kaiming_normal(
    tensor: TensorFacts, *, a: Finite = 0.0, mode: FanMode = "fan_in", nonlinearity: Nonlinearity = "leaky_relu"
) -> Moments:
    """Keep the variance through rectifiers, with normal values.

    The variance is gain² / fan: equations 10 (fan_in), 14 (fan_out) and 15 (the slope a) of the paper.
    """
    return Moments(0.0, _he_std(tensor, a, mode, nonlinearity))


@declare(
    "gain × Q, with Q's rows or columns orthonormal, uniform over such matrices", source=SAXE, dims=(2, None), real=True
)
def orthogonal(tensor: TensorFacts, *, gain: Finite = 1.0) -> Moments:
    """Keep the length of every signal, as a matrix of the first size by the product of the others.

    Weights that are packed into one tensor, as those of an LSTM's gates are, make one matrix, as in torch: its columns
    are orthonormal, those of a single gate are not.
    """
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    return Moments(0.0, abs(gain) / math.sqrt(max(rows, columns)))


@declare("N(0, std²), then ⌈sparsity × rows⌉ elements of each column set to 0", source=MARTENS, dims=(2, 2))
def sparse(tensor: TensorFacts, *, sparsity: Fraction, std: NotNegative = 0.01) -> Moments:
    """Leave a few incoming connections per unit."""
    rows = tensor.shape[0]
    kept = 1 - math.ceil(sparsity * rows) / rows
    # The number of zeros is fixed: for the standard error of the std that is worth a kurtosis of 1 + 2 / kept.
    return Moments(0.0, std * math.sqrt(kept), 1 + 2 / kept if kept else 3.0)


@declare("what the layer's own constructor writes")
def default(tensor: TensorFacts) -> Moments | None:
    """Take the layer's own initialisation."""
    return tensor.before


@declare("x + value", in_place=True)
def add(tensor: TensorFacts, *, value: float) -> Moments | None:
    """Add a number to every element, as ``data += value`` does."""
    before = tensor.before
    return before and Moments(before.mean + value, before.std, before.kurtosis)


@declare("x × value", in_place=True)
def mul(tensor: TensorFacts, *, value: float) -> Moments | None:
    """Multiply every element by a number, as ``data *= value`` does."""
    before = tensor.before
    return before and Moments(before.mean * value, before.std * abs(value), before.kurtosis)


SCHEMES: Mapping[str, Scheme] = MappingProxyType(
    {
        scheme.name: scheme
        for scheme in (
            uniform, normal, trunc_normal, constant, ones, zeros, eye, dirac, xavier_uniform, xavier_normal,
            kaiming_uniform, kaiming_normal, orthogonal, sparse, default, add, mul,
        )
    }
)  # fmt: skip
"""Every scheme by its name, in the order in which `paramctl schemes` shows them."""
