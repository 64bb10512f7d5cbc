"""YAML text -> a tree of nodes that keep line and column, straight from libyaml's event stream.

Composing PyYAML's own nodes costs eight times as much as reading its events, and resolves scalars by YAML 1.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn, TypeAlias

import yaml
from yaml import events

from paramctl.errors import ParamctlError, Position, Problem, failure, nearest
from paramctl.spec import scalars
from paramctl.spec.syntax import syntax_error, unreadable

MAX_BYTES = 64 * 2**20
MAX_NODES = 5_000_000
MAX_DEPTH = 200
_SURROGATES = re.compile(r"(?<!\\)\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_MARKED = "the loader marks every event"

_CORE_TAGS = {f"tag:yaml.org,2002:{name}": name for name in ("str", "int", "float", "bool", "null", "seq", "map")}
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class ScalarNode:
    """A scalar: its text, whether it stood unquoted, and its line and column (from 0, as in every node)."""

    __slots__ = ("column", "line", "plain", "text")
    size = 1

    def __init__(self, text: str, plain: bool, line: int, column: int) -> None:  # noqa: FBT001  hot path
        self.text = text
        self.plain = plain
        self.line = line
        self.column = column

    @property
    def value(self) -> scalars.PlainValue:
        """What the scalar stands for: a quoted one for its text."""
        return scalars.resolve(self.text) if self.plain else self.text


class SequenceNode:
    """A sequence; `size` counts the nodes below it with every alias expanded."""

    __slots__ = ("column", "items", "line", "size")

    def __init__(self, line: int, column: int) -> None:
        self.items: list[Node] = []
        self.line = line
        self.column = column
        self.size = 1


class MappingNode:
    """A mapping: key text -> (key, value); `size` counts the nodes below it with every alias expanded."""

    __slots__ = ("column", "entries", "line", "size")

    def __init__(self, line: int, column: int) -> None:
        self.entries: dict[str, tuple[ScalarNode, Node]] = {}
        self.line = line
        self.column = column
        self.size = 1


Node: TypeAlias = ScalarNode | SequenceNode | MappingNode


@dataclass(slots=True, kw_only=True)
class Document:
    """A composed document.

    Attributes:
        source: the file as the user named it.
        root: the outermost node.
        aliased: the ids of the nodes that an alias refers to.
        key_anchors: the anchors that stand on a key, where their author may have meant the mapping, by the key's id.
        problems: the mistakes that did not keep the tree from being built.

    """

    source: str
    root: Node
    aliased: set[int]
    key_anchors: dict[int, str]
    problems: list[Problem]

    def position(self, node: Node) -> Position:
        """Return where a node begins."""
        return Position(self.source, node.line + 1, node.column + 1)


def compose(text: str, source: str) -> Document:
    """Parse one YAML document.

    Raises:
        ParamctlError: for a syntax error, a duplicate key, a tag outside the core schema, an alias that is unknown or
            inside its own anchor, a second document, or a limit that is passed.

    """
    composer = _Composer(source)
    try:
        loader = _Loader(_joined_surrogates(text))
        composer.consume(iter(loader.get_event, None))
    except yaml.reader.ReaderError as error:
        raise unreadable(error, text, source) from None
    except yaml.MarkedYAMLError as error:
        raise syntax_error(error, source) from None
    if composer.root is None:
        raise failure("the spec is empty", where=Position(source, 1, 1), hint="a spec needs at least `layers:`")
    return Document(
        source=source,
        root=composer.root,
        aliased=composer.aliased,
        key_anchors=composer.key_anchors,
        problems=composer.problems,
    )


@dataclass(slots=True)
class _Composer:
    """Builds the tree, without recursion: `outer` holds what is pending in the containers around the innermost one."""

    source: str
    root: Node | None = None
    nodes: int = 0
    container: SequenceNode | MappingNode | None = None
    key: ScalarNode | None = None
    anchor: str | None = None
    outer: list[tuple[SequenceNode | MappingNode | None, ScalarNode | None, str | None]] = field(default_factory=list)
    anchors: dict[str, Node | None] = field(default_factory=dict)
    aliased: set[int] = field(default_factory=set)
    key_anchors: dict[int, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def consume(self, stream: Iterator[events.Event]) -> None:
        """Take every event of the stream; the most frequent ones are asked for first."""
        for event in stream:
            if isinstance(event, events.ScalarEvent):
                self.attach(event, self.scalar(event))
            elif isinstance(event, events.CollectionEndEvent):
                self.attach(event, self.close())
            elif isinstance(event, events.CollectionStartEvent):
                self.open(event)
            elif isinstance(event, events.AliasEvent):
                self.attach(event, self.alias(event))
            elif isinstance(event, events.DocumentStartEvent) and self.root is not None:
                self.refuse(event, "a second document begins here", "a file holds one spec")

    def attach(self, event: events.Event, node: Node) -> None:
        """Put a complete node into the innermost container."""
        self.nodes += 1
        if self.nodes > MAX_NODES:
            self.refuse(event, f"more than {MAX_NODES:,} nodes")
        container = self.container
        if container is None:
            self.root = node
            return
        container.size += node.size
        if isinstance(container, SequenceNode):
            container.items.append(node)
        elif self.key is None:
            self.key = self.as_key(event, node, container)
        else:
            container.entries[self.key.text] = (self.key, node)
            self.key = None

    def scalar(self, event: events.ScalarEvent) -> ScalarNode:
        mark = event.start_mark
        assert mark is not None, _MARKED
        node = ScalarNode(event.value, event.implicit[0], mark.line, mark.column)
        if event.tag is not None:
            self.apply_tag(event.tag, node)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def open(self, event: events.CollectionStartEvent) -> None:
        if len(self.outer) == MAX_DEPTH:
            self.refuse(event, f"nested deeper than {MAX_DEPTH} levels")
        self.outer.append((self.container, self.key, self.anchor))
        mark = event.start_mark
        assert mark is not None, _MARKED
        new = MappingNode if isinstance(event, events.MappingStartEvent) else SequenceNode
        self.container = new(mark.line, mark.column)
        self.key, self.anchor = None, event.anchor
        if event.tag is not None:
            self.apply_tag(event.tag, self.container)
        if event.anchor is not None:
            self.anchors[event.anchor] = None

    def close(self) -> Node:
        node = self.container
        assert node is not None, "an end event closes a container"
        if isinstance(node, MappingNode) and "<<" in node.entries:
            self.merge(node)
        if self.anchor is not None:
            self.anchors[self.anchor] = node
        self.container, self.key, self.anchor = self.outer.pop()
        return node

    def alias(self, event: events.AliasEvent) -> Node:
        assert event.anchor is not None, "an alias has a name"
        if event.anchor not in self.anchors:
            hint = nearest(event.anchor, self.anchors) or "an anchor (&name) stands before its aliases (*name)"
            self.refuse(event, f"no anchor &{event.anchor} stands above this alias", hint)
        node = self.anchors[event.anchor]
        if node is None:
            self.refuse(event, f"the alias *{event.anchor} stands inside its own anchor: a cycle")
        self.aliased.add(id(node))
        return node

    def as_key(self, event: events.Event, node: Node, mapping: MappingNode) -> ScalarNode:
        if not isinstance(node, ScalarNode):
            where = self.position(node)
            raise ParamctlError(*self.problems, Problem(message="a key must be a plain name, not a list", where=where))
        if node.text in mapping.entries:
            first = self.position(mapping.entries[node.text][0])
            self.problems.append(
                Problem(
                    message=f"the key {node.text!r} stands twice in one mapping",
                    where=self.position(node),
                    hint=f"the first one is at {first.line}:{first.column}",
                )
            )
        if isinstance(event, events.ScalarEvent) and event.anchor is not None:
            self.key_anchors[id(node)] = event.anchor
        return node

    def merge(self, mapping: MappingNode) -> None:
        key, value = mapping.entries["<<"]
        if not key.plain:
            return
        del mapping.entries["<<"]
        for source in value.items if isinstance(value, SequenceNode) else [value]:
            if not isinstance(source, MappingNode):
                self.problems.append(
                    Problem(
                        message="the merge key << takes a mapping or a list of mappings",
                        where=self.position(source),
                        hint="write <<: *name, where &name stands on a mapping",
                    )
                )
                continue
            self.nodes += len(source.entries)
            for name, entry in source.entries.items():
                mapping.entries.setdefault(name, entry)

    def apply_tag(self, tag: str, node: Node) -> None:
        """Follow a core tag (`!!str 5` is a string) and refuse every other: a tag can ask for code to be run."""
        name = _CORE_TAGS.get(tag)
        fits = {"seq": SequenceNode, "map": MappingNode}.get(name or "", ScalarNode)
        if name is None or not isinstance(node, fits):
            self.problems.append(
                Problem(
                    message=f"the tag {_short_tag(tag)} is not allowed here",
                    where=self.position(node),
                    hint="a spec is plain data; a layer of your own is named by its import path, with --allow",
                )
            )
        elif isinstance(node, ScalarNode):
            node.plain = name != "str"

    def position(self, node: Node) -> Position:
        return Position(self.source, node.line + 1, node.column + 1)

    def refuse(self, event: events.Event, message: str, hint: str | None = None) -> NoReturn:
        mark = event.start_mark
        assert mark is not None, _MARKED
        where = Position(self.source, mark.line + 1, mark.column + 1)
        raise ParamctlError(*self.problems, Problem(message=message, where=where, hint=hint))


def _joined_surrogates(text: str) -> str:
    """Write the pairs of escapes by which JSON writes characters beyond U+FFFF as YAML does."""
    if not text.lstrip().startswith(("{", "[")):  # as JSON does
        return text
    return _SURROGATES.sub(_joined, text)


def _joined(pair: re.Match[str]) -> str:
    high, low = (int(half, 16) for half in pair[0].split("\\u")[1:])
    return f"\\U{0x10000 + (high - 0xD800) * 0x400 + low - 0xDC00:08X}"


def _short_tag(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")
