"""What every part of the spec reader shares: the list of mistakes found so far, and how a value is named in one."""

from __future__ import annotations

from dataclasses import dataclass, field

from paramctl.errors import ParamctlError, Position, Problem
from paramctl.spec.document import Document, MappingNode, Node, ScalarNode, SequenceNode
from paramctl.spec.paths import Path, path_text


@dataclass(slots=True)
class Mistakes:
    """The mistakes of one document found so far."""

    document: Document
    found: list[Problem] = field(default_factory=list)

    def error(self) -> ParamctlError:
        """Return the error that reports all of them, in the order of the text."""
        return ParamctlError(*sorted(self.found, key=_line_and_column))

    def add(self, node: Node, path: Path, message: str, hint: str | None = None) -> None:
        """Record a mistake at a node."""
        where = self.document.position(node)
        self.found.append(Problem(message=message, where=where, path=path_text(path) or None, hint=hint))


def _line_and_column(problem: Problem) -> tuple[int, int]:
    assert isinstance(problem.where, Position)
    return problem.where.line, problem.where.column


def shown(node: Node) -> str:
    """Name a value as a message does: ``the string 'no'``, ``4.5``, ``a list``."""
    if isinstance(node, SequenceNode):
        return f"a list of {len(node.items)}"
    if isinstance(node, MappingNode):
        return "a mapping"
    assert isinstance(node, ScalarNode)
    value = node.value
    if isinstance(value, str):
        return f"the string {value!r}" if len(value) <= 80 else f"a string of {len(value):,} characters"
    return node.text if len(node.text) <= 80 and node.text else "null" if value is None else "a number of that length"
