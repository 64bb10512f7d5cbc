"""Gradients with statistics and the uses of parameters, beside a bare forward and backward, and naive statistics.

Each side frees the gradients that it leaves, so that neither pays for those of the other, which ran before it.
"""

from __future__ import annotations

import gc
import subprocess
import sys

import torch
from torch import nn

from benchmarks.harness import RIVALS, compare_calls
from benchmarks.measuring import each, seven_calls
from paramctl.errors import failure
from paramctl.tensors.gradients.backward import GradientRun, Wanted, run_passes
from paramctl.tensors.gradients.loss import Objective

BATCH = 32
LARGE, MANY = (50, 2048), (2000, 64)
"""The number of linear layers, and their width."""


def layers(count: int, width: int) -> nn.Sequential:
    """Return linear layers that keep the scale of activations and gradients: vanished ones cost less."""
    net = nn.Sequential(*(nn.Linear(width, width) for _ in range(count)))
    for layer in net:
        nn.init.orthogonal_(layer.weight) if width < 1000 else nn.init.normal_(layer.weight, 0, width**-0.5)
    return net


def run(net: nn.Module, given: torch.Tensor, wanted: Wanted) -> GradientRun:
    """Do what `paramctl grad` does with a model that is built."""
    objective = Objective(torch.sum, "the sum of the output")
    found = run_passes(
        net,
        (given,),
        lambda _: objective,
        passes=1,
        explain=lambda _, error, __=None: failure(str(error)),
        wanted=wanted,
    )
    net.zero_grad()
    return found


def bare(net: nn.Module, given: torch.Tensor) -> None:
    """Run forward and backward."""
    net(given).sum().backward()
    net.zero_grad()


def naive(net: nn.Module, given: torch.Tensor) -> None:
    """Run forward and backward, and take statistics by hand."""
    net(given).sum().backward()
    each(seven_calls, [parameter.grad for parameter in net.parameters() if parameter.grad is not None])()
    net.zero_grad()


def memory(program: str) -> float:
    """Return the MiB that a program says its passes took over the model."""
    words = [sys.executable, str(RIVALS / "gradient_memory.py"), program]
    return float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)  # noqa: S603  our own


def main() -> None:
    """Compare speed for large and for many layers, and memory for large ones."""
    for (count, width), runs, beside_bare, beside_naive in (
        (LARGE, 7, "at most 1.1 × the time", "at least 2 × faster"),
        (MANY, 25, "at most 1.5 × the time", "no slower"),
    ):
        net, given = layers(count, width), torch.rand(BATCH, width)
        gc.collect()
        gc.freeze()  # as the command line does before it computes
        title = f"gradients of {count:,} × Linear({width}, {width}), statistics"
        for words, wanted in (("", Wanted()), (" and uses", Wanted(uses=True))):
            compare_calls(
                f"{title}{words}, beside a bare backward",
                lambda net=net, given=given, wanted=wanted: run(net, given, wanted),
                lambda net=net, given=given: bare(net, given),
                runs=runs,
                target=beside_bare,
            )
        compare_calls(
            f"{title} and uses, beside naive statistics",
            lambda net=net, given=given: run(net, given, Wanted(uses=True)),
            lambda net=net, given=given: naive(net, given),
            runs=runs,
            target=beside_naive,
        )
    count, width = LARGE
    print(f"\nmemory over the model of {count} × Linear({width}, {width})")
    for program in ("bare", "paramctl"):
        print(f"  {program:<44} {memory(program):8.0f} MiB")
    print("  wanted: less than 150 MB")


if __name__ == "__main__":
    main()
