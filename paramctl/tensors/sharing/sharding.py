"""A module sharded by FSDP over a group of one process, on the CPU."""

from __future__ import annotations

import sys

import torch
from torch import distributed, nn

from paramctl.tensors.sharing.rehearsal import NotTriedError


def sharded(net: nn.Module, *, each_layer: bool = False) -> nn.Module:
    """Shard a module with `fully_shard`, and return one that holds its local shards under the same names.

    One Parameter stays one; different ones are told by the memory of their shards.

    Args:
        net: the module.
        each_layer: whether each module with parameters of its own is sharded by itself before the whole is, as blocks
            usually are.

    Raises:
        NotTriedError: if torch was built without distribution, or this process belongs to a group already.

    """
    if not distributed.is_available():
        raise NotTriedError("this torch was built without torch.distributed")
    if distributed.is_initialized():
        raise NotTriedError("this process belongs to a process group already")
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    hook = sys.excepthook  # torch puts one in its place that names the rank
    store = distributed.HashStore()  # type: ignore[attr-defined]  # it is there
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        mesh = init_device_mesh("cpu", (1,))
        for layer in _layers(net) if each_layer else ():
            fully_shard(layer, mesh=mesh)
        fully_shard(net, mesh=mesh)
        _unwrap(net)
    finally:
        distributed.destroy_process_group()
        sys.excepthook = hook
    return net


def _layers(net: nn.Module) -> list[nn.Module]:
    """Return the modules inside that have parameters of their own and a forward, the innermost first."""
    inside = [each for each in net.modules() if each is not net and any(True for _ in each.parameters(recurse=False))]
    return [each for each in reversed(inside) if type(each).forward is not nn.Module.forward]


def _unwrap(net: nn.Module) -> None:
    """Put the local shards of parameters into their places; one shard for one Parameter."""
    shards: dict[int, torch.Tensor] = {}
    for module in net.modules():
        for name, parameter in module._parameters.items():  # noqa: SLF001  the public way takes Parameters alone
            if parameter is not None and hasattr(parameter, "to_local"):
                shards.setdefault(id(parameter), parameter.to_local())
                module._parameters[name] = shards[id(parameter)]  # type: ignore[assignment]  # noqa: SLF001
