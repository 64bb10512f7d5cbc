"""Initialise a billion parameters, with and without a file, beside a script: build, loop, look at the values, save."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TypeAlias

from benchmarks.harness import PARAMCTL, RIVALS, Contender, compare, python

Size: TypeAlias = tuple[int, int]
EQUAL: list[Size] = [(4096, 4096)] * 60
DIFFERENT: list[Size] = [(4096 + 16 * i, 4096 - 16 * i) for i in range(60)]
MATRICES: list[Size] = [(1024, 1024)] * 32
NORMAL = ("normal", "xavier_normal", "kaiming_normal")
UNIFORM = ("uniform", "xavier_uniform", "kaiming_uniform")


def main() -> None:
    """Compare the schemes with a file, torch's own generator, layers that differ, whole matrices, and no file."""
    with tempfile.TemporaryDirectory() as directory:
        bench = _Bench(Path(directory))
        for scheme in (*NORMAL, *UNIFORM):
            bench.compare(EQUAL, scheme, target="at least 4 × faster, less than 512 MiB", bounded=True)
        bench.compare(DIFFERENT, "normal", target="at least 4 × faster, less than 512 MiB")
        bench.compare(EQUAL, "trunc_normal", target="at least 8 × faster, less than 512 MiB", runs=1)
        for scheme in ("normal", "kaiming_uniform"):
            bench.compare(EQUAL, scheme, "--rng", "torch", target="at least 3 × faster")
        bench.compare(MATRICES, "orthogonal", target="no slower")
        bench.compare(EQUAL, "normal", target="at least 2 × faster", written=False)


class _Bench:
    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def compare(
        self,
        sizes: list[Size],
        scheme: str,
        *options: str,
        target: str,
        written: bool = True,
        bounded: bool = False,
        runs: int = 3,
    ) -> None:
        """Compare one scheme; `bounded` adds what nothing can be faster than: the random numbers, and the writing."""
        spec = self.directory / "model.yaml"
        spec.write_text("layers:\n" + "".join(f"  - Linear: [{inputs}, {outputs}]\n" for inputs, outputs in sizes))
        ours, theirs = (self.directory / f"{name}.safetensors" for name in ("paramctl", "script"))
        count = sum(inputs * outputs + outputs for inputs, outputs in sizes)
        words = ",".join(f"{inputs}x{outputs}" for inputs, outputs in sizes)
        alone_file = self.directory / "bytes"
        alone = [
            Contender(
                "the random numbers alone", self.alone("random", "normal" if scheme in NORMAL else "uniform", count)
            ),
            Contender("the writing alone", self.alone("writing", alone_file, 4 * count), writes=alone_file),
        ]
        compare(
            " ".join(("init", scheme, *options, f"of {count:,} parameters{', written' if written else ''}")),
            Contender(
                "paramctl init",
                [PARAMCTL, "init", str(spec), "--scheme", scheme, *options, *(["--out", str(ours)] if written else [])],
                writes=ours if written else None,
            ),
            Contender(
                "build, loop, look, save_file",
                python(str(RIVALS / "naive_initializing.py"), scheme, words, *([str(theirs)] if written else [])),
                writes=theirs if written else None,
            ),
            runs=runs,
            target=target,
            bounds=alone if bounded else (),
        )

    def alone(self, what: str, *arguments: object) -> list[str]:
        """Return the command of a part of the work."""
        return python(str(RIVALS / f"{what}_alone.py"), *map(str, arguments))
