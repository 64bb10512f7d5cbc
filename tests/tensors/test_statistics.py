from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from paramctl.tensors.statistics import measure

FLOATS = st.lists(
    st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-1e10, max_value=1e10), min_size=1
)


@given(FLOATS)
def test_statistics_are_those_of_float64(values):
    tensor = torch.tensor(values, dtype=torch.float32)
    wide = tensor.double()
    stats = measure(tensor)
    assert stats.mean == pytest.approx(wide.mean().item(), rel=1e-9, abs=1e-6)
    assert stats.std == pytest.approx(wide.std(correction=0).item(), rel=1e-6, abs=1e-6)
    assert (stats.min, stats.max) == (wide.min().item(), wide.max().item())
    assert stats.norm == pytest.approx(wide.norm().item(), rel=1e-9)
    assert stats.zeros == (wide == 0).sum().item()


SIZES = [1, 64, 65, 1024, 1025, 2**15, 2**15 + 1, 2**16, 2**16 + 1, 700_001]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("mean", "std"), [(0, 1), (3, 2), (1e4, 1e-1), (0, 1e-20), (0, 1e20)])
def test_blocks_merge_to_the_statistics_of_the_whole(size, mean, std):
    tensor = torch.empty(size).normal_(mean, std, generator=torch.Generator().manual_seed(size))
    wide = tensor.double()
    stats = measure(tensor)
    assert stats.mean == pytest.approx(wide.mean().item(), rel=1e-9, abs=1e-7 * std)
    assert stats.std == pytest.approx(wide.std(correction=0).item(), rel=1e-6)
    assert stats.norm == pytest.approx(wide.norm().item(), rel=1e-6)
    assert (stats.min, stats.max) == (wide.min().item(), wide.max().item())


def test_the_norm_is_right_where_that_of_float32_is_not():
    tensor = torch.rand(50_000_000, generator=torch.Generator().manual_seed(0))
    right = math.sqrt(sum(block.double().dot(block.double()).item() for block in tensor.split(2**20)))
    assert measure(tensor).norm == pytest.approx(right, rel=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_zeros_and_what_is_not_finite_are_counted_in_every_block(size):
    tensor = torch.empty(size).normal_(generator=torch.Generator().manual_seed(size))
    draw = torch.rand(size, generator=torch.Generator().manual_seed(1))
    for low, value in ((0.9, 0.0), (0.8, math.nan), (0.7, math.inf), (0.6, -math.inf)):
        tensor[(draw > low) & (draw <= low + 0.1)] = value
    stats = measure(tensor)
    finite = tensor[tensor.isfinite()].double()
    assert (stats.zeros, stats.nan) == ((tensor == 0).sum().item(), tensor.isnan().sum().item())
    assert stats.inf == tensor.isinf().sum().item()
    assert stats.mean == (pytest.approx(finite.mean().item(), abs=1e-7) if len(finite) else None)


@pytest.mark.parametrize("shape", [(300, 400), (30, 40, 50)])
def test_a_transposed_tensor_has_the_statistics_of_its_elements(shape):
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    assert measure(tensor.transpose(0, -1)) == measure(tensor)
    assert measure(tensor[..., ::2]).mean == pytest.approx(tensor[..., ::2].double().mean().item(), abs=1e-7)


def test_what_is_not_finite_is_counted_and_left_out():
    tensor = torch.tensor([1.0, math.nan, math.inf, -math.inf, 3.0, 0.0, math.nan])
    stats = measure(tensor)
    assert (stats.nan, stats.inf, stats.zeros) == (2, 2, 1)
    assert (stats.min, stats.max) == (0.0, 3.0)
    assert stats.mean == pytest.approx(4 / 3)
    assert stats.norm == pytest.approx(math.sqrt(10))


def test_a_large_offset_does_not_spoil_the_std():
    tensor = torch.full((1_000_000,), 1e6, dtype=torch.float64)
    tensor[::2] += 1e-3
    assert measure(tensor).std == pytest.approx(5e-4, rel=1e-6)


def test_nothing_finite_has_no_moments():
    for tensor in (torch.empty(0), torch.full((3,), math.nan)):
        stats = measure(tensor)
        assert (stats.mean, stats.std, stats.min, stats.max, stats.norm) == (None, None, None, None, 0.0)


@pytest.mark.parametrize(
    "dtype",
    [
        torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2, torch.int8, torch.uint8,
        torch.int64, torch.uint32, torch.bool,
    ],
)  # fmt: skip
def test_every_dtype_of_real_numbers_is_measured(dtype):
    stats = measure(torch.tensor([0, 1, 1, 0]).to(dtype))
    assert (stats.mean, stats.std, stats.min, stats.max, stats.zeros) == (0.5, 0.5, 0.0, 1.0, 2)


def test_of_complex_numbers_the_magnitudes_are_measured():
    assert measure(torch.tensor([3 + 4j, 0j])).max == 5.0


def test_a_view_is_measured_as_it_is_seen():
    base = torch.arange(12.0).reshape(3, 4)
    assert measure(base[:, 1]).mean == 5.0
    assert measure(base.t()).norm == measure(base).norm


def test_the_number_of_threads_changes_no_bit():
    tensor = torch.empty(1_000_000).normal_(generator=torch.Generator().manual_seed(0))
    assert measure(tensor, threads=1) == measure(tensor, threads=2) == measure(tensor, threads=3) == measure(tensor)


@pytest.mark.parametrize("size", [4_000, 5_000, 10_001, 20_001, 30_001, 100_001])
def test_the_number_of_torchs_threads_changes_no_bit(size):
    before = torch.get_num_threads()
    measured = []
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            seeds = range(5)
            measured.append(
                [measure(torch.randn(size, generator=torch.Generator().manual_seed(seed))) for seed in seeds]
            )
    finally:
        torch.set_num_threads(before)
    assert measured[0] == measured[1] == measured[2]


@pytest.mark.parametrize("size", [100, 30_000, 70_000])
def test_huge_constants_have_no_deviation(size):
    stats = measure(torch.full((size,), 1e200, dtype=torch.float64))
    assert (stats.mean, stats.std) == (1e200, 0.0)


def test_torchs_own_threads_are_as_they_were():
    before = torch.get_num_threads()
    measure(torch.ones(1_000_000))
    assert torch.get_num_threads() == before
