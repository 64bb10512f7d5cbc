"""The specs that ship with the package, by name."""

from __future__ import annotations

from pathlib import Path

from paramctl.errors import failure, nearest

PREFIX = "example:"


def directory() -> Path:
    """Return the folder of the shipped specs: inside an installed package, beside the package in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def names() -> list[str]:
    """Return the names of the shipped specs."""
    return sorted(path.stem for path in directory().glob("*.yaml"))


def find(name: str) -> Path:
    """Return the file of a shipped spec.

    Raises:
        ParamctlError: if there is none of this name.

    """
    if name not in names():
        is_code = (directory() / f"{name}.py").is_file()
        hint = f"it is Python code: {PREFIX}{name}.py:NAME" if is_code else nearest(name, names())
        hint = hint or f"there are {', '.join(names())}"
        raise failure(f"there is no example {name!r}", where="MODEL", hint=hint)
    return directory() / f"{name}.yaml"
