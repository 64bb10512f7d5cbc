"""Values follow the distribution that their formula states, and no two streams have anything in common."""

from __future__ import annotations

import hashlib
import math
from itertools import combinations

import pytest
import torch

from paramctl.spec.rules import parse_rule
from paramctl.tensors import streams
from paramctl.tensors.building.build import build
from paramctl.tensors.initializing.blocks import BLOCK, CHUNK
from paramctl.tensors.initializing.materialize import plan_drawings

CRITICAL = 2.2
"""A right sample's √n · D is above it once in ten thousand times (Kolmogorov 1933); seeds are fixed, so never here."""
SHAPES = [(257, 1), (311, 613), (BLOCK + 1, 3)]


def draws(spec, tmp_path, shape, scheme, *, seed=11, name="0"):
    rows, columns = shape
    built = build(spec(f"layers: {{'{name}': {{Linear: [{columns}, {rows}, false]}}}}"), seed=seed)
    (drawing,), _ = plan_drawings(built.net, built.programs, [parse_rule(f"*={scheme}", tmp_path)], seed)
    return drawing.draw(seed).flatten()


def normal_cdf(mean=0.0, std=1.0):
    return lambda x: torch.special.ndtr((x - mean) / std)


def uniform_cdf(a, b):
    return lambda x: ((x - a) / (b - a)).clamp(0, 1)


def truncated_cdf(mean, std, a, b):
    # From the bound that is nearer to the mean, where the digits are.
    def cdf(x):
        low, high, z = (a - mean) / std, (b - mean) / std, (x - mean) / std
        if low > 0:
            upper = torch.special.ndtr
            edges = upper(torch.tensor([-low, -high], dtype=torch.float64))
            return (edges[0] - upper(-z)) / (edges[0] - edges[1])
        edges = torch.special.ndtr(torch.tensor([low, high], dtype=torch.float64))
        return (torch.special.ndtr(z) - edges[0]) / (edges[1] - edges[0])

    return cdf


def glorot(shape):
    return math.sqrt(2 / sum(shape))


def he(shape):
    return math.sqrt(2 / shape[1])


CLOSED_FORMS = {
    "uniform:a=-3,b=1": lambda _: uniform_cdf(-3, 1),
    "normal:mean=2,std=0.5": lambda _: normal_cdf(2, 0.5),
    "xavier_uniform": lambda shape: uniform_cdf(-math.sqrt(3) * glorot(shape), math.sqrt(3) * glorot(shape)),
    "xavier_normal": lambda shape: normal_cdf(0, glorot(shape)),
    "kaiming_uniform": lambda shape: uniform_cdf(-math.sqrt(3) * he(shape), math.sqrt(3) * he(shape)),
    "kaiming_normal:nonlinearity=relu": lambda shape: normal_cdf(0, he(shape)),
    "trunc_normal": lambda _: truncated_cdf(0, 1, -2, 2),
    "trunc_normal:std=0.02": lambda _: truncated_cdf(0, 0.02, -2, 2),
    "trunc_normal:mean=1,std=2,a=-1,b=0.5": lambda _: truncated_cdf(1, 2, -1, 0.5),
    "trunc_normal:std=10": lambda _: truncated_cdf(0, 10, -2, 2),
    "trunc_normal:a=0.01,b=0.5": lambda _: truncated_cdf(0, 1, 0.01, 0.5),
    "trunc_normal:a=3,b=9": lambda _: truncated_cdf(0, 1, 3, 9),
    "trunc_normal:mean=1,a=-1000,b=-4": lambda _: truncated_cdf(1, 1, -1000, -4),
}


def distance(values, cdf):
    """Return √n times the largest distance between the empirical and the stated distribution function."""
    n = values.numel()
    stated = cdf(values.double().sort().values)
    steps = torch.arange(n + 1, dtype=torch.float64) / n
    return math.sqrt(n) * max((stated - steps[:-1]).max().item(), (steps[1:] - stated).max().item())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scheme", CLOSED_FORMS)
def test_values_have_the_distribution_of_the_formula(scheme, shape, spec, tmp_path):
    assert distance(draws(spec, tmp_path, shape, scheme), CLOSED_FORMS[scheme](shape)) < CRITICAL


@pytest.mark.parametrize("scheme", ["normal:mean=2,std=0.5", "uniform:a=-3,b=1", "trunc_normal"])
def test_a_giant_parameter_has_the_distribution_of_the_formula(scheme, spec, tmp_path):
    shape = (CHUNK + BLOCK + 5, 1)
    values = draws(spec, tmp_path, shape, scheme)
    assert distance(values[-3 * BLOCK :], CLOSED_FORMS[scheme](shape)) < CRITICAL


def test_the_distance_tells_a_wrong_distribution(spec, tmp_path):
    values = draws(spec, tmp_path, SHAPES[1], "normal:std=1.02")
    assert distance(values, normal_cdf()) > CRITICAL


def test_what_is_not_zero_in_a_sparse_matrix_is_normal(spec, tmp_path):
    values = draws(spec, tmp_path, SHAPES[1], "sparse:sparsity=0.3,std=2")
    assert distance(values[values != 0], normal_cdf(0, 2)) < CRITICAL


@pytest.mark.parametrize("shape", [(300, 300), (511, 130), (130, 511)])
def test_the_elements_of_an_orthogonal_matrix_are_those_of_a_uniform_rotation(shape, spec, tmp_path):
    # Of a vector that is uniform on a sphere, x² has the distribution Beta(1/2, (n − 1)/2): near N(0, 1/n).
    values = draws(spec, tmp_path, shape, "orthogonal")
    matrix = values.view(shape) if shape[0] >= shape[1] else values.view(shape).T
    assert torch.allclose(matrix.T @ matrix, torch.eye(min(shape)), atol=1e-5)
    assert distance(values, normal_cdf(0, 1 / math.sqrt(max(shape)))) < CRITICAL


def correlation(first, second):
    return torch.corrcoef(torch.stack([first.double(), second.double()]))[0, 1].item() * math.sqrt(len(first))


@pytest.mark.parametrize("scheme", ["normal", "uniform", "trunc_normal"])
def test_neighbouring_blocks_and_chunks_are_independent(scheme, spec, tmp_path):
    values = draws(spec, tmp_path, (2 * CHUNK, 1), scheme)
    blocks = values[: 8 * BLOCK].view(8, BLOCK)
    for first, second in combinations(blocks, 2):
        assert abs(correlation(first, second)) < 5
    assert abs(correlation(values[:CHUNK], values[CHUNK:])) < 5
    assert abs(correlation(values[: CHUNK - 1], values[1:CHUNK])) < 5


@pytest.mark.parametrize("scheme", ["normal", "uniform", "trunc_normal", "kaiming_normal"])
def test_a_thousand_parameters_of_one_shape_differ_and_are_independent(scheme, spec, tmp_path):
    built = build(spec("layers: [{Repeat: {times: 1000, layer: {Linear: [32, 32, false]}}}]"), seed=0)
    drawings, _ = plan_drawings(built.net, built.programs, [parse_rule(f"*={scheme}", tmp_path)])
    values = torch.stack([drawing.draw(0).flatten().double() for drawing in drawings])
    correlations = torch.corrcoef(values) * math.sqrt(values.shape[1])
    correlations.fill_diagonal_(0)
    assert len(values.unique(dim=0)) == 1000
    assert correlations.abs().max() < 6  # of half a million pairs
    assert abs(correlations.square().mean().item() - 1) < 0.02


def test_names_whose_hashes_agree_in_32_bits_have_streams_of_their_own():
    met: dict[bytes, str] = {}
    for number in range(400_000):
        name = f"layers.{number}.weight"
        start = hashlib.shake_128(repr((0, name, 0, 0)).encode()).digest(4)
        if start in met:
            break
        met[start] = name
    else:
        pytest.fail("among 400,000 names two agree in 32 bits")
    first, second = (streams.generator(0, each, 0, 0) for each in (met[start], name))
    assert torch.equal(first.get_state()[24:28], second.get_state()[24:28])
    assert abs(correlation(torch.randn(10_000, generator=first), torch.randn(10_000, generator=second))) < 5


def test_functions_of_ones_own_draw_from_states_that_differ_where_32_bits_of_the_hash_agree():
    states = []
    for name in ("layers.0.weight", "layers.1.weight"):
        with streams.global_stream(0, name, 0):
            states.append(torch.get_rng_state()[24:])
    assert (states[0] != states[1]).float().mean() > 0.4  # four of eight bytes of a word are its value
