from __future__ import annotations

import math
import random
from bisect import bisect_right
from functools import reduce
from itertools import pairwise

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from paramctl.tensors.histograms import MOST_BINS
from paramctl.tensors.scratch import Scratch
from paramctl.tensors.statistics import Partial, measure, measure_block

FINITE = {torch.float32: st.floats(width=32), torch.float64: st.floats(), torch.float16: st.floats(width=16)}


@st.composite
def tensors(draw):
    """Draw a tensor: of any numbers at all, or of neighbours, whose range is as small as it can be."""
    dtype = draw(st.sampled_from(list(FINITE)))
    values = draw(st.lists(FINITE[dtype], min_size=1, max_size=90))
    if draw(st.booleans()):
        values = [values[0] * (1 + i * torch.finfo(dtype).eps) for i in range(len(values))]
    return torch.tensor(values, dtype=dtype)


def histogram(tensor):
    return measure(tensor, hist=True).histogram


def counted(values, edges):
    """Count by comparing with the edges: each bin holds its lower edge, the last one its upper edge too."""
    counts = [0] * (len(edges) - 1)
    for value in values:
        counts[min(bisect_right(edges, value), len(counts)) - 1] += 1
    return counts


@given(tensors())
@example(torch.tensor([-5e-324, 1e308], dtype=torch.float64))
@example(torch.tensor([-torch.finfo(torch.float64).max, torch.finfo(torch.float64).max], dtype=torch.float64))
@example(torch.tensor([-1e-45, 1e30]))
@example(torch.tensor([1e-45, 2e-45, 7e-45, 1e-40]))
@example(torch.tensor([5e-324, 1e-323, 1e-320], dtype=torch.float64))
def test_every_finite_element_is_counted_between_its_edges(tensor):
    values = [value for value in tensor.tolist() if math.isfinite(value)]
    found = histogram(tensor)
    if len(set(values)) < 2:
        assert found.counts == ((len(values),) if values else ())
        assert found.edges == ((values[0], values[0]) if values else ())
        return
    assert list(found.counts) == counted(values, found.edges)
    assert found.counts[0]
    assert found.counts[-1]
    assert found.edges[0] <= min(values) < found.edges[1]
    assert found.edges[-2] <= max(values) <= found.edges[-1]


@given(tensors())
def test_bins_are_few_of_one_width_and_as_many_as_the_dtype_has_numbers_for(tensor):
    finite = tensor[tensor.isfinite()]
    found = histogram(tensor)
    assert len(found.counts) <= MOST_BINS
    if len(found.counts) < 2 or abs(found.edges[0]) > 1e308 or abs(found.edges[-1]) > 1e308:
        return
    widths = {high - low for low, high in pairwise(found.edges)}
    assert len(widths) == 1
    (width,) = widths
    assert math.frexp(width)[0] == 0.5
    largest = finite.abs().max()
    spacing = largest - torch.nextafter(largest, torch.zeros_like(largest))
    assert len(found.counts) > MOST_BINS // 2 or width <= 2 * spacing.item()


@given(tensors(), st.lists(st.integers(0, 90), max_size=5), st.randoms(use_true_random=False))
@example(torch.tensor([0.0, 1e-80], dtype=torch.float64), [1], random.Random(0))
def test_no_cut_and_no_order_of_blocks_changes_a_count(tensor, cuts, order):
    blocks = [measure_block(block, Scratch(), hist=True) for block in torch.tensor_split(tensor, sorted(cuts))]
    order.shuffle(blocks)
    assert reduce(Partial.merged, blocks, Partial()).statistics().histogram == histogram(tensor)


@pytest.mark.parametrize("size", [65, 5_000, 2**16 + 1, 700_001])
def test_large_tensors_are_counted_as_numpy_counts(size):
    numpy = pytest.importorskip("numpy")
    tensor = torch.empty(size).normal_(0.3, 0.02, generator=torch.Generator().manual_seed(size))
    tensor[::7] = 0.0
    found = histogram(tensor)
    counts, _ = numpy.histogram(tensor.double().numpy(), bins=list(found.edges))
    assert list(found.counts) == counts.tolist()
    assert sum(found.counts) == size


def test_the_number_of_threads_changes_no_count():
    tensor = torch.empty(1_000_000).normal_(generator=torch.Generator().manual_seed(0))
    one, two, three = (measure(tensor, threads=threads, hist=True) for threads in (1, 2, 3))
    assert one == two == three
    assert histogram(tensor[torch.randperm(1_000_000)]) == one.histogram


def test_statistics_are_the_same_with_a_histogram():
    tensor = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    with_one = measure(tensor, hist=True)
    assert all(getattr(with_one, name) == getattr(measure(tensor), name) for name in ("mean", "std", "norm", "zeros"))
    assert measure(tensor).histogram is None


def test_what_is_not_finite_is_in_no_bin():
    tensor = torch.randn(100_000, generator=torch.Generator().manual_seed(0))
    tensor[::3], tensor[1::3] = math.nan, -math.inf
    assert histogram(tensor) == histogram(tensor[2::3])
    assert histogram(torch.full((70_000,), math.nan)).counts == ()


def test_the_ends_of_a_range_are_in_its_first_and_last_bins():
    found = histogram(torch.linspace(-1, 1, 65))
    assert (found.edges[0], found.edges[-1], len(found.counts)) == (-1.0, 1.0, 32)
    assert found.counts == (*[2] * 31, 3)


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.int32])
def test_whole_numbers_have_bins_of_one_each_where_they_are_few(dtype):
    found = histogram(torch.tensor([3, 4, 4, 9], dtype=dtype))
    assert found.edges == tuple(range(3, 11))
    assert found.counts == (1, 2, 0, 0, 0, 0, 1)
    assert histogram(torch.tensor([True, False, True])).counts == (1, 2)


def test_whole_numbers_of_a_byte_have_32_bins_of_eight():
    assert histogram(torch.arange(256, dtype=torch.uint8)).counts == (8,) * 32


def test_numbers_that_lie_far_apart_have_a_bin_each():
    found = histogram(torch.tensor([1.0, 1.0078125, 1.015625], dtype=torch.bfloat16))
    assert found.counts == (1, 1, 1)
    assert found.edges == (1.0, 1.0078125, 1.015625, 1.0234375)


def test_a_tensor_without_elements_has_no_bins():
    assert histogram(torch.empty(0, 3)).edges == ()
