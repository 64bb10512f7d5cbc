"""The input of a forward pass, as a spec or the command line gives it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from paramctl.errors import failure, nearest
from paramctl.records import ITEM_SIZES
from paramctl.spec.arguments import INT64
from paramctl.spec.document import MappingNode, Node, ScalarNode, SequenceNode
from paramctl.spec.model import FILLS, Fill, GivenInput, InputSpec
from paramctl.spec.paths import Path, step
from paramctl.spec.reading import shown
from paramctl.spec.settings import SettingsReader

_FILL_TEXT: Final = re.compile(r"randint\(\s*(?:(-?\d+)\s*,)?\s*(-?\d+)\s*\)")
_INPUT_KEYS: Final = ("shape", "fill", "dtype")
_INPUT_HINT: Final = "such as --input 2,4:rand or --input 'ids=2,8:int64:randint(0,100)'"
_RANDINT_HINT: Final = "write fill: {randint: {low: 0, high: 100}}"


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


def parse_input(text: str, where: str) -> GivenInput:
    """Read an argument of forward from the command line: ``[NAME=]SHAPE[:DTYPE][:FILL]``.

    Raises:
        ParamctlError: if the name is none, or a part is no shape, dtype or fill.

    """
    name, equals, described = text.rpartition("=")
    if equals and not name.strip().isidentifier():
        raise failure(f"{name!r} is no name of an argument", where=where, hint=_INPUT_HINT)
    shape, *parts = described.split(":")
    spec = InputSpec(shape=parse_shape(shape, where))
    dtypes = [part for part in parts if part.removeprefix("torch.") in ITEM_SIZES]
    fills = [part for part in parts if part not in dtypes]
    if len(dtypes) > 1 or len(fills) > 1:
        twice = dtypes if len(dtypes) > 1 else fills
        message = f"{text!r} has {' and '.join(map(repr, twice))}, of which it can have one"
        raise failure(message, where=where, hint=_INPUT_HINT)
    if dtypes:
        spec = replace(spec, dtype=dtypes[0].removeprefix("torch."))
    if fills:
        spec = replace(spec, fill=_fill_of_input(fills[0], where))
    return GivenInput(spec, name.strip() or None)


def _fill_of_input(text: str, where: str) -> Fill:
    if text in FILLS or text.startswith("randint"):
        return parse_fill(text, where)
    hint = nearest(text, (*FILLS, *ITEM_SIZES)) or _INPUT_HINT
    raise failure(f"{text!r} is neither a dtype nor a fill", where=where, hint=hint)


@dataclass(slots=True)
class InputReader(SettingsReader):
    """Reads the `input` of a spec."""

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
                self.mistakes.add(node, path, "randint needs its bounds", _RANDINT_HINT)
            return Fill(next((fill for fill in FILLS if fill == word), "rand"))
        if list(node.entries) != ["randint"]:
            self.mistakes.add(node, path, "only randint takes arguments", _RANDINT_HINT)
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
                self.mistakes.add(bounds, path, "randint takes low and high", _RANDINT_HINT)
            return None
        if name not in bounds.entries:
            if default is None:
                self.mistakes.add(bounds, path, f"randint needs {name}", _RANDINT_HINT)
            return default
        node = bounds.entries[name][1]
        value = node.value if isinstance(node, ScalarNode) else None
        if type(value) is int and value in INT64:
            return value
        self.mistakes.add(node, step(path, name), f"{name} must be an integer of 64 bits, not {shown(node)}")
        return None
