"""The answer of `paramctl grad` for a spec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import torch
from torch import nn

from paramctl.errors import ParamctlError, failure
from paramctl.records import FLOATING_DTYPES, ITEM_SIZES
from paramctl.reports.grad import GradReport
from paramctl.spec.model import Fill, InputSpec, Layer, Loss, ModuleSpec, Repeat, Spec
from paramctl.spec.shapes import first_layer, misfit, shape_taken
from paramctl.tensors import streams, user_code
from paramctl.tensors.backward import Explain, Running, run_passes
from paramctl.tensors.build import BuiltModel, build
from paramctl.tensors.collect import bytes_of, dtype_name, take_inventory
from paramctl.tensors.gradients import make_grad_report
from paramctl.tensors.loss import draw_input, make_objective
from paramctl.tensors.materialize import materialize, needed_bytes, plan_drawings
from paramctl.tensors.memory import ensure_fits


@dataclass(frozen=True, slots=True, kw_only=True)
class PassOptions:
    """What `paramctl grad` was asked for; None where the spec decides."""

    shape: tuple[int, ...] | None = None
    fill: Fill | None = None
    loss: Loss | None = None
    passes: int = 1
    train: bool = True
    device: str = "cpu"
    with_values: bool = False
    hist: bool = False


def gradients(spec: Spec, model: str, options: PassOptions, *, seed: int, dtype: str | None = None) -> GradReport:
    """Answer `paramctl grad`.

    Args:
        spec: the spec.
        model: the model as the user named it.
        options: what was asked for.
        seed: the seed of the values, the input, and whatever forward draws.
        dtype: what floating parameters are made as, instead of what the spec says.

    Raises:
        ParamctlError: if there is no input, the model cannot be built or does not fit in memory, or a pass fails.

    """
    taken = _input_of(spec, options)
    built = build(spec, seed=seed, dtype=dtype)
    _ensure_passes_fit(built.net, taken)
    drawings, notes = plan_drawings(built.net, built.programs, spec.rules, seed)
    input_dtype = _floating_dtype(built.net)
    materialize(built.net, drawings, built.programs, seed, options.device)
    net = built.net.train(options.train)
    given = draw_input(taken, input_dtype, seed).to(options.device)
    with streams.global_stream(seed, "forward"):
        run = run_passes(
            net,
            (given,),
            lambda output: make_objective(options.loss or spec.loss, output, taken.fill, seed),
            passes=options.passes,
            explain=_explainer(spec, built),
        )
    return make_grad_report(
        model,
        take_inventory(net).parameters,
        run,
        passes=options.passes,
        with_values=options.with_values,
        hist=options.hist,
        notes=(*built.notes, *notes),
    )


def _input_of(spec: Spec, options: PassOptions) -> InputSpec:
    given = spec.input
    if options.shape is not None:
        given = replace(given, shape=options.shape) if given else InputSpec(shape=options.shape)
    if given is None:
        first = first_layer(spec.root)
        taken = shape_taken(first) if first is not None else None
        hint = (
            f"its first layer, {first.call}, takes {taken[0]}: try {taken[1]}"
            if first and taken
            else "give --input-shape"
        )
        raise failure("the spec gives no input for a forward pass", where=spec.source, hint=hint)
    return given if options.fill is None else replace(given, fill=options.fill)


def _ensure_passes_fit(net: nn.Module, taken: InputSpec) -> None:
    """Refuse what needs more than there is: parameters, their gradients, buffers and the input, activations aside."""
    gradients = sum(bytes_of(each) for each in net.parameters() if each.requires_grad)
    input_bytes = prod(taken.shape) * ITEM_SIZES[taken.dtype or "float32"]
    ensure_fits(needed_bytes(net) + gradients + input_bytes, "parameters, gradients and the input")


def _floating_dtype(net: nn.Module) -> torch.dtype:
    floating = (each.dtype for each in net.parameters() if dtype_name(each.dtype) in FLOATING_DTYPES)
    return next(floating, torch.get_default_dtype())


def _explainer(spec: Spec, built: BuiltModel) -> Explain:
    nodes = {id(module): node for module, node in built.origins}
    paths = {id(module): path for path, module in built.net.named_modules()}

    def explain(running: Sequence[Running], error: BaseException) -> ParamctlError:
        known = [each for each in running if id(each.module) in nodes]
        if not known:
            return failure(f"forward failed: {user_code.describe(error)}", hint=user_code.their_frames(error))
        failed, innermost = known[-1], running[-1]
        node = nodes[id(failed.module)]
        inner = f", in its {type(innermost.module).__name__}," if innermost is not failed else ""
        layer = f"layer {paths.get(id(failed.module), '')}, {_written(node)}"
        message = f"{layer}{inner} failed in forward on an input of {failed}: {user_code.describe(error)}"
        hint = user_code.their_frames(error) or _hint(node, failed, error)
        return failure(message, where=spec.position(node), hint=hint)

    return explain


def _hint(node: ModuleSpec, failed: Running, error: BaseException) -> str | None:
    """Say what would be right, where the input that reached a module tells."""
    if any(isinstance(each, tuple) for each in failed.inputs):
        return "the layer before it returns a tuple, all of which is handed on: take it apart in a layer of your own"
    for given in failed.tensors[:1]:
        return misfit(node, tuple(given.shape), floating=given.is_floating_point()) or _batch_hint(error)
    return None


def _batch_hint(error: BaseException) -> str | None:
    if "more than 1 value per channel" in str(error):
        return "in training a batch norm needs more than one example: enlarge the batch, or add --mode eval"
    return None


def _written(node: ModuleSpec) -> str:
    if isinstance(node, Layer):
        return str(node.call)
    return "Repeat" if isinstance(node, Repeat) else node.kind
