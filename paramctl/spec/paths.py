"""The path to a value in the structure of a spec."""

from __future__ import annotations

from typing import TypeAlias

Path: TypeAlias = "tuple[Path, str | int] | tuple[()]"
"""A path as a linked list, so that it costs next to nothing until a message needs it."""


def path_text(path: Path) -> str:
    """Write a path as ``layers[2].Linear.in_features``."""
    steps = []
    while path:
        path, last = path
        steps.append(f"[{last}]" if isinstance(last, int) else f".{last}")
    return "".join(reversed(steps)).removeprefix(".")


def step(path: Path, name: str | int) -> Path:
    """Return the path one step further: to a key or to an index."""
    return (path, name)
