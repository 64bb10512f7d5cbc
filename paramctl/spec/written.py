"""The three ways in which a layer is written (our own, Hydra's and LightningCLI's) -> one form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from paramctl.spec.document import MappingNode, Node, ScalarNode, SequenceNode
from paramctl.spec.paths import Path, step
from paramctl.spec.reading import Mistakes, shown

Entries: TypeAlias = Mapping[str, tuple[ScalarNode, Node]]

_NO_ENTRIES: Final[Entries] = {}
_HYDRA_SETTINGS: Final = {"_convert_", "_recursive_"}
"""Hydra's own settings of an instantiation, which mean nothing here."""
_LIGHTNING_KEYS: Final = {"class_path", "init_args"}
_FORMS: Final = "a layer is a name (ReLU), or a name with arguments (Linear: {in_features: 4, out_features: 3})"


@dataclass(frozen=True, slots=True)
class WrittenLayer:
    """A layer as it is written.

    Attributes:
        name: the scalar that names it.
        body: what stands behind the name, undivided; for a container its children.
        positional: the arguments given by position.
        keywords: the arguments given by name.
        path: the path with the layer's name in it.
        foreign: whether it is written as Hydra or LightningCLI do, where a container's children are an argument.

    """

    name: ScalarNode
    body: Node | None
    positional: list[Node]
    keywords: Entries
    path: Path
    foreign: bool = False

    def key(self) -> tuple[object, ...] | None:
        """Return what tells two calls apart, or None where only binding can tell: nested values may be modules."""
        key: list[object] = [self.name.text]
        for node in self.positional:
            if type(node) is not ScalarNode:
                return None
            key += (node.text, node.plain)
        for name, (_, node) in self.keywords.items():
            if type(node) is not ScalarNode:
                return None
            key += (name, node.text, node.plain)
        return tuple(key)


def read_written(node: Node, mistakes: Mistakes, path: Path) -> WrittenLayer | None:
    """Take a layer's name and arguments apart; record a mistake and return None where that is not possible."""
    if isinstance(node, ScalarNode):
        return _bare(node, mistakes, path)
    if isinstance(node, SequenceNode):
        hint = "to nest layers write Sequential: [...]"
        mistakes.add(node, path, f"expected a layer, not {shown(node)}", hint)
        return None
    if "_target_" in node.entries:
        return _hydra(node, mistakes, path)
    if "class_path" in node.entries:
        return _lightning(node, mistakes, path)
    if len(node.entries) != 1:
        keys = ", ".join(node.entries) or "none"
        mistakes.add(node, path, f"a layer has one key, its name, not {len(node.entries)} ({keys})", _FORMS)
        return None
    ((text, (name, body)),) = node.entries.items()
    return _with_body(name, body, step(path, text))


def _bare(node: ScalarNode, mistakes: Mistakes, path: Path) -> WrittenLayer | None:
    anchor = mistakes.document.key_anchors.get(id(node))
    if anchor is not None:
        message = (
            f"the anchor &{anchor} stands on the name {node.text!r} alone, so *{anchor} is a layer without arguments"
        )
        hint = f"write the layer in braces, &{anchor} {{{node.text}: …}}, or on a line of its own below &{anchor}"
        mistakes.add(node, path, message, hint)
        return None
    if not isinstance(node.value, str):
        mistakes.add(node, path, f"expected a layer, not {shown(node)}", _FORMS)
        return None
    return WrittenLayer(node, None, [], _NO_ENTRIES, step(path, node.text))


def _with_body(name: ScalarNode, body: Node, path: Path) -> WrittenLayer:
    if isinstance(body, MappingNode):
        return WrittenLayer(name, body, [], body.entries, path)
    if isinstance(body, SequenceNode):
        return WrittenLayer(name, body, body.items, _NO_ENTRIES, path)
    return WrittenLayer(name, body, [] if body.value is None else [body], _NO_ENTRIES, path)


def _name_in(node: MappingNode, key: str, mistakes: Mistakes, path: Path) -> ScalarNode | None:
    name = node.entries[key][1]
    if isinstance(name, ScalarNode) and isinstance(name.value, str):
        return name
    mistakes.add(
        name, step(path, key), f"{key} is the import path of a layer, not {shown(name)}", "such as torch.nn.Linear"
    )
    return None


def _hydra(node: MappingNode, mistakes: Mistakes, path: Path) -> WrittenLayer | None:
    name = _name_in(node, "_target_", mistakes, path)
    if name is None:
        return None
    keywords = {key: entry for key, entry in node.entries.items() if key != "_target_" and key not in _HYDRA_SETTINGS}
    positional: list[Node] = []
    body = keywords["modules"][1] if "modules" in keywords else None
    if "_args_" in keywords:
        body = keywords.pop("_args_")[1]
        if not isinstance(body, SequenceNode):
            mistakes.add(body, step(path, "_args_"), f"_args_ is a list of arguments, not {shown(body)}")
            return None
        positional = body.items
    return WrittenLayer(name, body, positional, keywords, step(path, name.text), foreign=True)


def _lightning(node: MappingNode, mistakes: Mistakes, path: Path) -> WrittenLayer | None:
    name = _name_in(node, "class_path", mistakes, path)
    strange = [key for key in node.entries if key not in _LIGHTNING_KEYS]
    for key in strange:
        mistakes.add(
            node.entries[key][0],
            step(path, key),
            f"unknown key {key!r} beside class_path",
            "arguments go below init_args",
        )
    if name is None or strange:
        return None
    body = node.entries["init_args"][1] if "init_args" in node.entries else None
    if isinstance(body, ScalarNode) and body.value is None:
        body = None
    if body is not None and not isinstance(body, MappingNode):
        mistakes.add(body, step(path, "init_args"), f"init_args is a mapping, not {shown(body)}")
        return None
    keywords = _NO_ENTRIES if body is None else body.entries
    children = keywords["modules"][1] if "modules" in keywords else None
    return WrittenLayer(name, children, [], keywords, step(path, name.text), foreign=True)
