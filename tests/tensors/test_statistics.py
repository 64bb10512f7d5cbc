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


SIZES = [1, 64, 65, 1024, 1025, 2**14, 2**14 + 1, 2**16, 2**16 + 1, 2**19, 2**19 + 1, 700_001]


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
def test_the_norm_of_elements_of_one_size_gathers_no_rounding_errors(size):
    tensor = torch.full((size,), 0.1)
    tensor[::2] = -0.1
    assert measure(tensor).norm == pytest.approx(tensor[0].abs().item() * math.sqrt(size), rel=1e-6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_a_zero_is_found_among_others(size, zero):
    tensor = torch.full((size,), 1e-3)
    tensor[::2] = -1e-3
    assert measure(tensor).zeros == 0
    tensor[-1] = zero
    assert measure(tensor).zeros == 1


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


DTYPES = sorted({each for each in vars(torch).values() if isinstance(each, torch.dtype)}, key=str)
UNMEASURED = {
    "float4_e2m1fn_x2", "bits8", "bits16", "bits1x8", "bits2x4", "bits4x2",
    "qint8", "qint32", "quint8", "quint4x2", "quint2x4",
    *(f"{kind}{bits}" for kind in ("int", "uint") for bits in range(1, 8)),
}  # fmt: skip
"""The dtypes whose elements torch converts to no other dtype."""


@pytest.mark.filterwarnings("ignore:ComplexHalf support", "ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_of_torch_is_measured_or_known_not_to_be(dtype):
    if str(dtype).removeprefix("torch.") in UNMEASURED:
        assert measure(torch.empty(4, dtype=dtype), hist=True) is None
        with pytest.raises(Exception, match=r"not implemented|INTERNAL ASSERT"):
            torch.empty(4, dtype=dtype).to(torch.float32)
        return
    low = 0.5 if dtype == torch.float8_e8m0fnu else 0.0  # which has no zero
    stats = measure(torch.tensor([low, 1, 1, low] * 20_000).to(dtype), hist=True)
    half = (low + 1) / 2
    assert (stats.mean, stats.std, stats.min, stats.max) == (half, 1 - half, low, 1.0)
    assert stats.zeros == (0 if low else 40_000)
    assert [count for count in stats.histogram.counts if count] == [40_000, 40_000]


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint64, torch.int32, torch.uint32, torch.uint16, torch.int8])
def test_the_largest_whole_numbers_are_measured(dtype):
    top = torch.iinfo(dtype).max
    stats = measure(torch.tensor([0, top], dtype=dtype), hist=True)
    assert (stats.max, stats.mean, stats.norm) == (float(top), top / 2, float(top))
    assert sum(stats.histogram.counts) == 2


def test_of_complex_numbers_the_magnitudes_are_measured():
    stats = measure(torch.tensor([3 + 4j, 0j]), hist=True)
    assert (stats.max, stats.histogram.edges[-1], stats.histogram.counts[-1]) == (5.0, 5.0, 1)


def test_a_view_is_measured_as_it_is_seen():
    base = torch.arange(12.0).reshape(3, 4)
    assert measure(base[:, 1]).mean == 5.0
    assert measure(base.t()).norm == measure(base).norm


def test_the_number_of_threads_changes_no_bit():
    tensor = torch.empty(3_000_001).normal_(generator=torch.Generator().manual_seed(0))
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
