"""What a user would write to list the parameters of a YAML spec."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import yaml
from rich.console import Console
from rich.table import Table
from torch import nn

spec = yaml.safe_load(Path(sys.argv[1]).read_text())
with torch.device("meta"):
    layers = [getattr(nn, name)(**arguments) for layer in spec["layers"] for name, arguments in layer.items()]
net = nn.Sequential(*layers)

table = Table("name", "type", "shape", "dtype", "elements", "bytes")
total = 0
for name, parameter in net.named_parameters():
    module = net.get_submodule(name.rpartition(".")[0])
    size = parameter.numel() * parameter.element_size()
    table.add_row(
        name,
        type(module).__name__,
        str(list(parameter.shape)),
        str(parameter.dtype),
        f"{parameter.numel():,}",
        f"{size:,}",
    )
    total += parameter.numel()
Console().print(table)
print(f"{total:,} parameters")
