"""What strided tensors touch, held against sets of the addresses of their bytes."""

from __future__ import annotations

from itertools import chain, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paramctl.analysis import effort
from paramctl.analysis.effort import Effort, TooIrregularError
from paramctl.analysis.footprints import cover, footprint_of
from paramctl.records import StorageSpan


def addresses(shape, span):
    return {
        span.base + span.itemsize * (span.offset + sum(i * s for i, s in zip(index, span.strides, strict=True))) + byte
        for index in product(*map(range, shape))
        for byte in range(span.itemsize)
    }


@st.composite
def views(draw):
    shape = tuple(draw(st.lists(st.integers(1, 5), max_size=4)))
    strides = tuple(draw(st.sampled_from([0, 1, 2, 3, 4, 5, 6, 8, 12, 20, 24, 60])) for _ in shape)
    span = StorageSpan(
        0,
        draw(st.integers(0, 40)),
        strides,
        draw(st.sampled_from([1, 2, 4, 8])),
        base=draw(st.sampled_from([0, 0, 0, 3])),
    )
    return shape, span


@st.composite
def views_of_one_tensor(draw):
    """Slices with steps, and transposes, of one contiguous tensor, as people write them."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
    strides = [1]
    for size in reversed(sizes[1:]):
        strides.insert(0, strides[0] * size)
    offset, dimensions = 0, []
    for size, stride in zip(sizes, strides, strict=True):
        first, step = draw(st.integers(0, size - 1)), draw(st.integers(1, 3))
        offset += first * stride
        dimensions.append((draw(st.integers(1, -(-(size - first) // step))), step * stride))
    dimensions = draw(st.permutations(dimensions))
    return tuple(n for n, _ in dimensions), StorageSpan(0, offset, tuple(s for _, s in dimensions), 4)


def check(several):
    sets = [addresses(*each) for each in several]
    covered = cover([footprint_of(*each) for each in several], Effort())
    assert covered.nbytes == len(set().union(*sets))
    components = []
    for i, touched in enumerate(sets):
        meeting = [each for each in components if any(touched & sets[k] for k in each)]
        components = [each for each in components if each not in meeting] + [sorted([i, *chain.from_iterable(meeting)])]
    assert sorted(covered.components) == sorted(components)


@given(st.lists(views(), min_size=1, max_size=5))
def test_any_strides_touch_what_their_addresses_say(several):
    check(several)


@given(st.lists(views_of_one_tensor(), min_size=1, max_size=8))
def test_views_of_one_tensor_touch_what_their_addresses_say(several):
    check(several)


@given(views(), views())
def test_equal_footprints_are_equal_sets_and_of_simple_ones_the_reverse(one, two):
    first, second = footprint_of(*one), footprint_of(*two)
    same = addresses(*one) == addresses(*two)
    if first.is_simple and second.is_simple:
        assert (first == second) == same
    assert first != second or same
    assert first.start == min(addresses(*one))
    assert first.end == max(addresses(*one)) + 1


@pytest.mark.parametrize(
    ("shape", "strides"), [((3, 4), (4, 1)), ((12,), (1,)), ((4, 3), (1, 4)), ((3, 1, 4), (4, 9, 1)), ((2, 12), (0, 1))]
)
def test_all_views_of_the_same_elements_have_one_footprint(shape, strides):
    assert footprint_of(shape, StorageSpan(0, 2, strides, 4)) == (8, ((48, 1),))


def test_what_has_no_elements_touches_nothing():
    assert footprint_of((3, 0), StorageSpan(0, 0, (1, 1), 4)) is None


def test_columns_of_a_matrix_too_large_for_any_memory_are_told_apart():
    rows, columns = 10**12, 1000
    each = [footprint_of((rows,), StorageSpan(0, i, (columns,), 2)) for i in range(columns)]
    covered = cover(each, Effort())
    assert covered.nbytes == rows * columns * 2
    assert len(covered.components) == columns
    row = footprint_of((columns,), StorageSpan(0, 5 * columns, (1,), 2))
    assert cover([*each, row], Effort()).components == [list(range(columns + 1))]


def test_strides_that_have_nothing_in_common_are_given_up_before_they_take_long():
    one, two = (footprint_of((10**9,), StorageSpan(0, 0, (stride,), 1)) for stride in (999_983, 1_000_003))
    with pytest.raises(TooIrregularError):
        cover([one, two], Effort())


def test_the_work_does_not_grow_with_the_sizes_of_views_of_one_tensor(monkeypatch):
    monkeypatch.setattr(effort, "MOST_WORK", 20)
    sizes = (10**6, 10**5, 10**4)
    strides = (10**9, 10**4, 1)
    whole = footprint_of(sizes, StorageSpan(0, 0, strides, 4))
    corner = footprint_of((10, 10**5, 7), StorageSpan(0, 3, strides, 4))
    other = footprint_of((10, 10**5, 7), StorageSpan(0, 10, strides, 4))
    assert cover([corner, other], Effort()).components == [[0], [1]]
    assert cover([whole, corner, other], Effort()).components == [[0, 1, 2]]
    assert cover([whole, corner, other], Effort()).nbytes == 4 * 10**15
