"""Run all benchmarks, or those that are named: `python -m benchmarks startup listing`."""

from __future__ import annotations

import sys
from importlib import import_module

NAMES = (
    "startup",
    "listing",
    "large_specs",
    "measuring",
    "initializing",
    "python_code",
    "sharing",
    "gradients",
    "checkpoints",
)


def main() -> None:
    """Run what was asked for."""
    for name in sys.argv[1:] or NAMES:
        if name not in NAMES:
            raise SystemExit(f"there is no benchmark {name!r}: {', '.join(NAMES)}")
        import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    main()
