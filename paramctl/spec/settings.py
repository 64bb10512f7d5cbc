"""What stands beside `layers` in a spec: input, loss, init, tie, freeze, dtype and seed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, Final

from paramctl.errors import ParamctlError, failure, nearest
from paramctl.records import FLOATING_DTYPES, ITEM_SIZES
from paramctl.references import Allowance, Reference
from paramctl.rules import InitRule, bind_options
from paramctl.schemes import Scheme
from paramctl.spec.arguments import INT64
from paramctl.spec.document import MappingNode, Node, ScalarNode, SequenceNode
from paramctl.spec.model import FILLS, LOSSES, MAX_SEED, MIN_SEED, Fill, InputSpec, Located, Loss
from paramctl.spec.reading import Mistakes, Path, shown, step
from paramctl.spec.rules import parse_scheme

_FILL_TEXT: Final = re.compile(r"randint\(\s*(?:(-?\d+)\s*,)?\s*(-?\d+)\s*\)")
_INPUT_KEYS: Final = ("shape", "fill", "dtype")


def parse_fill(text: str, where: str) -> Fill:
    """Read a fill from the command line: a name, or ``randint(LOW,HIGH)``."""
    found = _FILL_TEXT.fullmatch(text)
    if found:
        low, high = int(found[1] or 0), int(found[2])
        if low >= high:
            raise failure(f"randint needs low < high, not {low} and {high}", where=where)
        return Fill("randint", low, high)
    for name in FILLS:
        if name == text and name != "randint":
            return Fill(name)
    hint = "randint needs its bounds: randint(0,100)" if text == "randint" else nearest(text, FILLS)
    raise failure(f"there is no fill {text!r}", where=where, hint=hint or f"one of {', '.join(FILLS)}")


def parse_shape(text: str, where: str) -> tuple[int, ...]:
    """Read a shape from the command line: ``2,4``; the empty text is a scalar's."""
    try:
        shape = tuple(int(size) for size in text.split(",")) if text.strip() else ()
    except ValueError:
        raise failure(f"{text!r} is no shape", where=where, hint="sizes with commas between, such as 2,4") from None
    if any(size < 0 or size not in INT64 for size in shape):
        raise failure(
            f"{text!r} holds a size that no tensor has", where=where, hint="sizes are 0 or more, and fit in 64 bits"
        )
    return shape


@dataclass(slots=True)
class SettingsReader:
    """Reads the settings; every method records what is wrong and returns a value all the same."""

    mistakes: Mistakes
    allowance: Allowance
    directory: FilePath

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

    def input(self, node: Node, path: Path) -> InputSpec | None:
        """Read the input of a forward pass."""
        if not isinstance(node, MappingNode):
            self.mistakes.add(
                node, path, f"the input is a mapping, not {shown(node)}", "write input: {shape: [2, 4], fill: rand}"
            )
            return None
        for name, (key, _) in node.entries.items():
            if name not in _INPUT_KEYS:
                hint = nearest(name, _INPUT_KEYS) or f"its keys are {', '.join(_INPUT_KEYS)}"
                self.mistakes.add(key, step(path, name), f"the input has no key {name!r}", hint)
        entries = {name: value for name, (_, value) in node.entries.items()}
        if "shape" not in entries:
            self.mistakes.add(node, path, "the input needs a shape", "such as shape: [2, 4]")
            return None
        shape = self._shape(entries["shape"], step(path, "shape"))
        fill = self._fill(entries["fill"], step(path, "fill")) if "fill" in entries else Fill("rand")
        dtype = None
        if "dtype" in entries:
            dtype = self.word(entries["dtype"], step(path, "dtype"), "the input's dtype", tuple(ITEM_SIZES))
        return InputSpec(shape=shape, fill=fill, dtype=dtype)

    def _shape(self, node: Node, path: Path) -> tuple[int, ...]:
        if not isinstance(node, SequenceNode):
            self.mistakes.add(node, path, f"a shape is a list of sizes, not {shown(node)}", "such as [2, 4]")
            return ()
        sizes = []
        for i, item in enumerate(node.items):
            size = item.value if isinstance(item, ScalarNode) else None
            if type(size) is int and size >= 0 and size in INT64:
                sizes.append(size)
            else:
                self.mistakes.add(
                    item, step(path, i), f"a size is an integer of 0 or more in 64 bits, not {shown(item)}"
                )
        return tuple(sizes)

    def _fill(self, node: Node, path: Path) -> Fill:
        if not isinstance(node, MappingNode):
            word = self.word(node, path, "the fill", FILLS)
            if word == "randint":
                self.mistakes.add(node, path, "randint needs its bounds", "write fill: {randint: {low: 0, high: 100}}")
            return Fill(next((fill for fill in FILLS if fill == word), "rand"))
        if list(node.entries) != ["randint"]:
            self.mistakes.add(node, path, "only randint takes arguments", "write fill: {randint: {low: 0, high: 100}}")
            return Fill("rand")
        bounds, path = node.entries["randint"][1], step(path, "randint")
        low, high = self._bound(bounds, path, "low", 0), self._bound(bounds, path, "high", None)
        if low is None or high is None:
            return Fill("rand")
        if low >= high:
            self.mistakes.add(bounds, path, f"randint needs low < high, not {low} and {high}")
        return Fill("randint", low, high)

    def _bound(self, bounds: Node, path: Path, name: str, default: int | None) -> int | None:
        if not isinstance(bounds, MappingNode) or bounds.entries.keys() - {"low", "high"}:
            if name == "low":
                self.mistakes.add(bounds, path, "randint takes low and high", "write randint: {low: 0, high: 100}")
            return None
        if name not in bounds.entries:
            if default is None:
                self.mistakes.add(bounds, path, f"randint needs {name}", "write randint: {low: 0, high: 100}")
            return default
        node = bounds.entries[name][1]
        value = node.value if isinstance(node, ScalarNode) else None
        if type(value) is int and value in INT64:
            return value
        self.mistakes.add(node, step(path, name), f"{name} must be an integer of 64 bits, not {shown(node)}")
        return None

    def _items(self, node: Node, path: Path, what: str, hint: str) -> list[Node]:
        if isinstance(node, SequenceNode):
            return node.items
        self.mistakes.add(node, path, f"{what} is a list, not {shown(node)}", hint)
        return []

    def names(self, node: Node, path: Path, what: str, hint: str) -> tuple[Located, ...]:
        """Read a list of names or globs."""
        names = []
        for i, item in enumerate(self._items(node, path, what, hint)):
            name = self.text(item, step(path, i), "a name")
            if name is not None:
                names.append(Located(name, self.mistakes.document.position(item)))
        return tuple(names)

    def ties(self, node: Node, path: Path) -> tuple[tuple[Located, ...], ...]:
        """Read the lists of names that become one Parameter."""
        hint = "write tie: [[embedding.weight, decoder.weight]]"
        ties = []
        for i, item in enumerate(self._items(node, path, "tie", hint)):
            names = self.names(item, step(path, i), "a tie", hint)
            if isinstance(item, SequenceNode) and len(item.items) < 2:
                self.mistakes.add(item, step(path, i), "a tie needs two names or more", hint)
            ties.append(names)
        return tuple(ties)

    def rules(self, node: Node, path: Path) -> tuple[InitRule, ...]:
        """Read the init rules."""
        hint = 'write init: [{match: "*.weight", scheme: normal, std: 0.02}]'
        items = self._items(node, path, "init", hint)
        return tuple(filter(None, (self._rule(item, step(path, i), hint) for i, item in enumerate(items))))

    def _rule(self, node: Node, path: Path, hint: str) -> InitRule | None:
        if not isinstance(node, MappingNode):
            self.mistakes.add(node, path, f"an init rule is a mapping, not {shown(node)}", hint)
            return None
        entries = dict(node.entries)
        missing = [name for name in ("match", "scheme") if name not in entries]
        for name in missing:
            self.mistakes.add(node, path, f"an init rule needs {name}", hint)
        if missing:
            return None
        match = self.text(entries.pop("match")[1], step(path, "match"), "match")
        scheme_node = entries.pop("scheme")[1]
        text = self.text(scheme_node, step(path, "scheme"), "the scheme")
        if match is None or text is None:
            return None
        where = self.mistakes.document.position(scheme_node)
        try:
            scheme, given = parse_scheme(text, self.directory, where)
        except ParamctlError as error:
            self.mistakes.add(scheme_node, step(path, "scheme"), error.problems[0].message, error.problems[0].hint)
            return None
        given |= self._options(entries, path)
        if isinstance(scheme, Reference):
            return self._function_rule(match, scheme, given, scheme_node, path)
        return self._scheme_rule(match, scheme, given, node, path)

    def _options(self, entries: dict[str, tuple[ScalarNode, Node]], path: Path) -> dict[str, Any]:
        options = {}
        for name, (_, value) in entries.items():
            if isinstance(value, ScalarNode):
                options[name] = value.value
            else:
                self.mistakes.add(value, step(path, name), f"an option of a scheme is one value, not {shown(value)}")
        return options

    def _function_rule(
        self, match: str, function: Reference, given: dict[str, Any], node: Node, path: Path
    ) -> InitRule | None:
        if not self.allowance.permits(function):
            message = f"{function} is code of your own, and importing it was not allowed"
            hint = f"if you trust it, add {self.allowance.option_for(function)}"
            self.mistakes.add(node, step(path, "scheme"), message, hint)
            return None
        return InitRule(match=match, scheme=function, options=given, where=self.mistakes.document.position(node))

    def _scheme_rule(
        self, match: str, scheme: Scheme, given: dict[str, Any], node: MappingNode, path: Path
    ) -> InitRule | None:
        options, wrong = bind_options(scheme, given)
        for mistake in wrong:
            at = node.entries.get(mistake.option or "", (node, node))
            message = mistake.message
            self.mistakes.add(at[0], step(path, mistake.option) if mistake.option else path, message, mistake.hint)
        if wrong:
            return None
        return InitRule(match=match, scheme=scheme, options=options, where=self.mistakes.document.position(node))
