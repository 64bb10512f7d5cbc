"""Real files with other bytes in them: each is read or refused, in little time and memory."""

from __future__ import annotations

import argparse
import io
import os
import random
import resource
import time
import warnings

import pytest
import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import save
from torch import nn

from paramctl.checkpoints.kinds import read_checkpoint
from paramctl.errors import ParamctlError

SECONDS = float(os.environ.get("PARAMCTL_FUZZ_SECONDS", "10"))
"""How long files are changed and read; more by night: PARAMCTL_FUZZ_SECONDS=600."""
_GROWTH = 64 * 2**20
_SPICE = (
    b"\xff" * 8,
    b"\x00" * 8,
    b"\x7f\xff\xff\xff",
    b"(",
    b")R",
    b"cos\nsystem\n",
    b"[" * 64,
    b'"a":',
    b"PK\x05\x06",
    b"-1",
)


def _seeds(directory):
    state = {"model": nn.Linear(3, 2).state_dict(), "args": argparse.Namespace(lr=0.1), "list": [torch.ones(2), 1.5]}
    found = {
        "x.safetensors": save({"a.weight": torch.ones(2, 3), "a.bias": torch.ones(2)}, {"format": "pt", "b": "a.bias"})
    }
    for name, new_form in (("zip.pt", True), ("legacy.pt", False)):
        stream = io.BytesIO()
        torch.save(state, stream, _use_new_zipfile_serialization=new_form)
        found[name] = stream.getvalue()
    with warnings.catch_warnings(action="ignore"):
        dcp.save({"model": state["model"]}, checkpoint_id=directory, no_dist=True)
    found[".metadata"] = (directory / ".metadata").read_bytes()
    (directory / "s.safetensors").write_bytes(found["x.safetensors"])
    found["m.safetensors.index.json"] = b'{"weight_map": {"a.weight": "s.safetensors", "a.bias": "s.safetensors"}}'
    return found


def _changed(content, chance):
    content = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at = chance.randrange(len(content) + 1)
        kind = chance.randrange(6)
        if kind == 0 and at < len(content):
            content[at] = chance.randrange(256)
        elif kind == 1 and at < len(content):
            content[at] ^= 1 << chance.randrange(8)
        elif kind == 2:
            del content[at : at + chance.choice((1, 4, 100))]
        elif kind == 3:
            content[at:at] = chance.choice(_SPICE)
        elif kind == 4:
            spice = chance.choice(_SPICE)
            content[at : at + len(spice)] = spice
        else:
            start = chance.randrange(len(content) + 1)
            content[at:at] = content[start : start + chance.choice((1, 8, 200))]
        if not content:
            break
    return bytes(content)


@pytest.mark.slow
def test_a_changed_file_is_read_or_refused_and_memory_does_not_grow(tmp_path):
    seeds = _seeds(tmp_path)
    chance = random.Random(int.from_bytes(os.urandom(8)))
    outcomes = {(name, right): 0 for name in seeds for right in (True, False)}
    before = None
    stop = time.monotonic() + SECONDS
    while time.monotonic() < stop or before is None:
        for name, content in seeds.items():
            changed = _changed(content, chance)
            path = tmp_path / name
            path.write_bytes(changed)
            try:
                checkpoint = read_checkpoint(path, name)
                for record in checkpoint.records:
                    if record.name not in checkpoint.unreadable:
                        checkpoint.locate(record.name)
                outcomes[name, True] += 1
            except ParamctlError as error:
                assert str(error)
                outcomes[name, False] += 1
            except Exception as error:
                raise AssertionError(f"{name}: {changed!r}") from error
        if before is None and sum(outcomes.values()) > 1000:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before < _GROWTH
    assert all(outcomes.values()), outcomes
