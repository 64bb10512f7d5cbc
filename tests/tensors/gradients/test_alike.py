"""What is measured together is what `measure` measures."""

from __future__ import annotations

import math

import pytest
import torch

from paramctl.reports.base import STATISTICS
from paramctl.tensors.gradients.alike import LARGEST, measure_all
from paramctl.tensors.statistics import measure, measure_in_turn


def assert_close(one, other):
    magnitude = max(abs(other.min or 0), abs(other.max or 0))
    for name in STATISTICS:
        expected = getattr(other, name)
        wanted = None if expected is None else pytest.approx(expected, rel=1e-6, abs=1e-9 * magnitude)
        assert getattr(one, name) == wanted, name


def test_each_tensor_of_any_size_has_its_own_statistics():
    generator = torch.Generator().manual_seed(0)
    shapes = [(3, 4), (), (3, 4), (0,), (64, 64), (5,), (64, 64), (LARGEST + 1,), (2, 0), (600, 700)]
    tensors = [torch.randn(shape, generator=generator) for shape in shapes * 3]
    tensors[4].T.copy_(tensors[4].clone())
    tensors += [each.to(torch.bfloat16) for each in tensors] + [each.double() for each in tensors]
    for tensor, found in zip(tensors, measure_all(tensors), strict=True):
        assert_close(found, measure(tensor))


@pytest.mark.parametrize("numel", [100, 2000])
def test_the_default_dtype_does_not_count(numel):
    tensor = torch.randn(numel, generator=torch.Generator().manual_seed(2))
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.bfloat16)
        (found,) = measure_all([tensor])
    finally:
        torch.set_default_dtype(before)
    assert_close(found, measure(tensor))


@pytest.mark.parametrize(
    "special",
    [
        [0.0] * 100,
        [-0.0, 1.0] * 50,
        [math.nan, *[1.0] * 99],
        [math.inf, -math.inf, *[2.0] * 98],
        [math.nan] * 100,
        [7.0] * 100,
        [1e8, *[1e8 + 8] * 99],
        [1e-42] * 99 + [0.0],
        [3e38] * 100,
        [1e30, -1e-30] * 50,
        [3e-22, -5e-22] * 50,
        [100.0, 101.0] * 50,
    ],
)
@pytest.mark.parametrize("times", [1, 41.11])
def test_special_values_among_others_are_measured_rightly(special, times):
    numel = int(100 * times)
    given = torch.tensor(special).repeat(numel // 100 + 1)[:numel]
    tensors = [torch.arange(float(numel)) - numel / 2, given, torch.ones(numel), given.neg()]
    for tensor, found in zip(tensors, measure_all(tensors), strict=True):
        assert_close(found, measure(tensor))


@pytest.mark.parametrize("shape", [(3,), (2**18 + 5,), (700, 500)])
def test_blocks_in_turn_give_what_blocks_at_once_give(shape):
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(1)).mT if len(shape) > 1 else torch.rand(shape)
    assert_close(measure_in_turn(tensor), measure(tensor))
