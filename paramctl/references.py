"""References to the user's own code, and whether the user allowed that it is imported."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True, slots=True)
class Reference:
    """A name in the user's code: in a file (`path`) or in a package (`module`).

    `text` is the reference as the user wrote it. Where a package's name was written with dots alone, `module` is empty
    and `name` holds the whole dotted path: only an import can tell where the module ends.
    """

    text: str
    name: str
    module: str = ""
    path: Path | None = None

    def __str__(self) -> str:
        return self.text

    @property
    def dotted(self) -> str:
        """The full dotted path of a name in a package."""
        return f"{self.module}.{self.name}" if self.module else self.name


def parse_reference(text: str, directory: Path) -> Reference | None:
    """Read ``file.py:NAME`` (relative to `directory`), ``package.module:NAME`` or ``package.module.NAME``.

    Returns None for what is none of these.
    """
    place, colon, name = text.rpartition(":")
    if colon and place.endswith(".py") and _DOTTED.fullmatch(name):
        return Reference(text, name, path=directory / place)
    if colon and _DOTTED.fullmatch(place) and _DOTTED.fullmatch(name):
        return Reference(text, name, module=place)
    if not colon and "." in text and not text.endswith(".py") and _DOTTED.fullmatch(text):
        return Reference(text, text)
    return None


@dataclass(frozen=True, slots=True)
class Allowance:
    """The packages (whole dotted components) and files that a spec may import from."""

    packages: frozenset[str] = field(default_factory=frozenset)
    files: frozenset[Path] = field(default_factory=frozenset)

    @classmethod
    def of(cls, allowed: list[str], directory: Path) -> Allowance:
        """Read the values of ``--allow``; files are relative to `directory`."""
        files = {(directory / item).resolve() for item in allowed if item.endswith(".py")}
        return cls(frozenset(item for item in allowed if not item.endswith(".py")), frozenset(files))

    def permits(self, reference: Reference) -> bool:
        """Tell whether the reference may be imported."""
        if reference.path is not None:
            return reference.path.resolve() in self.files
        return any(f"{reference.dotted}.".startswith(f"{package}.") for package in self.packages)

    def option_for(self, reference: Reference) -> str:
        """Return the option that would permit the reference, and how it is spelled in a file that is permitted."""
        if reference.path is not None:
            return f"--allow {reference.path}"
        package, _, inside = reference.dotted.partition(".")
        is_file_meant = any(file.stem == package for file in self.files)
        return f"--allow {package}, or write {package}.py:{inside}" if is_file_meant else f"--allow {package}"
