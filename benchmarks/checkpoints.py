"""Listing and measuring safetensors files, beside `sft` (sft-cli 0.2.2, PyPI) and beside torch.

`sft` is looked for on the path, or where `SFT` says; it wants a virtual environment of its own.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from benchmarks.harness import PARAMCTL, RIVALS, Contender, compare, compare_calls, python
from benchmarks.measuring import seven_calls
from paramctl.analysis.listing import ListOptions
from paramctl.checkpoints.kinds import read_checkpoint
from paramctl.tensors.stored import measurer

RUNS = 7
SIZES = (300, 10_000, 100_000)
LAYERS, WIDTH = 64, 4096
"""Four gigabytes of float32."""


def write_many(path: Path, count: int) -> None:
    """Write a file of so many small tensors, named as those of a transformer."""
    kinds = (
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
        "input_norm",
        "output_norm",
        "rope",
    )
    names = [f"model.layers.{i // len(kinds)}.{kinds[i % len(kinds)]}.weight" for i in range(count)]
    save_file({name: torch.zeros(2, 1 + i % 7) for i, name in enumerate(names)}, path, {"format": "pt"})


def list_all(directory: Path, sft: str | None) -> None:
    """Compare listings of all sizes with starting paramctl, and with sft."""
    start = Contender("paramctl --version", [PARAMCTL, "--version"])
    for count in SIZES:
        path = directory / f"{count}.safetensors"
        write_many(path, count)
        ours = Contender(f"paramctl list, {count:,} tensors", [PARAMCTL, "list", str(path)])
        target = {300: "at most 60 ms more", 100_000: "at most 0.6 s"}.get(count, "no target")
        compare(f"list {count:,} tensors, beside starting", ours, start, runs=RUNS, target=target)
        if sft is not None:
            theirs = Contender(f"sft ls, {count:,} tensors", [sft, "ls", str(path)])
            compare(f"list {count:,} tensors, beside sft", ours, theirs, runs=RUNS, target="at least 1.5 × faster")


def measure_all(directory: Path, sft: str | None) -> None:
    """Compare the statistics of four gigabytes with sft and with torch, as processes and without their start."""
    path = directory / "large.safetensors"
    save_file({f"layers.{i}.weight": torch.empty(WIDTH, WIDTH).normal_(0, 0.02) for i in range(LAYERS)}, path)
    ours = Contender("paramctl list --stats", [PARAMCTL, "list", str(path), "--stats"])
    theirs = Contender("torch and seven reductions", python(str(RIVALS / "torch_statistics.py"), str(path)))
    compare("statistics of 4 GB, whole processes", ours, theirs, runs=1, target="no target: both import torch")
    start = Contender('python -c "import torch"', python("-c", "import torch"))
    compare("statistics of 4 GB, beside importing torch", ours, start, runs=1, target="less than +100 MiB")
    if sft is not None:
        stat = Contender("sft stat", [sft, "stat", str(path)])
        compare("statistics of 4 GB, beside sft", ours, stat, runs=1, target="at least 8 × faster")

    def measure() -> None:
        checkpoint = read_checkpoint(path, path.name)
        measure_named = measurer(checkpoint, ListOptions(stats=True))
        for record in checkpoint.records:
            measure_named(record.name)

    def load() -> None:
        for tensor in load_file(path).values():
            seven_calls(tensor)

    compare_calls("statistics of 4 GB, without the start", measure, load, runs=1, target="at least 8 × faster")


def main() -> None:
    """Compare listings and statistics."""
    sft = os.environ.get("SFT") or shutil.which("sft")
    if sft is None:
        print("sft is not installed: `pip install sft-cli==0.2.2` in an environment of its own, then SFT=…/bin/sft")
    with tempfile.TemporaryDirectory() as directory:
        list_all(Path(directory), sft)
        measure_all(Path(directory), sft)


if __name__ == "__main__":
    main()
