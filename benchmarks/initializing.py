"""Initialise a billion parameters, with and without a file, beside a script: build, loop, look at the values, save."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.harness import PARAMCTL, RIVALS, Contender, compare, python

LAYERS, WIDTH = 60, 4096
SCHEMES = ("normal", "kaiming_uniform", "xavier_normal")


def main() -> None:
    """Compare three schemes with a file, and one without."""
    with tempfile.TemporaryDirectory() as directory:
        spec = Path(directory) / "wide.yaml"
        spec.write_text(f"layers: [{{Repeat: {{times: {LAYERS}, layer: {{Linear: [{WIDTH}, {WIDTH}]}}}}}}]\n")
        for scheme in SCHEMES:
            outs = [str(Path(directory) / f"{name}.safetensors") for name in ("paramctl", "script")]
            _compare(spec, scheme, *outs, target="at least 4 × faster, less than 512 MiB")
        _compare(spec, "normal", None, None, target="at least 2 × faster")


def _compare(spec: Path, scheme: str, ours: str | None, theirs: str | None, *, target: str) -> None:
    extra = [] if ours is None else ["--out", ours]
    script = python(str(RIVALS / "naive_initializing.py"), scheme, str(LAYERS), str(WIDTH), *filter(None, [theirs]))
    compare(
        f"init {scheme} of {LAYERS * WIDTH * (WIDTH + 1):,} parameters{'' if ours is None else ', written'}",
        Contender("paramctl init", [PARAMCTL, "init", str(spec), "--scheme", scheme, *extra]),
        Contender("build, loop, save_file", script),
        runs=3,
        target=target,
    )
