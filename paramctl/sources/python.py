"""A model that is Python code: an instance, a class, or a function that returns one."""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from paramctl.analysis.listing import ListOptions
from paramctl.errors import failure, nearest
from paramctl.references import Reference
from paramctl.sources.protocols import Contents, Measurable
from paramctl.spec.document import Node
from paramctl.spec.given import parse_given
from paramctl.watching import Watch

if TYPE_CHECKING:
    from paramctl.tensors.building.built import BuiltModel


@dataclass(frozen=True, slots=True)
class PythonSource:
    """A name in the user's own code.

    Attributes:
        model: what the user typed for it.
        reference: the name.
        given: the arguments of the class or the function, from ``--arg``.

    """

    model: str
    reference: Reference
    given: Mapping[str, Node]
    kind = "Python code"
    title = None
    seed = 0

    def contents(self, *, dtype: str | None, buffers: bool, modules: bool) -> Contents:  # noqa: ARG002  a module tells all
        """Tell what the model holds, without values if its code can do without; see `ModuleSource`."""
        built = self.build(seed=None, dtype=dtype)
        return Contents(built.inventory(), built.notes)

    def measurable(self, options: ListOptions, *, seed: int, dtype: str | None, watch: Watch) -> Measurable:
        """Get ready to measure the tensors; see `ModuleSource`."""
        from paramctl.tensors.answers.measuring import measurable

        return Measurable(*measurable(self.build(seed=seed, dtype=dtype), options, seed=seed, watch=watch))

    def build(self, *, seed: int | None, dtype: str | None) -> BuiltModel:
        """Import the code and call it; see `ModuleSource`."""
        from paramctl.tensors.building.python_model import build_python

        return build_python(self.reference, self.given, seed=seed, dtype=dtype)


def open_python(model: str, reference: Reference, arguments: Sequence[str]) -> PythonSource:
    """Check that what a reference names can be there; nothing is imported yet.

    Args:
        model: what the user typed.
        reference: the name in it.
        arguments: those of the class or the function, as typed.

    Raises:
        ParamctlError: if there is no such file, or an argument is not ``key=value``.

    """
    path = reference.path
    if path is not None and not os.path.isfile(path):  # noqa: PTH113  never raises
        raise failure(f"there is no file {path}", where="MODEL", hint=_nearby(path))
    return PythonSource(model, reference, parse_given(arguments))


def is_importable(module: str) -> bool:
    """Tell whether the package that a module is in can be found from the working directory; none is imported."""
    top = module.partition(".")[0]
    if Path(top).is_dir() or Path(f"{top}.py").is_file():
        return True
    try:
        return find_spec(top) is not None
    except (ImportError, ValueError):
        return False


def names_in(path: str) -> list[str]:
    """Return the classes and functions that a Python file defines, without running it; none if it cannot be read."""
    try:
        tree = ast.parse(Path(path).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return []
    return [node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name[0] != "_"]


def _nearby(path: Path) -> str | None:
    try:
        return nearest(path.name, [each.name for each in path.parent.glob("*.py")])
    except OSError:
        return None
