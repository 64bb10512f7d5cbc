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


@pytest.mark.parametrize("size", [1, 2**18 - 1, 2**18, 2**18 + 1, 700_001])
def test_blocks_merge_to_the_statistics_of_the_whole(size):
    tensor = torch.empty(size).normal_(3, 2, generator=torch.Generator().manual_seed(size))
    wide = tensor.double()
    stats = measure(tensor)
    assert stats.mean == pytest.approx(wide.mean().item(), rel=1e-12)
    assert stats.std == pytest.approx(wide.std(correction=0).item(), rel=1e-10)
    assert stats.norm == pytest.approx(wide.norm().item(), rel=1e-12)


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
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = measure(tensor)
        torch.set_num_threads(2)
        assert measure(tensor) == one
    finally:
        torch.set_num_threads(threads)
