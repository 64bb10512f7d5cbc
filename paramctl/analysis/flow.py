"""Each layer's gradient -> one norm for each layer, in order: how gradients grow or shrink on their way."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from paramctl.reports.grad import LayerGradient, ParameterGradient


def measure_flow(rows: Sequence[ParameterGradient]) -> list[LayerGradient]:
    """Return the norm of all gradients of each module that holds parameters by itself, in model order.

    A parameter with several names counts where its first name is. The norm is NaN where an element is not finite.
    """
    squares: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        held = squares[row.name.rpartition(".")[0]]
        if row.grad is not None:
            held.append(row.grad.norm**2 if row.grad.is_finite else math.nan)
    return [LayerGradient(module, math.sqrt(math.fsum(held)) if held else None) for module, held in squares.items()]
