"""A model of one's own, for `paramctl list fixed_hidden.py:FixedHiddenMLP`: one of its tensors is no parameter."""

import torch
from torch import nn
from torch.nn import functional


class FixedHiddenMLP(nn.Module):
    """One linear layer before and after a hidden layer whose weight is constant."""

    def __init__(self, width: int = 20) -> None:
        super().__init__()
        self.rand_weight = torch.rand(width, width)
        self.linear = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return one number, not above 1 in its magnitude."""
        x = self.linear(x)
        x = functional.relu(x @ self.rand_weight + 1)
        x = self.linear(x)
        while x.abs().sum() > 1:
            x = x / 2
        return x.sum()
