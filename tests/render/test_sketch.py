from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from paramctl.render.sketch import COLUMNS, LEVELS, in_ascii, sketch
from paramctl.tensors.statistics import measure


def drawn(values, dtype=torch.float32):
    return sketch(measure(torch.tensor(values, dtype=dtype), hist=True))


def test_a_uniform_distribution_is_flat_to_its_ends_wherever_they_lie():
    for low, high in ((0, 1), (-0.7, 0.7), (3.01, 3.77), (-1e38, 3e38)):
        assert drawn([low + (high - low) * i / 99_999 for i in range(100_000)]).strip(LEVELS[-1] + LEVELS[-2]) == ""


def test_a_normal_distribution_is_high_in_the_middle():
    line = sketch(measure(torch.randn(100_000, generator=torch.Generator().manual_seed(0)), hist=True))
    assert len(line) == COLUMNS
    assert "█" in line[5:11]
    assert line[0] == line[-1] == "▁"


def test_empty_bins_are_empty_and_single_elements_are_not():
    assert drawn([0.0, 1.0]) == f"█{' ' * 14}█"
    line = drawn([*[0.0] * 100_000, 0.5, 1.0])
    assert (line[0], line[-1], line.replace(" ", "")) == ("█", "▁", "█▁▁")


def test_rounding_fills_no_empty_column():
    # The column from 1.8 to 2.0 ends at the edge of a full bin, or, as it is computed, a little behind it.
    assert drawn([-0.4, *[2.0000000000000004] * 1000, 2.8], torch.float64) == f"▁{' ' * 11}█  ▁"


def test_equal_elements_are_one_block_and_no_element_is_nothing():
    assert drawn([2.5] * 9) == "█"
    assert drawn([]) == ""
    assert drawn([float("nan")]) == ""


def test_whole_numbers_have_a_column_each():
    assert drawn([0, 1, 1, 1, 1, 3], torch.int64) == "▃█ ▃"
    assert drawn([True, False], torch.bool) == "██"
    assert drawn(list(range(32)), torch.int64) == "█" * 16


def test_without_a_histogram_there_is_nothing_to_draw():
    assert sketch(measure(torch.ones(3))) == ""


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=40))
def test_a_sketch_begins_with_min_and_ends_with_max(values):
    line = drawn(values, torch.float64)
    assert 1 <= len(line) <= COLUMNS
    assert line == line.strip()
    assert "█" in line


@pytest.mark.parametrize("line", ["▁▂▃▄▅▆▇█", "█  ▁"])
def test_ascii_has_a_character_for_every_level(line):
    assert in_ascii(line).isascii()
    assert len(set(in_ascii(line))) == len(set(line))
