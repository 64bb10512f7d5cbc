"""What is shared among 100,000 and a million parameters, a hundredth of them tied, beside accelerate's search.

Accelerate is no dependency: without it our figures stand alone. Its time grows with the parameters times the ties, so
that it is left out at a million.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec

from torch import nn

import paramctl
from benchmarks.harness import compare_calls
from paramctl.tensors.sharing.surveying import find_repeated

RUNS = 5
SIZES = (100_000, 1_000_000)


def tied_model(parameters: int) -> nn.Module:
    """Return linear layers of which every hundredth has the weight and the bias of the one before."""
    layers = [nn.Linear(2, 2) for _ in range(parameters // 2)]
    for before, layer in zip(layers[::100], layers[1::100], strict=True):
        for name in ("weight", "bias"):
            setattr(layer, name, getattr(before, name))
    return nn.Sequential(*layers)


def report(title: str, call: Callable[[], object], target: str) -> float:
    """Print the median seconds of a call, its first run aside, and return them."""
    taken = []
    for _ in range(RUNS + 1):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    median = statistics.median(taken[1:])
    print(f"\n{title}\n  {'paramctl':<44} {median:8.3f} s, {RUNS} runs · wanted: {target}")
    return median


def main() -> None:
    """Compare both at the smaller size, and tell how paramctl grows."""
    small, large = SIZES
    net = tied_model(small)
    by_id = (f"ties of {small:,} parameters by id()", lambda: find_repeated(net), "at least 25 × faster")
    whole = (
        f"find_shared of {small:,} parameters, memory included",
        lambda: paramctl.find_shared(net),
        "at least 8 × faster",
    )
    if find_spec("accelerate") is None:
        print("\naccelerate is not installed: `pip install accelerate` puts its figures beside these")
        for title, call, target in (by_id, whole):
            report(title, call, target)
    else:
        from accelerate.utils import find_tied_parameters

        for title, call, target in (by_id, whole):
            compare_calls(
                title, call, lambda: find_tied_parameters(net), runs=RUNS, target=target, rival_name="accelerate"
            )
    first = report(f"find_shared of {small:,} parameters", lambda: paramctl.find_shared(net), "a tenth of the next")
    grown = tied_model(large)
    last = report(f"find_shared of {large:,} parameters", lambda: paramctl.find_shared(grown), "less than 3 s")
    print(f"  {last / first:.1f} × the time for {large // small} × the parameters")


if __name__ == "__main__":
    main()
