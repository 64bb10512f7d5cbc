"""`paramctl list` of a small model and of 70 billion parameters, beside importing torch."""

from __future__ import annotations

from benchmarks.harness import PARAMCTL, ROOT, Contender, compare, python

RUNS = 11


def main() -> None:
    """Compare both."""
    mlp = [PARAMCTL, "list", str(ROOT / "configs" / "mlp.yaml")]
    llama = [PARAMCTL, "list", str(ROOT / "configs" / "llama2_70b.yaml")]
    compare(
        "list a multilayer perceptron",
        Contender("paramctl list configs/mlp.yaml", mlp),
        Contender('python -c "import torch"', python("-c", "import torch")),
        runs=RUNS,
        target="at most 1.0 × the time",
    )
    compare(
        "list 70 billion parameters",
        Contender("paramctl list configs/llama2_70b.yaml", llama),
        Contender("paramctl list configs/mlp.yaml", mlp),
        runs=RUNS,
        target="at most 1.1 × the time, less than +100 MiB",
    )


if __name__ == "__main__":
    main()
