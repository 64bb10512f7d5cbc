"""What stands beside `layers` in a spec: loss, tie, freeze, dtype and seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paramctl.errors import nearest
from paramctl.records import FLOATING_DTYPES
from paramctl.spec.document import Node, ScalarNode, SequenceNode
from paramctl.spec.model import LOSSES, Located, Loss
from paramctl.spec.paths import Path, step
from paramctl.spec.reading import Mistakes, shown
from paramctl.spec.seeds import MAX_SEED, MIN_SEED


@dataclass(slots=True)
class SettingsReader:
    """Reads the settings; every method records what is wrong and returns a value all the same."""

    mistakes: Mistakes

    def word(self, node: Node, path: Path, what: str, words: Sequence[str]) -> str | None:
        """Read one of some words."""
        value = node.value if isinstance(node, ScalarNode) else None
        if value in words:
            return str(value)
        hint = (nearest(value, words) if isinstance(value, str) else None) or f"one of {', '.join(words)}"
        self.mistakes.add(node, path, f"{what} cannot be {shown(node)}", hint)
        return None

    def text(self, node: Node, path: Path, what: str) -> str | None:
        """Read a string."""
        if isinstance(node, ScalarNode) and isinstance(node.value, str):
            return node.value
        self.mistakes.add(node, path, f"{what} must be a string, not {shown(node)}", "put it in quotes")
        return None

    def loss(self, node: Node, path: Path) -> Loss:
        """Read the loss."""
        word = self.word(node, path, "the loss", LOSSES)
        return next((loss for loss in LOSSES if loss == word), "sum")

    def dtype(self, node: Node, path: Path) -> str | None:
        """Read the dtype of the model's floating parameters."""
        return self.word(node, path, "the dtype of floating parameters", tuple(FLOATING_DTYPES))

    def seed(self, node: Node, path: Path) -> int:
        """Read the seed."""
        value = node.value if isinstance(node, ScalarNode) else None
        if type(value) is int and MIN_SEED <= value <= MAX_SEED:
            return value
        self.mistakes.add(node, path, f"the seed must be an integer of 64 bits, not {shown(node)}")
        return 0

    def items(self, node: Node, path: Path, what: str, hint: str) -> list[Node]:
        """Return the nodes of a list."""
        if isinstance(node, SequenceNode):
            return node.items
        self.mistakes.add(node, path, f"{what} is a list, not {shown(node)}", hint)
        return []

    def names(self, node: Node, path: Path, what: str, hint: str) -> tuple[Located, ...]:
        """Read a list of names or globs."""
        names = []
        for i, item in enumerate(self.items(node, path, what, hint)):
            name = self.text(item, step(path, i), "a name")
            if name is not None:
                names.append(Located(name, self.mistakes.document.position(item)))
        return tuple(names)

    def ties(self, node: Node, path: Path) -> tuple[tuple[Located, ...], ...]:
        """Read the lists of names that become one Parameter."""
        hint = "write tie: [[embedding.weight, decoder.weight]]"
        ties = []
        for i, item in enumerate(self.items(node, path, "tie", hint)):
            names = self.names(item, step(path, i), "a tie", hint)
            if isinstance(item, SequenceNode) and len(item.items) < 2:
                self.mistakes.add(item, step(path, i), "a tie needs two names or more", hint)
            ties.append(names)
        return tuple(ties)
