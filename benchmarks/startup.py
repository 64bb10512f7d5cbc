"""What answers without torch, beside a Typer application with the same commands and options and empty bodies."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.harness import PARAMCTL, RIVALS, Contender, compare, python

RUNS = 15
TARGET = "at most 1.3 × the time"


def main() -> None:
    """Compare every such call."""
    with tempfile.TemporaryDirectory() as directory:
        yaml, structure, layer = (Path(directory) / f"{name}.yaml" for name in ("yaml", "structure", "layer"))
        yaml.write_text("layers: [ReLU\n")
        structure.write_text("layers: [{Linear: [4, 3]}]\nsed: 1\nloss: total\n")
        layer.write_text("layers: [{Linear: {in_featurs: 4, out_features: 3}}, Liner]\n")
        calls = [
            ("help", ["--help"], 0, 0),
            ("version", ["--version"], 0, 0),
            ("schemes", ["schemes"], 0, 0),
            ("a mistake in the options", ["list", "--fromat", "json"], 2, 2),
            ("a mistake in a scheme", ["init", "example:mlp", "--scheme", "norml"], 2, 0),
            ("a mistake in the YAML", ["list", str(yaml)], 2, 0),
            ("a mistake in the structure", ["list", str(structure)], 2, 0),
            ("a mistake in a layer and an argument", ["list", str(layer)], 2, 0),
        ]
        for title, words, ours, rivals in calls:
            compare(
                title,
                Contender(f"paramctl {words[0]}", [PARAMCTL, *words], ours),
                Contender("the empty Typer application", python(str(RIVALS / "empty_app.py"), *words), rivals),
                runs=RUNS,
                target=TARGET,
            )


if __name__ == "__main__":
    main()
