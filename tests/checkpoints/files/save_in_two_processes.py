"""Save tensors that two processes hold parts of, as torch.distributed.checkpoint does and as torch.save does."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import multiprocessing, nn
from torch.distributed._shard import sharded_tensor
from torch.distributed._shard.sharding_spec import ChunkShardingSpec
from torch.distributed.checkpoint.state_dict import get_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Replicate, Shard, distribute_tensor

FULL = {
    "rows": torch.arange(35.0).reshape(7, 5),
    "columns": torch.arange(12.0).reshape(3, 4),
    "both": torch.arange(24.0).reshape(4, 6).bfloat16(),
    "few": torch.arange(1.0),
    "copied": torch.ones(4),
}


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3))


def work(rank, directory):
    warnings.simplefilter("ignore")
    store = dist.FileStore(str(directory / "store"), 2)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    places = dict.fromkeys(FULL, Shard(0)) | {"columns": Shard(1), "copied": Replicate()}
    state = {name: distribute_tensor(each, mesh, [places[name]]) for name, each in FULL.items()}
    dcp.save({"model": state, "plain": torch.ones(3), "step": 7}, checkpoint_id=directory / "dtensor")
    torch.save(state, directory / f"rank{rank}.pt")
    spec = ChunkShardingSpec(dim=0, placements=["rank:0/cpu", "rank:1/cpu"])
    dcp.save({"s": sharded_tensor.ones(spec, 9, 4)}, checkpoint_id=directory / "sharded")
    model = fully_shard(net(), mesh=mesh)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, weight_decay=0.0)
    model(torch.ones(2, 5)).sum().backward()
    optimizer.step()
    weights, moments = get_state_dict(model, optimizer)
    dcp.save({"model": weights, "optim": moments}, checkpoint_id=directory / "fsdp")
    dist.barrier()
    os._exit(0)  # gloo's threads abort a process that ends while the other one closes its connections


if __name__ == "__main__":
    multiprocessing.spawn(work, args=(Path(sys.argv[1]),), nprocs=2)
