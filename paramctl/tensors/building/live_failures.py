"""What a live module tells about its forward: which input it takes, and which module failed on which."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from torch import nn

from paramctl.errors import ParamctlError, Problem, failure, nearest
from paramctl.spec.model import GivenInput
from paramctl.spec.shapes import shape_taken_by
from paramctl.tensors import user_code

if TYPE_CHECKING:
    from paramctl.tensors.building.running import Explain, Running

_VARIADIC: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def explainer(net: nn.Module) -> Explain:
    """Return what makes the error for a failure in a pass of a module."""

    def explain(running: Sequence[Running], error: BaseException, operation: str | None = None) -> ParamctlError:
        paths = {id(each): path for path, each in net.named_modules()}
        failed, given = (running[-1].module, str(running[-1])) if running else (net, "no tensor")
        path = paths.get(id(failed), "")
        named = f"{path} ({type(failed).__name__})" if path else type(failed).__name__
        if operation is None:
            message = f"{named} failed in forward on an input of {given}: {user_code.describe(error)}"
            hints = [hint for hint in (_taken_by(failed), user_code.their_frames(error)) if hint]
            return failure(message, hint="; ".join(hints) or None)
        where = f"{named} failed in backward of its operation {operation!r}" if running else "backward failed"
        return failure(f"{where}: {user_code.describe(error)}", hint=user_code.their_frames(error))

    return explain


def input_hint(net: nn.Module) -> str:
    """Say which input a module takes, as far as its forward and its first layer tell."""
    required = _required(_forward_parameters(net) or [])
    if len(required) > 1:
        options = " ".join(f"--input {name}=SHAPE" for name in required)
        return f"its forward takes {', '.join(required[:-1])} and {required[-1]}: give {options}"
    for path, module in net.named_modules():
        taken = _taken(module)
        if taken is not None:
            first = f"{path} ({type(module).__name__})" if path else type(module).__name__
            return f"its first layer, {first}, takes {taken[0]}: try {taken[1]}"
    return "give --input-shape"


def check_forward(net: nn.Module, inputs: Sequence[GivenInput]) -> None:
    """Refuse arguments that a module's forward does not take, and too few of them.

    Raises:
        ParamctlError: naming every one, with the names that it takes.

    """
    parameters = _forward_parameters(net)
    if parameters is None:
        return
    named = [each.name for each in parameters if each.kind not in _VARIADIC]
    kinds = {parameter.kind for parameter in parameters}
    forward = f"{type(net).__name__}.forward"
    problems = []
    by_position = sum(each.name is None for each in inputs)
    if by_position > len(named) and inspect.Parameter.VAR_POSITIONAL not in kinds:
        message = f"{forward} takes {_counted(len(named))} by position, not {by_position}"
        hint = f"by position it takes {', '.join(named)}" if named else None
        problems.append(Problem(message=message, where="--input", hint=hint))
    given = named[:by_position]
    for name in (each.name for each in inputs if each.name is not None):
        if name in given:
            problems.append(Problem(message=f"the argument {name!r} is given twice", where="--input"))
        elif name not in named and inspect.Parameter.VAR_KEYWORD not in kinds:
            hint = nearest(name, named) or (f"it takes {', '.join(named)}" if named else None)
            problems.append(Problem(message=f"{forward} has no argument {name!r}", where="--input", hint=hint))
        given.append(name)
    missing = [name for name in _required(parameters) if name not in given]
    if missing and not problems:
        hint = f"add {' '.join(f'--input {name}=SHAPE' for name in missing)}"
        problems.append(Problem(message=f"{forward} needs {' and '.join(missing)}", where="--input", hint=hint))
    if problems:
        raise ParamctlError(*problems)


def _required(parameters: Sequence[inspect.Parameter]) -> list[str]:
    return [each.name for each in parameters if each.default is each.empty and each.kind not in _VARIADIC]


def _forward_parameters(net: nn.Module) -> list[inspect.Parameter] | None:
    """Return the parameters of a module's forward; None where it tells none, as what `torch.jit.trace` made."""
    try:
        return list(inspect.signature(net.forward).parameters.values())
    except (TypeError, ValueError):
        return None


def _counted(arguments: int) -> str:
    return f"{arguments or 'no'} argument{'s' * (arguments != 1)}"


def _taken_by(module: nn.Module) -> str | None:
    taken = _taken(module)
    return None if taken is None else f"it takes {taken[0]}"


def _taken(module: nn.Module) -> tuple[str, str] | None:
    if not type(module).__module__.startswith("torch.nn."):
        return None
    return shape_taken_by(type(module).__name__, vars(module))
