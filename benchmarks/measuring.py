"""Statistics of a billion elements, and of 40,000 small parameters, beside seven calls of torch for each tensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch

from benchmarks.harness import compare_calls
from paramctl.tensors.statistics import measure

LAYERS, WIDTH = 60, 4096
SMALL = 20_000


def seven_calls(tensor: torch.Tensor) -> None:
    """Do what a user does by hand."""
    for function in (torch.mean, torch.std, torch.min, torch.max, torch.norm):
        function(tensor)
    (tensor == 0).sum()
    tensor.isnan().sum()


def seven_calls_and_histc(tensor: torch.Tensor) -> None:
    """Do what a user does by hand who wants to see the distribution, too."""
    seven_calls(tensor)
    torch.histc(tensor, bins=32)


def each(function: Callable[[torch.Tensor], object], tensors: Sequence[torch.Tensor]) -> Callable[[], None]:
    """Return what calls a function on every tensor."""

    def call() -> None:
        for tensor in tensors:
            function(tensor)

    return call


def main() -> None:
    """Compare both dtypes of large tensors, also with one `sum()` and with histograms, and small ones."""
    for dtype, target in ((torch.float32, "at least 10 × faster"), (torch.bfloat16, "at least 20 × faster")):
        tensors = [torch.empty(WIDTH, WIDTH).normal_(0, 0.02).to(dtype) for _ in range(LAYERS)]
        title, ours = f"statistics of {LAYERS * WIDTH * WIDTH:,} elements of {dtype}", each(measure, tensors)
        compare_calls(title, ours, each(seven_calls, tensors), runs=3, target=target)
        if dtype == torch.float32:
            one_sum = each(torch.sum, tensors)
            compare_calls(f"{title}, beside one sum()", ours, one_sum, runs=3, target="at most 3 × the time")
            ours = each(partial(measure, hist=True), tensors)
            title = f"{title}, with a histogram"
            compare_calls(title, ours, each(seven_calls, tensors), runs=3, target="at least 6 × faster")
            rival = each(seven_calls_and_histc, tensors)
            compare_calls(f"{title} on both sides", ours, rival, runs=3, target="at least 6 × faster")
    small = [torch.randn(shape) for shape in ((64, 64), (64,)) for _ in range(SMALL)]
    title = f"statistics of {len(small):,} small parameters"
    compare_calls(title, each(measure, small), each(seven_calls, small), runs=3, target="not slower")
