"""What a user would write for the statistics of a checkpoint: load it, and call seven reductions for each tensor."""

from __future__ import annotations

import sys

import torch
from safetensors.torch import load_file

for tensor in load_file(sys.argv[1]).values():
    for function in (torch.mean, torch.std, torch.min, torch.max, torch.norm):
        function(tensor)
    (tensor == 0).sum()
    tensor.isnan().sum()
