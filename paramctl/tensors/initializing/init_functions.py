"""Init functions of the user's own: importing them, and calling them on the values of a parameter."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import torch
from torch import nn

from paramctl.errors import ParamctlError, failure, located
from paramctl.references import Reference
from paramctl.rules import InitRule
from paramctl.scheme_declaration import Scheme
from paramctl.tensors import user_code

_COMPARED: Final = 2**20
"""Elements, spread over a parameter, that tell whether a function has changed it."""


def call_function(rule: InitRule, name: str, values: torch.Tensor, *, requires_grad: bool) -> bool:
    """Call a function of the user's own on the values of a parameter.

    Returns:
        Whether it has changed them, as far as a part of them tells.

    Raises:
        ParamctlError: if it fails, or does not change what it is given in place.

    """
    assert rule.function is not None, "plan_drawings imports the functions first"
    parameter = nn.Parameter(values, requires_grad=requires_grad)
    before = _some(values).clone()
    with torch.no_grad():
        try:
            returned = user_code.call_theirs(f"{rule.label} on {name}", rule.function, parameter, **rule.options)
        except ParamctlError as error:
            raise located(error, rule.where) from error
    hint = "an init function changes the tensor that it is given in place, as t.normal_() or t[...] = x do"
    if isinstance(returned, torch.Tensor) and returned.data_ptr() != parameter.data_ptr():
        raise failure(f"{rule.label} returned another tensor than that of {name}", where=rule.where, hint=hint)
    if parameter.shape != values.shape or parameter.dtype != values.dtype:
        what = f"{list(parameter.shape)} of {parameter.dtype}"
        raise failure(f"{rule.label} made {name} {what}", where=rule.where, hint=hint)
    if parameter.data_ptr() != values.data_ptr():
        values.copy_(parameter.detach())
    return not torch.equal(before, _some(values))


def _some(values: torch.Tensor) -> torch.Tensor:
    return values.reshape(-1)[:: max(values.numel() // _COMPARED, 1)]


def with_function(rule: InitRule) -> InitRule:
    """Return the rule with its function, imported if it is named; a rule with a declared scheme as it is.

    Before anything is drawn: what a module draws or seeds while it is imported must not reach a parameter's stream.

    Raises:
        ParamctlError: if the import fails, or if what it finds is not callable.

    """
    if isinstance(rule.scheme, Scheme):
        return rule
    try:
        function = user_code.load(rule.scheme) if isinstance(rule.scheme, Reference) else rule.scheme
    except ParamctlError as error:
        raise located(error, rule.where) from error
    if not callable(function):
        raise failure(f"{rule.label} is not a function", where=rule.where)
    return replace(rule, function=function)
