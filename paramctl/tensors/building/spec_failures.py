"""What a spec tells about a failure in a pass: the layer, its place, its arguments, and the input it takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from torch import nn

from paramctl.errors import ParamctlError, failure
from paramctl.spec.model import Layer, ModuleSpec, Repeat, Spec
from paramctl.spec.shapes import first_layer, misfit, shape_taken
from paramctl.tensors import user_code

if TYPE_CHECKING:
    from paramctl.tensors.building.running import Explain, Running


def input_hint(spec: Spec) -> str:
    """Say which input the first layer would take, if that can be told."""
    first = first_layer(spec.root)
    taken = shape_taken(first) if first is not None else None
    if first is None or taken is None:
        return "give --input-shape"
    return f"its first layer, {first.call}, takes {taken[0]}: try {taken[1]}"


def explainer(spec: Spec, net: nn.Module, origins: Iterable[tuple[nn.Module, ModuleSpec]]) -> Explain:
    """Return what makes the error for a failure in a pass of a spec's model."""

    def explain(running: Sequence[Running], error: BaseException, operation: str | None = None) -> ParamctlError:
        nodes = {id(module): node for module, node in origins}
        known = [each for each in running if id(each.module) in nodes]
        if not known:
            direction = "forward" if operation is None else "backward"
            return failure(f"{direction} failed: {user_code.describe(error)}", hint=user_code.their_frames(error))
        failed, innermost = known[-1], running[-1]
        node = nodes[id(failed.module)]
        paths = {id(module): path for path, module in net.named_modules()}
        inner = f", in its {type(innermost.module).__name__}," if innermost is not failed else ""
        layer = f"layer {paths.get(id(failed.module), '')}, {_written(node)}"
        how = f"forward on an input of {failed}" if operation is None else f"backward of its operation {operation!r}"
        message = f"{layer}{inner} failed in {how}: {user_code.describe(error)}"
        hint = user_code.their_frames(error) or (None if operation else _hint(node, failed, error))
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
