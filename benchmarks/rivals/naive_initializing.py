"""Initialise a model of linear layers by a scheme, look at the values and save it, as a script does."""

from __future__ import annotations

import sys

import torch
from safetensors.torch import save_file
from torch import nn


def main(scheme: str, sizes: str, out: str | None) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(*[nn.Linear(*map(int, size.split("x"))) for size in sizes.split(",")])
    fills = {"normal": lambda tensor: nn.init.normal_(tensor, 0.0, 0.01), "uniform": nn.init.uniform_}
    fill = fills.get(scheme) or getattr(nn.init, f"{scheme}_")
    torch.manual_seed(0)
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
    main(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None)
