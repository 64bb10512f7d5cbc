"""A name in the user's own code -> a built model: an instance as it is, else what a class or a function returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from paramctl.errors import ParamctlError, failure, located
from paramctl.references import Reference
from paramctl.spec.document import Node
from paramctl.spec.given import bind_given
from paramctl.spec.model import Argument, DtypeName
from paramctl.tensors import streams, user_code
from paramctl.tensors.building.built import BuiltModel
from paramctl.tensors.building.construct import initialization
from paramctl.tensors.building.live import check_memory, check_module, named_tensors
from paramctl.tensors.building.live_failures import explainer, input_hint
from paramctl.tensors.building.meta import on_meta
from paramctl.tensors.building.signatures import signature_of_callable
from paramctl.tensors.collect import bytes_of
from paramctl.tensors.initializing.defaults import Programs, record_programs
from paramctl.tensors.initializing.unwritten import FreshMemory
from paramctl.tensors.memory import ensure_fits

_WHERE = "MODEL"
_CHECKED_AT_ONCE = 64 * 2**20
"""How many bytes may be allocated before it is looked up how much memory is left."""


def build_python(reference: Reference, given: Mapping[str, Node], *, seed: int | None, dtype: str | None) -> BuiltModel:
    """Import what a reference names, and call it if it is no module yet.

    Its code runs as in a script that begins with `torch.manual_seed(seed)`, and what it sets is kept. Where no values
    are wanted, it is called on the meta device; if that fails for whatever reason, on the CPU.

    Args:
        reference: the name.
        given: the arguments of the class or the function.
        seed: the seed; None where no values are wanted.
        dtype: what floating parameters and buffers are cast to; None for what the code makes of them.

    Raises:
        ParamctlError: if there is no such name, an argument is wrong, the code fails or returns no module, the module
            does not know its shapes, or its values are wanted and it has none.

    """
    fresh = FreshMemory(_MemoryLeft())
    wants_values = seed is not None
    try:
        with streams.manual_seed(seed or 0) as reseed:
            found = user_code.load(reference)
            call = None if isinstance(found, nn.Module) and not given else _caller(reference, found, given)
            reseed()
            with user_code.as_script(reference):
                net = found if call is None else _build(call, reseed, fresh, wants_values=wants_values)
        return _model_of(net, reference, fresh if wants_values else None, dtype=dtype)
    except ParamctlError as error:
        raise located(error, _WHERE) from error


def _caller(reference: Reference, found: object, given: Mapping[str, Node]) -> Callable[[], Any]:
    if isinstance(found, nn.Module):
        raise failure(f"{reference} is a model already, and takes no arguments", where="--arg")
    if not callable(found):
        hint = "name a model, its class, or a function that returns one"
        raise failure(f"{reference} is {_typed(found)}, from which no model can be made", hint=hint)
    signature = signature_of_callable(found, getattr(found, "__name__", str(reference)))
    keywords = {key: _live(value) for key, value in bind_given(signature, given).items()}
    return partial(user_code.call_theirs, f"building {reference}", found, **keywords)


def _build(call: Callable[[], Any], reseed: Callable[[], None], fresh: FreshMemory, *, wants_values: bool) -> Any:
    """Call what makes the model, on the CPU in memory whose fresh parts are known."""
    if not wants_values:
        try:
            with initialization(enabled=False), on_meta():
                return call()
        except ParamctlError:
            # Not every constructor can do without values; if it fails with them too, that failure is told.
            reseed()
    with fresh:
        return call()


def _model_of(net: object, reference: Reference, fresh: FreshMemory | None, *, dtype: str | None) -> BuiltModel:
    if not isinstance(net, nn.Module):
        raise failure(f"{reference} returns {_typed(net)}, not a torch.nn.Module", hint=_returned_hint(net))
    check_module(net, _WHERE)
    unwritten = {}
    if fresh is not None:
        check_memory(named_tensors(net))
        unwritten = fresh.release(net)
    if dtype is not None:
        _cast(net, getattr(torch, dtype))
    return BuiltModel(
        net=net,
        programs=Programs({}) if fresh is None else record_programs(net, unwritten=unwritten),
        explain=explainer(net),
        input_hint=lambda: input_hint(net),
        loss=None,
        users_code=True,
    )


def _cast(net: nn.Module, dtype: torch.dtype) -> None:
    """Cast what is floating, gradients included; `Module.to` would take the imaginary part of complex tensors away."""
    net._apply(lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor)  # type: ignore[no-untyped-call]  # noqa: SLF001  what .to() calls


@dataclass(slots=True)
class _MemoryLeft:
    """Refuses tensors that do not fit in memory when they are allocated, before they are filled."""

    unchecked: int = 0

    def __call__(self, fresh: torch.Tensor) -> None:
        """Take a tensor that has been allocated.

        Raises:
            ParamctlError: with the bytes needed and the bytes available.

        """
        self.unchecked += bytes_of(fresh)
        if self.unchecked > _CHECKED_AT_ONCE:
            ensure_fits(self.unchecked, f"the model's tensors up to one of {list(fresh.shape)}")
            self.unchecked = 0


def _live(value: Argument) -> Any:
    if isinstance(value, DtypeName):
        return getattr(torch, value.name)
    if isinstance(value, dict):
        return {key: _live(each) for key, each in value.items()}
    return type(value)(map(_live, value)) if isinstance(value, list | tuple) else value


def _typed(value: object) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    kind = type(value).__name__
    return "None" if value is None else f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"


def _returned_hint(value: object) -> str | None:
    if isinstance(value, type) and issubclass(value, nn.Module):
        return f"it returns a class: call it, as in return {value.__name__}(...)"
    if isinstance(value, tuple | list) and any(isinstance(each, nn.Module) for each in value):
        return "it returns a model among others: name a function that returns the model alone"
    if isinstance(value, Mapping) and any(isinstance(each, torch.Tensor) for each in value.values()):
        return "a state_dict holds tensors alone: return the module that it is loaded into"
    return None
