"""Prints the MiB that a forward and a backward take over the model: `bare`, or with statistics and uses `paramctl`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch

from benchmarks.gradients import BATCH, LARGE, bare, layers, run
from paramctl.tensors.gradients.backward import Wanted

count, width = LARGE
net, given = layers(count, width), torch.rand(BATCH, width)
small, little = layers(2, 64), torch.rand(BATCH, 64)
bare(small, little)  # what torch allocates for itself when it first runs
run(small, little, Wanted(uses=True))


def status(field: str) -> int:
    # Not `ru_maxrss`, which begins with that of the process that started this one.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


before = status("VmRSS")
if sys.argv[1] == "bare":
    bare(net, given)
else:
    run(net, given, Wanted(uses=True))
print((status("VmHWM") - before) / 1024)
