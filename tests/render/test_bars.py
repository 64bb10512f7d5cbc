from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from paramctl.render.bars import WIDTH, log_bars


def test_equal_factors_are_equal_steps():
    scale, bars = log_bars([1e-3, 1e-1, 1e1])
    assert (scale[:4], scale[-3:], len(scale)) == ("1e-3", "1e1", WIDTH)
    assert [len(bar) for bar in bars] == [1, WIDTH // 2, WIDTH]


def test_a_narrow_scale_still_tells_both_of_its_ends():
    scale, bars = log_bars([1e-300, 1e300], width=5)
    assert (scale, [len(bar) for bar in bars]) == ("1e-300 1e300", [1, len(scale)])


def test_what_is_not_above_zero_has_no_bar():
    assert log_bars([0.0, None, 1.0])[1][:2] == ["", ""]
    assert log_bars([]) == (log_bars([None])[0], [])


@given(st.lists(st.one_of(st.none(), st.floats(min_value=0, allow_infinity=True))))
def test_bars_are_ordered_as_the_values_are_and_fit(values):
    _, bars = log_bars(values)
    assert all(len(bar) <= WIDTH for bar in bars)
    known = sorted((value, len(bar)) for value, bar in zip(values, bars, strict=True) if value and value < math.inf)
    assert all(bar for _, bar in known)
    assert [width for _, width in known] == sorted(width for _, width in known)
