"""A built model and init rules -> values: of one parameter after the other, or of the whole model in memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from paramctl.analysis.planning import plan
from paramctl.rules import InitRule
from paramctl.tensors import streams
from paramctl.tensors.collect import take_inventory
from paramctl.tensors.defaults import Programs, run_program
from paramctl.tensors.initialize import Drawing, init_target


def plan_drawings(net: nn.Module, programs: Programs, rules: Sequence[InitRule]) -> tuple[list[Drawing], list[str]]:
    """Decide how each parameter of a model gets its values, in model order.

    Returns:
        A drawing for each parameter, and notes on the rules that reach nothing.

    Raises:
        ParamctlError: if an exact rule does not fit a parameter that it reaches.

    """
    parameters = list(net.parameters())
    records = take_inventory(net).parameters
    targets = [
        init_target(net, record, parameter, programs) for record, parameter in zip(records, parameters, strict=True)
    ]
    plans, notes = plan(targets, rules)
    drawings = [
        Drawing(each, parameter, programs.of(parameter)) for each, parameter in zip(plans, parameters, strict=True)
    ]
    return drawings, notes


def draw_buffer(name: str, buffer: torch.Tensor, programs: Programs, seed: int) -> torch.Tensor:
    """Return a buffer with the values that its layer gives it."""
    if not buffer.is_meta:
        return buffer
    values = torch.zeros(buffer.shape, dtype=buffer.dtype)
    run_program(programs.of(buffer), values, streams.generator(seed, name))
    return values


def materialize(
    net: nn.Module, drawings: Sequence[Drawing], programs: Programs, seed: int, device: str = "cpu"
) -> None:
    """Give every tensor of a model that was built on meta its values, in place of what stood there; ties are kept."""
    moved: dict[int, torch.Tensor] = {}
    for drawing in drawings:
        values = drawing.draw(seed).to(device)
        moved[id(drawing.tensor)] = nn.Parameter(values, requires_grad=drawing.tensor.requires_grad)
    for name, buffer in net.named_buffers():
        moved[id(buffer)] = draw_buffer(name, buffer, programs, seed).to(device)
    for module in list(net.modules()):
        held = (
            *module.named_parameters(recurse=False, remove_duplicate=False),
            *module.named_buffers(recurse=False, remove_duplicate=False),
        )
        for attribute, tensor in held:
            setattr(module, attribute, moved[id(tensor)])
    del moved


def needed_bytes(net: nn.Module) -> int:
    """Return the bytes of a model's parameters and buffers, each counted once."""
    return sum(tensor.numel() * tensor.element_size() for tensor in (*net.parameters(), *net.buffers()))


def largest_bytes(net: nn.Module) -> int:
    """Return the bytes of the largest parameter or buffer."""
    return max((tensor.numel() * tensor.element_size() for tensor in (*net.parameters(), *net.buffers())), default=0)
