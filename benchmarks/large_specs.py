"""Specs of 10,000 and 100,000 layers, beside the naive way: load the YAML, build on meta, print a Rich table.

Each also with layers that all differ, so that none is built for another.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.harness import PARAMCTL, RIVALS, Contender, compare, python

SIZES = {10_000: (5, "at least 10 × faster"), 100_000: (1, "at least 30 × faster")}


def write_spec(path: Path, layers: int, *, differ: bool) -> None:
    """Write a spec of linear layers, of one width or of widths that repeat in no pair."""
    with path.open("w") as file:
        file.write("layers:\n")
        for i in range(layers):
            fan_in, fan_out = (64 + i % 4096, 64 + (7 * i + i // 4096) % 4096) if differ else (64, 64)
            file.write(f"  - Linear: {{in_features: {fan_in}, out_features: {fan_out}}}\n")


def main() -> None:
    """Compare every size with equal and with different layers."""
    with tempfile.TemporaryDirectory() as directory:
        for layers, (runs, target) in SIZES.items():
            for differ in (False, True):
                spec = Path(directory) / f"{layers}-{differ}.yaml"
                write_spec(spec, layers, differ=differ)
                compare(
                    f"list {layers:,} linear layers, {'all different' if differ else 'all equal'}",
                    Contender("paramctl list", [PARAMCTL, "list", str(spec)]),
                    Contender("yaml.safe_load, build, Rich table", python(str(RIVALS / "naive_listing.py"), str(spec))),
                    runs=runs,
                    target=target,
                )


if __name__ == "__main__":
    main()
