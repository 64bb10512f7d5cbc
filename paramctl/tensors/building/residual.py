"""The residual connection that a spec can write, so that residual networks and transformers fit in a Sequential."""

from __future__ import annotations

from torch import Tensor, nn


class Residual(nn.Module):
    """Adds what its layers make of the input to what its shortcut makes of it: shortcut(x) + layers(x)."""

    def __init__(self, layers: nn.Sequential, shortcut: nn.Sequential) -> None:
        """Take the two branches; an empty shortcut passes the input on."""
        super().__init__()
        self.layers = layers
        self.shortcut = shortcut

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's own name for it
        """Return shortcut(input) + layers(input); both branches must give shapes that can be added."""
        total: Tensor = self.shortcut(input) + self.layers(input)
        return total
