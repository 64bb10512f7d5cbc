"""The answer of `paramctl grad` for a model that is built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import torch
from torch import nn

from paramctl.errors import failure
from paramctl.records import FLOATING_DTYPES, ITEM_SIZES
from paramctl.reports.grad import GradReport
from paramctl.reports.health import Limits
from paramctl.spec.model import Fill, GivenInput, InputSpec, Loss
from paramctl.tensors import streams
from paramctl.tensors.building.built import Build, BuiltModel
from paramctl.tensors.building.live import check_python
from paramctl.tensors.building.live_failures import check_forward
from paramctl.tensors.collect import bytes_of, distinct_parameters, distinct_tensors, dtype_name, take_inventory
from paramctl.tensors.gradients.backward import Wanted, run_passes
from paramctl.tensors.gradients.loss import draw_input, objective_of
from paramctl.tensors.gradients.rows import make_grad_report
from paramctl.tensors.initializing.drawing import Drawing
from paramctl.tensors.initializing.materialize import materialize, plan_drawings
from paramctl.tensors.initializing.producing import bytes_needed
from paramctl.tensors.memory import ensure_fits

_INTEGERS = frozenset({torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8})


@dataclass(frozen=True, slots=True, kw_only=True)
class PassOptions:
    """What `paramctl grad` was asked for; None where the model decides.

    `inputs` replace the model's own input; `shape` and `fill` change it, and come first where there are both.
    """

    inputs: tuple[GivenInput, ...] = ()
    shape: tuple[int, ...] | None = None
    fill: Fill | None = None
    loss: Loss | None = None
    passes: int = 1
    train: bool = True
    device: str = "cpu"
    with_values: bool = False
    hist: bool = False
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
    check_python(built.net, "MODEL")
    taken = _inputs_of(built, model, options)
    check_forward(built.net, taken)
    drawings, notes = plan_drawings(built.net, built.programs, built.rules, seed)
    _ensure_passes_fit(built.net, drawings, taken)
    input_dtype = _floating_dtype(built.net)
    materialize(built.net, drawings, built.programs, seed, options.device)
    net = built.net.train(options.train)
    drawn = _draw(taken, input_dtype, seed, options.device)
    loss = options.loss or built.loss
    # The user's code may have switched gradients off.
    with torch.inference_mode(mode=False), streams.global_stream(seed, "forward"):
        run = run_passes(
            net,
            [tensor for name, tensor in drawn if name is None],
            lambda output: objective_of(output, loss, taken[0].spec.fill, seed),
            passes=options.passes,
            explain=built.explain,
            keywords={name: tensor for name, tensor in drawn if name is not None},
            wants_loss=loss is None,
            wanted=Wanted(
                values=options.with_values,
                hist=options.hist,
                uses=options.with_uses,
                health=options.limits is not None,
            ),
            autocast=getattr(torch, options.autocast) if options.autocast else None,
        )
    return make_grad_report(
        model,
        take_inventory(net).parameters,
        run,
        passes=options.passes,
        with_values=options.with_values,
        hist=options.hist,
        with_flow=options.with_flow,
        limits=options.limits,
        notes=(*built.notes, *notes, *_notes_on_zeros(taken)),
    )


def _inputs_of(built: BuiltModel, model: str, options: PassOptions) -> tuple[GivenInput, ...]:
    given = None if options.inputs else built.input
    if options.shape is not None:
        given = replace(given, shape=options.shape) if given else InputSpec(shape=options.shape)
    if given is None:
        if options.inputs:
            return options.inputs
        raise failure("there is no input for a forward pass", where=model, hint=built.input_hint())
    first = given if options.fill is None else replace(given, fill=options.fill)
    return (GivenInput(first), *options.inputs)


def _notes_on_zeros(taken: Sequence[GivenInput]) -> list[str]:
    """Return a note on each input of integers that fractions below 1 are cut off to."""
    notes = []
    for i, each in enumerate(taken, start=1):
        dtype = None if each.spec.dtype is None else getattr(torch, each.spec.dtype)
        if each.spec.fill.name == "rand" and dtype in _INTEGERS:
            name = each.name or ("the input" if len(taken) == 1 else f"input {i}")
            notes.append(f"{name}: rand is 0 everywhere in {each.spec.dtype}; randint(0,N) draws integers below N")
    return notes


def _draw(
    taken: Sequence[GivenInput], model_dtype: torch.dtype, seed: int, device: str
) -> list[tuple[str | None, torch.Tensor]]:
    """Draw each argument of forward under a stream of its own: its name, or its place after the first."""
    drawn = []
    for i, each in enumerate(taken):
        address: tuple[str | int, ...] = () if i == 0 and each.name is None else (each.name or i,)
        drawn.append((each.name, draw_input(each.spec, model_dtype, seed, *address).to(device)))
    return drawn


def _ensure_passes_fit(net: nn.Module, drawings: Sequence[Drawing], taken: Sequence[GivenInput]) -> None:
    """Refuse what needs more than there is: parameters, their gradients, buffers and the input, activations aside."""
    gradients = sum(bytes_of(each) for each in distinct_parameters(net) if each.requires_grad)
    inputs = sum(prod(each.spec.shape) * ITEM_SIZES[each.spec.dtype or "float32"] for each in taken)
    made = sum(bytes_of(each) for each in distinct_tensors(net) if each.is_meta)
    ensure_fits(bytes_needed(drawings, kept=made) + gradients + inputs, "parameters, gradients and the input")


def _floating_dtype(net: nn.Module) -> torch.dtype:
    floating = (each.dtype for each in distinct_parameters(net) if dtype_name(each.dtype) in FLOATING_DTYPES)
    return next(floating, torch.get_default_dtype())
