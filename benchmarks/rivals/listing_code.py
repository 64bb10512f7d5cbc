"""What a user would write to list the parameters of a model in Python, on the device that is named."""

from __future__ import annotations

import sys

import torch
from gpt import GPT
from rich.console import Console
from rich.table import Table

with torch.device(sys.argv[1]):
    net = GPT()

table = Table("name", "shape", "dtype", "elements")
for name, parameter in net.named_parameters():
    table.add_row(name, str(list(parameter.shape)), str(parameter.dtype), f"{parameter.numel():,}")
Console().print(table)
print(f"{sum(parameter.numel() for parameter in net.parameters()):,} parameters")
