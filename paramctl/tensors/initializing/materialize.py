"""A built model and init rules -> values: of one parameter after the other, or of the whole model in memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from paramctl.analysis.planning import plan
from paramctl.fans import FanRule
from paramctl.rules import InitRule
from paramctl.tensors import streams
from paramctl.tensors.collect import distinct_parameters, take_inventory
from paramctl.tensors.initializing.defaults import Programs, run_program
from paramctl.tensors.initializing.drawing import Drawing
from paramctl.tensors.initializing.init_functions import with_function
from paramctl.tensors.initializing.targets import init_target


def plan_drawings(
    net: nn.Module, programs: Programs, rules: Sequence[InitRule], seed: int = 0, *, fan: FanRule = "layer"
) -> tuple[list[Drawing], list[str]]:
    """Decide how each parameter of a model gets its values, in model order.

    Functions of the user's own are imported first, under a stream of the seed, so that what their modules draw is the
    same in every run.

    Returns:
        A drawing for each parameter, and notes on the rules that reach nothing.

    Raises:
        ParamctlError: if a function cannot be imported, or if an exact rule does not fit a parameter that it reaches.

    """
    parameters = distinct_parameters(net)
    records = take_inventory(net).parameters
    targets = [
        init_target(net, record, parameter, programs, fan)
        for record, parameter in zip(records, parameters, strict=True)
    ]
    with streams.global_stream(seed, "import"):
        loaded = [with_function(rule) for rule in rules]
    plans, notes = plan(targets, loaded)
    drawings = [
        Drawing(each, parameter, programs.of(parameter)) for each, parameter in zip(plans, parameters, strict=True)
    ]
    return drawings, notes


def draw_buffer(name: str, buffer: torch.Tensor, programs: Programs, seed: int) -> torch.Tensor:
    """Return a buffer with the values that its layer gives it."""
    if not buffer.is_meta:
        return buffer
    values = torch.zeros(buffer.shape, dtype=buffer.dtype, device="cpu")
    run_program(programs.of(buffer), values, partial(streams.generator, seed, name))
    return values


def materialize(
    net: nn.Module, drawings: Sequence[Drawing], programs: Programs, seed: int, device: str = "cpu"
) -> None:
    """Give every tensor of a model its values on a device; ties are kept.

    What is on meta is replaced. What a layer of the user's own has made is changed in place, since the layer may refer
    to it elsewhere too: in a hook, in a list.
    """
    replaced: dict[int, torch.Tensor] = {}
    for drawing in drawings:
        tensor, values = drawing.tensor, drawing.draw(seed).to(device)
        if tensor.is_meta:
            replaced[id(tensor)] = nn.Parameter(values, requires_grad=tensor.requires_grad)
        else:
            tensor.data = values
            if tensor.grad is not None:
                tensor.grad = tensor.grad.to(device)
    for name, buffer in net.named_buffers():
        values = draw_buffer(name, buffer, programs, seed).to(device)
        if buffer.is_meta:
            replaced[id(buffer)] = values
        else:
            buffer.data = values
    for module in list(net.modules()):
        held = (
            *module.named_parameters(recurse=False, remove_duplicate=False),
            *module.named_buffers(recurse=False, remove_duplicate=False),
        )
        for attribute, tensor in held:
            if id(tensor) in replaced:
                setattr(module, attribute, replaced[id(tensor)])
