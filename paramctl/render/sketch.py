"""A histogram -> one line of blocks, as high as there are elements."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Final

from paramctl.records import Statistics

LEVELS: Final = "▁▂▃▄▅▆▇█"
COLUMNS: Final = 16
_ROUNDING: Final = 1e-3
"""What rounding may leave, in elements, of an empty bin that is spread over columns."""
_ASCII: Final = str.maketrans(LEVELS, ".:-=+*#@")


def sketch(stats: Statistics) -> str:
    """Draw a histogram from min to max: higher for more elements, a space where there is none.

    It has a column for each bin or, where there are more bins, `COLUMNS` columns of one width. The outer bins reach
    beyond min and max, and the columns do not. Of no element there is nothing to draw.
    """
    histogram = stats.histogram
    if histogram is None or not histogram.counts or stats.min is None or stats.max is None:
        return ""
    counts: Sequence[float] = histogram.counts
    if len(counts) > COLUMNS:
        # The last bin of integers is for one of them, and begins with it.
        end = stats.max if stats.max > histogram.edges[-2] else histogram.edges[-1]
        counts = _resampled([stats.min, *histogram.edges[1:-1], end], counts)
    most = max(counts)
    return "".join(_level(count / most) if count > _ROUNDING else " " for count in counts)


def in_ascii(text: str) -> str:
    """Return a text whose sketches are drawn with characters that every encoding has."""
    return text.translate(_ASCII)


def _level(share: float) -> str:
    return LEVELS[min(int(len(LEVELS) * share), len(LEVELS) - 1)]


def _resampled(edges: Sequence[float], counts: Sequence[float]) -> list[float]:
    """Return the elements of `COLUMNS` columns, taking those of a bin as spread evenly over it."""
    below = [0, *accumulate(counts)]
    width = edges[-1] / COLUMNS - edges[0] / COLUMNS
    half = COLUMNS // 2
    # From the nearer end: to the farther one it may be more than the largest float.
    cuts = [*(edges[0] + i * width for i in range(half)), *(edges[-1] - i * width for i in range(half, -1, -1))]
    return [high - low for low, high in pairwise(_below(cut, edges, below) for cut in cuts)]


def _below(value: float, edges: Sequence[float], below: Sequence[float]) -> float:
    """Return how many elements lie below a value, `below` being the numbers below each edge."""
    i = min(bisect_right(edges, value), len(edges) - 1)
    share = (value - edges[i - 1]) / (edges[i] - edges[i - 1])
    return below[i - 1] + share * (below[i] - below[i - 1])
