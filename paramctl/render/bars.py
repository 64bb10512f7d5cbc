"""Numbers as bars on a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

WIDTH: Final = 36
"""The cells of the longest bar, where there is room."""
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_FULL: Final = "█"


def log_bars(values: Sequence[float | None], width: int = WIDTH) -> tuple[str, list[str]]:
    """Return the scale, as a line above the bars, and a bar for each value.

    The scale reaches from the power of ten below the least positive value to the one above the largest. What is not
    above 0 has no bar.

    Args:
        values: the values.
        width: the cells of the longest bar; more where both ends of the scale need more.

    """
    logs = [math.log10(value) if value is not None and 0 < value < math.inf else None for value in values]
    known = [each for each in logs if each is not None]
    low = math.floor(min(known, default=0))
    high = max(math.ceil(max(known, default=1)), low + 1)
    left, right = f"1e{low}", f"1e{high}"
    width = max(width, len(left) + 1 + len(right))
    scale = f"{left}{right:>{width - len(left)}}"
    return scale, ["" if each is None else _bar((each - low) / (high - low), width) for each in logs]


def _bar(share: float, width: int) -> str:
    """Draw a share of a width; the least one is still seen."""
    eighths = max(1, round(share * width * 8))
    return _FULL * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")
