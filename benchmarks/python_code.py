"""List a model in Python code that fills its own parameters, beside a script that builds it on the CPU or on meta."""

from __future__ import annotations

from benchmarks.harness import PARAMCTL, RIVALS, Contender, compare, python

RUNS = 5
TARGETS = {"cpu": "at least 2 × faster, less than 1 GiB", "meta": "at least 1.2 × faster"}


def main() -> None:
    """Compare both ways."""
    ours = Contender("paramctl list gpt.py:GPT", [PARAMCTL, "list", f"{RIVALS / 'gpt.py'}:GPT"])
    for device, target in TARGETS.items():
        script = Contender(f"a script, on {device}", python(str(RIVALS / "listing_code.py"), device))
        compare(f"list GPT-2 medium, whose code fills it, beside {device}", ours, script, runs=RUNS, target=target)


if __name__ == "__main__":
    main()
