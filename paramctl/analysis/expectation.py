"""What the formulas promise of a parameter's values, and whether the values keep it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from paramctl.fans import Fans
from paramctl.records import FLOATING_DTYPES, ParameterRecord, Statistics
from paramctl.scheme_declaration import Moments, Scheme, TensorFacts

STANDARD_ERRORS = 5.0
"""How far a sample's mean or std may be off: a right one is further off once in two million times."""


class Step(NamedTuple):
    """A scheme with its options, and the fans that it uses; None for torch's."""

    scheme: Scheme
    options: Mapping[str, Any]
    fans: Fans | None = None


def expected_moments(shape: tuple[int, ...], steps: Iterable[Step | None], padding_row: int | None) -> Moments | None:
    """Return the moments that a sequence of schemes promises; a step of None is one that no formula describes.

    An embedding's padding row is zero whatever the schemes say, and counts so.
    """
    if math.prod(shape) == 0:
        return None
    moments: Moments | None = None
    for step in steps:
        moments = step and step.scheme.moments(TensorFacts(shape, moments, step.fans), **step.options)
    if moments is None or padding_row is None:
        return moments
    return _with_zeros(moments, 1 - 1 / shape[0])


def _with_zeros(moments: Moments, kept: float) -> Moments:
    """Return the moments of a mixture: a share `kept` of the values as they are, zero for the rest."""
    mean = kept * moments.mean
    second = kept * (moments.std**2 + moments.mean**2)
    return Moments(mean, math.sqrt(max(second - mean**2, 0.0)), max(moments.kurtosis, 1 + 2 / kept if kept else 3.0))


def deviates(record: ParameterRecord, stats: Statistics, expected: Moments) -> bool:
    """Tell whether mean or std are off by more than five standard errors, or values are not finite.

    The standard error of a mean is std/√n, that of a std about std·√((kurtosis − 1) / 4n). What the dtype rounds is
    no deviation.
    """
    if not (math.isfinite(expected.mean) and math.isfinite(expected.std)):
        return False
    if stats.mean is None or stats.std is None or stats.nan or stats.inf:
        return True
    n = record.numel
    precision = FLOATING_DTYPES.get(record.dtype, FLOATING_DTYPES["float32"])
    rounding = precision.epsilon * (abs(expected.mean) + expected.std) + precision.smallest / 2
    mean_error = STANDARD_ERRORS * expected.std / math.sqrt(n) + rounding
    # A sample of n has on average a population std that is smaller by a factor of √((n − 1)/n).
    std_error = STANDARD_ERRORS * expected.std * math.sqrt(max(expected.kurtosis - 1, 0.0) / (4 * n)) + rounding
    shrunk = expected.std * math.sqrt((n - 1) / n)
    return abs(stats.mean - expected.mean) > mean_error or abs(stats.std - shrunk) > std_error
