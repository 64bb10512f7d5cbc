"""The answer of `paramctl grad` for a model that is built."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import torch
from torch import nn

from paramctl.errors import failure
from paramctl.records import FLOATING_DTYPES, ITEM_SIZES
from paramctl.reports.grad import GradReport
from paramctl.reports.health import Limits
from paramctl.spec.model import Fill, InputSpec, Loss
from paramctl.tensors import streams
from paramctl.tensors.backward import Wanted, run_passes
from paramctl.tensors.built import Build, BuiltModel
from paramctl.tensors.collect import bytes_of, dtype_name, take_inventory
from paramctl.tensors.gradients import make_grad_report
from paramctl.tensors.loss import draw_input, make_objective
from paramctl.tensors.materialize import materialize, needed_bytes, plan_drawings
from paramctl.tensors.memory import ensure_fits


@dataclass(frozen=True, slots=True, kw_only=True)
class PassOptions:
    """What `paramctl grad` was asked for; None where the model decides."""

    shape: tuple[int, ...] | None = None
    fill: Fill | None = None
    loss: Loss | None = None
    passes: int = 1
    train: bool = True
    device: str = "cpu"
    with_values: bool = False
    with_uses: bool = False
    with_flow: bool = False
    limits: Limits | None = None
    autocast: str | None = None


def gradients(build: Build, model: str, options: PassOptions, *, seed: int) -> GradReport:
    """Answer `paramctl grad`.

    Args:
        build: builds the model, under the same seed.
        model: the model as the user named it.
        options: what was asked for.
        seed: the seed of the values, the input, and whatever forward draws.

    Raises:
        ParamctlError: if there is no input, the model cannot be built or does not fit in memory, or a pass fails.

    """
    built = build()
    taken = _input_of(built, model, options)
    _ensure_passes_fit(built.net, taken)
    drawings, notes = plan_drawings(built.net, built.programs, built.rules, seed)
    input_dtype = _floating_dtype(built.net)
    materialize(built.net, drawings, built.programs, seed, options.device)
    net = built.net.train(options.train)
    given = draw_input(taken, input_dtype, seed).to(options.device)
    with streams.global_stream(seed, "forward"):
        run = run_passes(
            net,
            (given,),
            lambda output: make_objective(options.loss or built.loss, output, taken.fill, seed),
            passes=options.passes,
            explain=built.explain,
            wanted=Wanted(values=options.with_values, uses=options.with_uses, health=options.limits is not None),
            autocast=getattr(torch, options.autocast) if options.autocast else None,
        )
    return make_grad_report(
        model,
        take_inventory(net).parameters,
        run,
        passes=options.passes,
        with_values=options.with_values,
        with_flow=options.with_flow,
        limits=options.limits,
        notes=(*built.notes, *notes),
    )


def _input_of(built: BuiltModel, model: str, options: PassOptions) -> InputSpec:
    given = built.input
    if options.shape is not None:
        given = replace(given, shape=options.shape) if given else InputSpec(shape=options.shape)
    if given is None:
        raise failure("there is no input for a forward pass", where=model, hint=built.input_hint())
    return given if options.fill is None else replace(given, fill=options.fill)


def _ensure_passes_fit(net: nn.Module, taken: InputSpec) -> None:
    """Refuse what needs more than there is: parameters, their gradients, buffers and the input, activations aside."""
    gradients = sum(bytes_of(each) for each in net.parameters() if each.requires_grad)
    input_bytes = prod(taken.shape) * ITEM_SIZES[taken.dtype or "float32"]
    ensure_fits(needed_bytes(net) + gradients + input_bytes, "parameters, gradients and the input")


def _floating_dtype(net: nn.Module) -> torch.dtype:
    floating = (each.dtype for each in net.parameters() if dtype_name(each.dtype) in FLOATING_DTYPES)
    return next(floating, torch.get_default_dtype())
