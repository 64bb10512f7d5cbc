"""YAML values -> the arguments of a constructor, each checked against the type of its parameter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, cast

from paramctl.errors import nearest
from paramctl.records import ITEM_SIZES
from paramctl.spec.document import MAX_NODES, MappingNode, Node, ScalarNode, SequenceNode
from paramctl.spec.model import Argument, DtypeName, LayerCall, ModuleSpec
from paramctl.spec.paths import Path, step
from paramctl.spec.reading import Mistakes, shown
from paramctl.spec.scalars import PlainValue
from paramctl.spec.signatures import ArgumentType, LayerSignature, Parameter, describe, parse_type
from paramctl.spec.written import WrittenLayer

INT64 = range(-(2**63), 2**63)


class _Mismatch:
    """What `_match` returns where no alternative of the type fits."""


_MISMATCH: Final = _Mismatch()
_WRONG: Final = None
"""Stands for an argument whose mistake has been recorded; no call is made with it."""


@dataclass(slots=True)
class ArgumentReader:
    """Binds the arguments of layers.

    Attributes:
        mistakes: where mistakes go.
        is_layer: tells whether a node is written as a layer.
        read_layer: reads such a node.

    """

    mistakes: Mistakes
    is_layer: Callable[[Node], bool]
    read_layer: Callable[[Node, Path], ModuleSpec | None]

    def bind(self, signature: LayerSignature, written: WrittenLayer) -> LayerCall | None:
        """Bind a layer's arguments to its signature; record what is wrong and return None then."""
        before = len(self.mistakes.found)
        positional = self._by_position(signature, written)
        given = {parameter.name for parameter in signature.positional[: len(written.positional)]}
        keywords = self._by_name(signature, written, given)
        missing = [name for name in signature.required if name not in given and name not in keywords]
        if missing:
            unknown = keywords.keys() - signature.by_name.keys()
            misspelt = {match for name in unknown for match in get_close_matches(name, missing)}
            missing = [name for name in missing if name not in misspelt]
        if missing:
            *others, last = missing
            listed = f"{', '.join(others)} and {last}" if others else last
            self.mistakes.add(written.name, written.path, f"{signature.name} needs {listed}", _usage(signature))
        if len(self.mistakes.found) > before:
            return None
        return LayerCall(signature=signature, reference=None, positional=positional, keywords=keywords)

    def _by_position(self, signature: LayerSignature, written: WrittenLayer) -> tuple[Argument, ...]:
        values, positional = written.positional, signature.positional
        if not values:
            return ()
        if len(values) > len(positional) and not signature.more_positional:
            takes = f"at most {len(positional)} arguments by position" if positional else "no arguments"
            message = f"{signature.name} takes {takes}, not {len(values)}"
            self.mistakes.add(values[len(positional)], written.path, message, _usage(signature))
            return ()
        paths = [step(written.path, i) for i in range(len(values))]
        named = [self.read(*each) for each in zip(positional, values, paths, strict=False)]
        rest = [self.plain(*each) for each in list(zip(values, paths, strict=True))[len(positional) :]]
        return (*named, *rest)

    def _by_name(self, signature: LayerSignature, written: WrittenLayer, given: set[str]) -> dict[str, Argument]:
        known = signature.by_name
        bound: dict[str, Argument] = {}
        for name, (key, value) in written.keywords.items():
            path = step(written.path, name)
            if name in given:
                self.mistakes.add(key, path, f"{name} is given by position and by name")
            if name in known:
                bound[name] = self.read(known[name], value, path)
            elif signature.more_keywords:
                bound[name] = self.plain(value, path)
            else:
                listed = ", ".join(signature.names())
                hint = nearest(name, signature.names()) or (f"it takes {listed}" if listed else "it takes none")
                self.mistakes.add(key, path, f"{signature.name} has no argument {name!r}", hint)
                bound[name] = _WRONG
        return bound

    def read(self, parameter: Parameter, node: Node, path: Path) -> Argument:
        """Read the argument of one parameter."""
        kind = parameter.type
        value = self._match(kind, node, path)
        if not isinstance(value, _Mismatch):
            return value
        if kind.allows("device"):
            self.mistakes.add(node, path, "a spec names no device", "the device is chosen with --device")
        elif kind.allows("Tensor"):
            message = f"{parameter.name} is a tensor, which a spec cannot hold"
            self.mistakes.add(node, path, message, "leave it out, or build the model in Python")
        else:
            message = f"{parameter.name} must be {describe(kind)}, not {shown(node)}"
            self.mistakes.add(node, path, message, _type_hint(kind, node))
        return _WRONG

    def _match(self, kind: ArgumentType, node: Node, path: Path) -> Argument | _Mismatch:
        if isinstance(node, ScalarNode):
            value = node.value
            if type(value) is int and value not in INT64:
                self.mistakes.add(node, path, "the number does not fit in 64 bits")
                return _WRONG
            for alternative in kind.alternatives:
                if _is_scalar_of(alternative, value):
                    return DtypeName(cast("str", value)) if alternative.name == "dtype" else value
        if kind.allows("Module") and isinstance(node, MappingNode):
            return self.read_layer(node, path)
        if kind.allows("Module", "Callable") and self.is_layer(node):
            return self.read_layer(node, path)
        if isinstance(node, SequenceNode):
            for alternative in kind.alternatives:
                items = self._match_items(alternative, node, path)
                if not isinstance(items, _Mismatch):
                    return items
        return self.plain(node, path) if kind.allows("Any") else _MISMATCH

    def _match_items(self, kind: ArgumentType, node: SequenceNode, path: Path) -> tuple[Argument, ...] | _Mismatch:
        if kind.name == "list":
            kinds = kind.items * len(node.items)
        elif kind.name == "tuple" and len(kind.items) == len(node.items):
            kinds = kind.items
        else:
            return _MISMATCH
        items = []
        for i, (item_kind, item) in enumerate(zip(kinds, node.items, strict=True)):
            value = self._match(item_kind, item, step(path, i))
            if isinstance(value, _Mismatch):
                return _MISMATCH
            items.append(value)
        return tuple(items)

    def plain(self, node: Node, path: Path) -> Argument:
        """Read a value whose type nothing declares; what is written as a layer is a layer."""
        if node.size > MAX_NODES:
            self.mistakes.add(node, path, f"with its aliases expanded the value has more than {MAX_NODES:,} nodes")
            return _WRONG
        if isinstance(node, ScalarNode):
            return cast("Argument", self._match(_SCALAR, node, path))
        if isinstance(node, SequenceNode):
            return [self.plain(item, step(path, i)) for i, item in enumerate(node.items)]
        if self.is_layer(node):
            return self.read_layer(node, path)
        return {name: self.plain(value, step(path, name)) for name, (_, value) in node.entries.items()}


QUOTE: Final = "put it in quotes"
"""What is said of a plain scalar that is no string where a string is wanted."""
_SCALAR = parse_type("int | float | bool | str | None")


def _is_scalar_of(kind: ArgumentType, value: PlainValue) -> bool:
    match kind.name:
        case "int":
            return type(value) is int
        case "float":
            return type(value) in {int, float}
        case "bool":
            return type(value) is bool
        case "str":
            return type(value) is str
        case "None":
            return value is None
        case "Any":
            return True
        case "dtype":
            return value in ITEM_SIZES
        case "literal":
            return value in kind.choices
        case _:
            return False


def _type_hint(kind: ArgumentType, node: Node) -> str | None:
    if not isinstance(node, ScalarNode):
        return None
    text = node.text
    if kind.allows("bool") and text.lower() in {"yes", "no", "on", "off", "y", "n", "true", "false"}:
        return "YAML 1.2 has only true and false, unquoted"
    if kind.allows("None") and text in {"None", "none", "nil"}:
        return "write null"
    if kind.allows("dtype"):
        return nearest(text.removeprefix("torch."), ITEM_SIZES) or f"one of {', '.join(ITEM_SIZES)}"
    if kind.allows("int", "float") and not node.plain:
        return "a number is written without quotes"
    if kind.allows("str") and node.plain:
        return QUOTE
    choices = [str(choice) for each in kind.alternatives for choice in each.choices]
    return nearest(text, choices) if choices else None


def _usage(signature: LayerSignature) -> str | None:
    shown_parameters = [
        parameter.name if parameter.required else f"{parameter.name}={parameter.default!r}"
        for parameter in signature.parameters
        if not parameter.type.allows("device", "dtype", "Tensor") and not parameter.name.startswith("_")
    ]
    return f"{signature.name}({', '.join(shown_parameters)})" if shown_parameters else None
