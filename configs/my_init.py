"""An init function of one's own, for `paramctl init --scheme my_init.py:init_weight_`."""

import torch


def init_weight_(weight: torch.Tensor) -> None:
    """Draw from U(-10, 10), and keep what is at least 5 away from zero: half of the weights are 0."""
    weight.uniform_(-10, 10)
    weight *= weight.abs() >= 5
