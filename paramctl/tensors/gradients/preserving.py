"""Leaving a module as it was found: gradients, buffers, training flags, and what torch itself does to parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import nn

from paramctl.tensors.collect import distinct_parameters


@contextmanager
def left_as_found(module: nn.Module) -> Iterator[None]:
    """Restore what forward and backward change; what cannot be restored does not keep the rest from it.

    That is each parameter's gradient, each module's buffers (which tensors they are, and their elements) and its
    training flag. The elements of parameters are saved only where torch's own forward changes them, in embeddings with
    a `max_norm`: the others are changed by nothing but code of the module's own, such as a hook that steps an
    optimizer. Meanwhile each gradient is a copy, since backward adds to it in place.
    """
    modules = [
        (each, each.training, dict(each._buffers), set(each._non_persistent_buffers_set))  # noqa: SLF001  torch has no public way to the slots
        for each in module.modules()
    ]
    written = [
        (tensor, tensor.data, _memory(tensor).clone())
        for tensor in (*module.buffers(), *_renormalized(module))
        if not tensor.is_inference()  # nothing can write to those
    ]
    gradients = [(parameter, parameter.grad) for parameter in distinct_parameters(module)]
    # What did not change is not touched: a model may have 100,000 modules.
    with ExitStack() as restoring:
        restoring.callback(_restore_modules, restoring, modules)
        for saved in written:
            restoring.callback(_restore_elements, *saved)
        restoring.callback(_restore_gradients, restoring, gradients)
        for parameter, gradient in gradients:
            if gradient is not None:
                parameter.grad = gradient.detach().clone()
        yield


def _renormalized(module: nn.Module) -> Iterator[torch.Tensor]:
    """Yield the weights whose rows forward shortens."""
    for each in module.modules():
        if isinstance(each, nn.Embedding | nn.EmbeddingBag) and each.max_norm is not None:
            yield each.weight


def _restore_modules(
    restoring: ExitStack, modules: Iterable[tuple[nn.Module, bool, dict[str, torch.Tensor | None], set[str]]]
) -> None:
    for each, training, slots, transient in modules:
        if each.training != training:
            _put_back(restoring, each, "training", training)
        if each._buffers or slots or each._non_persistent_buffers_set != transient:  # noqa: SLF001  as above
            restoring.callback(_restore_buffers, each, slots, transient)


def _restore_gradients(restoring: ExitStack, gradients: Iterable[tuple[nn.Parameter, torch.Tensor | None]]) -> None:
    for parameter, gradient in gradients:
        if parameter.grad is not gradient:
            _put_back(restoring, parameter, "grad", gradient)


def _put_back(restoring: ExitStack, target: object, name: str, value: object) -> None:
    """Set an attribute; where that fails, it fails again once everything else is restored."""
    try:
        setattr(target, name, value)
    except Exception:  # noqa: BLE001  it is raised then
        restoring.callback(setattr, target, name, value)


def _memory(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor that can be written to; for an expanded one that is the memory that it spans, as a vector."""
    tensor = tensor.detach()
    if tensor.layout is not torch.strided or tensor.numel() == 0:
        return tensor
    span = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return tensor if span >= tensor.numel() else tensor.as_strided((span,), (1,))


@torch.no_grad()
def _restore_elements(tensor: torch.Tensor, data: torch.Tensor, before: torch.Tensor) -> None:
    """Give a tensor its memory and its shape back, and the memory its elements."""
    if data.layout is torch.strided:
        tensor.data = data
        _memory(data).copy_(before)
    else:
        tensor.data = before


def _restore_buffers(module: nn.Module, slots: dict[str, torch.Tensor | None], transient: set[str]) -> None:
    held = module._buffers  # noqa: SLF001  as above
    if list(held.keys()) != list(slots) or any(held[name] is not slots[name] for name in slots):
        held.clear()
        held.update(slots)
    module._non_persistent_buffers_set = transient  # noqa: SLF001  as above
