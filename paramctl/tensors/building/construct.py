"""One layer of a spec -> an `nn.Module`, on the meta device where its values are not needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeAlias

import torch
from torch import nn

from paramctl.errors import ParamctlError, Position, failure
from paramctl.references import Reference
from paramctl.spec.model import Argument, Container, DtypeName, Layer, LayerCall, ModuleSpec, Repeat
from paramctl.spec.signatures import LayerSignature
from paramctl.tensors import user_code
from paramctl.tensors.building import signatures
from paramctl.tensors.building.meta import on_meta
from paramctl.tensors.building.residual import Residual

BuildModule: TypeAlias = Callable[[ModuleSpec], nn.Module]
"""Builds a layer that is an argument of another."""

CONTAINERS: dict[str, type[nn.Module]] = {
    "Sequential": nn.Sequential,
    "ModuleList": nn.ModuleList,
    "ModuleDict": nn.ModuleDict,
    "Residual": Residual,
}
_RESETS = ("reset_parameters", "_reset_parameters")


def user_layer(reference: Reference) -> type[nn.Module]:
    """Import a layer of the user's own.

    Raises:
        ParamctlError: if that fails, or if it is not a subclass of `nn.Module`.

    """
    found = user_code.load(reference)
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise failure(f"{reference} is not a layer", hint="a layer is a subclass of torch.nn.Module")
    return found


def user_signature(reference: Reference) -> LayerSignature:
    """Return the signature of a layer of the user's own; raises as `user_layer` does."""
    layer = user_layer(reference)
    return signatures.signature_of_class(layer)


def construct(layer: Layer, where: Position, *, device: str, dtype: str | None, build: BuildModule) -> nn.Module:
    """Call a layer's constructor.

    Args:
        layer: the layer.
        where: its position, for messages.
        device: where its tensors are made.
        dtype: what its floating tensors are made as, unless it names a dtype itself.
        build: builds the layers among its arguments.

    Raises:
        ParamctlError: with what the constructor raised.

    """
    call = layer.call
    positional = [_argument(value, build) for value in call.positional]
    keywords = {name: _argument(value, build) for name, value in call.keywords.items()}
    try:
        if call.reference is None:
            return _torch_layer(call, positional, keywords, device, dtype)
        return _user_layer(call.reference, positional, keywords, device, dtype)
    except ParamctlError:
        raise
    except (Exception, SystemExit) as error:
        message = f"{call} failed: {user_code.describe(error)}"
        raise failure(message, where=where, hint=user_code.their_frames(error)) from error


def _torch_layer(
    call: LayerCall, positional: list[Any], keywords: dict[str, Any], device: str, dtype: str | None
) -> nn.Module:
    made_as: dict[str, Any] = {"device": device}
    if dtype is not None and call.arguments().get("dtype") is None:
        made_as["dtype"] = getattr(torch, dtype)
    places = {parameter.name: place for place, parameter in enumerate(call.signature.positional)}
    for name, value in made_as.items():
        if places.get(name, len(positional)) < len(positional):
            positional[places[name]] = value
        elif name in call.signature.by_name:
            keywords[name] = value
    layer: nn.Module = getattr(nn, call.name)(*positional, **keywords)
    return layer


def _user_layer(
    reference: Reference, positional: list[Any], keywords: dict[str, Any], device: str, dtype: str | None
) -> nn.Module:
    cls = user_layer(reference)
    try:
        with on_meta() if device == "meta" else torch.device(device):
            module = cls(*positional, **keywords)
    except Exception:
        if device != "meta":
            raise
        module = cls(*positional, **keywords)  # not every constructor can do without values
    return module if dtype is None or "dtype" in keywords else module.to(getattr(torch, dtype))


@contextmanager
def initialization(*, enabled: bool) -> Iterator[None]:
    """Let torch.nn's layers initialise their parameters, or keep them from it: on meta there is nothing to do.

    The first `normal_` on the meta device alone imports 800 modules.
    """
    before = [vars(cls)[name] for cls, name, _ in _resets()]
    for cls, name, reset in _resets():
        setattr(cls, name, reset if enabled else _leave_as_is)
    try:
        yield
    finally:
        for (cls, name, _), reset in zip(_resets(), before, strict=True):
            setattr(cls, name, reset)


def _leave_as_is(_: nn.Module) -> None:
    """Stand in for `reset_parameters`."""


@cache
def _resets() -> tuple[tuple[type, str, Callable[..., None]], ...]:
    """Return the methods by which torch.nn's layers initialise their parameters."""
    classes = {ancestor for cls in _torch_layers() for ancestor in cls.__mro__}
    return tuple((cls, name, vars(cls)[name]) for cls in classes for name in _RESETS if name in vars(cls))


@cache
def _torch_layers() -> tuple[type[nn.Module], ...]:
    return tuple(value for value in vars(nn).values() if isinstance(value, type) and issubclass(value, nn.Module))


def _argument(value: Argument, build: BuildModule) -> Any:
    if isinstance(value, DtypeName):
        return getattr(torch, value.name)
    if isinstance(value, Layer | Container | Repeat):
        return build(value)
    if isinstance(value, list):
        return [_argument(item, build) for item in value]
    if isinstance(value, dict):
        return {name: _argument(item, build) for name, item in value.items()}
    return tuple(_argument(item, build) for item in value) if isinstance(value, tuple) else value
