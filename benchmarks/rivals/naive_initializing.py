"""Initialise a model of linear layers by a scheme and save it, as a script does."""

from __future__ import annotations

import sys

from safetensors.torch import save_file
from torch import nn


def main(scheme: str, layers: int, width: int, out: str | None) -> None:
    net = nn.Sequential(*[nn.Linear(width, width) for _ in range(layers)])
    fill = {"normal": lambda tensor: nn.init.normal_(tensor, 0.0, 0.01)}.get(scheme) or getattr(nn.init, f"{scheme}_")
    for parameter in net.parameters():
        if parameter.ndim > 1:
            fill(parameter)
        else:
            nn.init.zeros_(parameter)
    for parameter in net.parameters():
        print(parameter.mean().item(), parameter.std().item(), parameter.min().item(), parameter.max().item())
    if out is not None:
        save_file(net.state_dict(), out)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else None)
