"""The declared schemes against torch: kernels, defaults, gains, and the moments of large samples."""

from __future__ import annotations

import inspect
import math

import pytest
import torch
from torch import nn

from paramctl.scheme_declaration import Moments, TensorFacts
from paramctl.scheme_options import Nonlinearity
from paramctl.schemes import SCHEMES, gain_of
from paramctl.tensors.initializing.kernels import ELEMENTWISE, WHOLE, fill

SHAPE = (300, 200)
OPTIONS = {
    "uniform": [{}, {"a": -2.0, "b": 5.0}],
    "normal": [{}, {"mean": 3.0, "std": 2.0}],
    "trunc_normal": [{}, {"mean": 0.5, "std": 0.7, "a": -1.0, "b": 0.8}, {"mean": 0.0, "std": 1.0, "a": 3.0, "b": 4.0}],
    "constant": [{"val": 0.3}],
    "ones": [{}],
    "zeros": [{}],
    "eye": [{}],
    "xavier_uniform": [{}, {"gain": 2.0}],
    "xavier_normal": [{}, {"gain": 0.5}],
    "kaiming_uniform": [{}, {"a": 1.0, "mode": "fan_out"}, {"nonlinearity": "tanh"}],
    "kaiming_normal": [{}, {"a": 1.0, "mode": "fan_out"}, {"nonlinearity": "selu"}],
    "orthogonal": [{}, {"gain": 3.0}],
    "sparse": [{"sparsity": 0.1}, {"sparsity": 0.75, "std": 2.0}],
}
CASES = [(name, options) for name, every in OPTIONS.items() for options in every]


def complete(name, given):
    return {option.name: given.get(option.name, option.default) for option in SCHEMES[name].options.values()}


def sample(name, shape, options):
    tensor = torch.empty(shape)
    fill(tensor, name, options, torch.Generator().manual_seed)
    return tensor.double()


def test_every_scheme_of_torch_is_declared_and_has_a_kernel():
    torch_schemes = {
        name.removesuffix("_")
        for name, function in vars(nn.init).items()
        if name.endswith("_") and not name.startswith("_") and inspect.isfunction(function)
    }
    assert torch_schemes == SCHEMES.keys() - {"default", "add", "mul"}
    assert ELEMENTWISE.keys() | WHOLE.keys() == SCHEMES.keys() - {"default"}


@pytest.mark.parametrize("name", sorted(SCHEMES.keys() - {"default", "add", "mul"}))
def test_options_have_torchs_names_order_and_defaults_but_for_the_std_of_normal(name):
    _, *parameters = inspect.signature(getattr(nn.init, f"{name}_")).parameters.values()
    theirs = {
        each.name: None if each.default is each.empty else each.default
        for each in parameters
        if each.name != "generator"
    }
    ours = {option.name: option.default for option in SCHEMES[name].options.values()}
    if name == "normal":
        assert (theirs.pop("std"), ours.pop("std")) == (1.0, 0.01)
    assert ours == theirs
    assert list(ours) == list(theirs)


@pytest.mark.parametrize("nonlinearity", Nonlinearity.__args__)
@pytest.mark.parametrize("slope", [0.0, 0.01, math.sqrt(5)])
def test_gains_are_torchs(nonlinearity, slope):
    assert gain_of(nonlinearity, slope) == pytest.approx(nn.init.calculate_gain(nonlinearity, slope))


@pytest.mark.parametrize(("name", "given"), CASES, ids=str)
def test_a_large_sample_has_the_moments_that_the_formula_promises(name, given):
    options = complete(name, given)
    values = sample(name, SHAPE, options)
    moments = SCHEMES[name].moments(TensorFacts(SHAPE), **options)
    error = moments.std / math.sqrt(values.numel())
    assert values.mean().item() == pytest.approx(moments.mean, abs=5 * error + 1e-7)
    assert values.std(correction=0).item() == pytest.approx(moments.std, rel=0.02, abs=1e-7)


def test_the_kurtosis_of_a_sparse_sample_stands_for_its_fixed_number_of_zeros():
    std = sample("sparse", (20, 30), {"sparsity": 0.5, "std": 1.0}).std(correction=0).item()
    moments = SCHEMES["sparse"].moments(TensorFacts((20, 30)), sparsity=0.5, std=1.0)
    assert moments.kurtosis == pytest.approx(1 + 2 / 0.5)
    assert abs(std - moments.std) < 5 * moments.std * math.sqrt((moments.kurtosis - 1) / (4 * 600))


@pytest.mark.parametrize(
    ("shape", "groups"), [((16, 16, 3), 1), ((8, 16, 3, 3), 1), ((24, 4, 3, 3), 3), ((6, 5, 1, 1, 3), 2)]
)
def test_dirac_has_the_ones_that_its_moments_count(shape, groups):
    values = sample("dirac", shape, {"groups": groups})
    moments = SCHEMES["dirac"].moments(TensorFacts(shape), groups=groups)
    assert values.mean().item() == pytest.approx(moments.mean)
    assert values.std(correction=0).item() == pytest.approx(moments.std)


def test_add_and_mul_move_and_scale_what_was_there():
    facts = TensorFacts((3,), Moments(2.0, 0.5, 1.8))
    assert SCHEMES["add"].moments(facts, value=1.0) == Moments(3.0, 0.5, 1.8)
    assert SCHEMES["mul"].moments(facts, value=-2.0) == Moments(-4.0, 1.0, 1.8)
    assert SCHEMES["add"].moments(TensorFacts((3,)), value=1.0) is None


@pytest.mark.parametrize(
    ("name", "shape", "defined"),
    [
        ("xavier_uniform", (3,), False),
        ("xavier_uniform", (3, 4), True),
        ("kaiming_normal", (3, 4, 5), True),
        ("orthogonal", (3,), False),
        ("eye", (3, 4, 5), False),
        ("sparse", (3, 4), True),
        ("sparse", (3, 4, 5), False),
        ("dirac", (3, 4), False),
        ("dirac", (3, 4, 5), True),
        ("normal", (), True),
    ],
)
def test_a_scheme_is_undefined_exactly_where_torch_refuses(name, shape, defined):
    options = complete(name, {"sparsity": 0.5} if name == "sparse" else {})
    assert (SCHEMES[name].undefined_for(shape, options) is None) is defined
    if defined:
        sample(name, shape, options)
    else:
        with pytest.raises(ValueError, match="imension"):
            getattr(nn.init, f"{name}_")(torch.empty(shape), **options)


def test_dirac_is_undefined_where_its_groups_do_not_divide():
    assert "groups" in SCHEMES["dirac"].undefined_for((5, 4, 3), {"groups": 2})


@pytest.mark.parametrize("bounds", [(-2.0, 2.0), (-1.0, 5.0), (3.0, 100.0), (-1e200, 1e200), (-8.0, -6.0)])
def test_the_kurtosis_of_a_truncated_normal_is_that_of_its_density(bounds):
    a, b = bounds
    low, high = max(a, -40.0), min(b, 40.0)
    x = torch.linspace(low, high, 2_000_001, dtype=torch.float64)
    weights = torch.exp((x.square().min() - x.square()) / 2)
    weights[[0, -1]] /= 2
    weights /= weights.sum()
    mean = (weights * x).sum()
    variance = (weights * (x - mean) ** 2).sum()
    moments = SCHEMES["trunc_normal"].moments(TensorFacts((3,)), mean=0.0, std=1.0, a=a, b=b)
    assert moments.mean == pytest.approx(mean.item(), abs=1e-6)
    assert moments.std == pytest.approx(variance.sqrt().item(), rel=1e-5)
    assert moments.kurtosis == pytest.approx((weights * (x - mean) ** 4).sum().item() / variance.item() ** 2, rel=1e-3)


def test_a_huge_slope_has_a_gain():
    assert gain_of("leaky_relu", 1e200) == pytest.approx(2**0.5 * 1e-200)
