"""The `layers` of a spec -> a tree of modules."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import Final, TypeAlias

from paramctl.errors import ParamctlError, nearest
from paramctl.references import Allowance, Reference, parse_reference
from paramctl.spec.arguments import ArgumentReader
from paramctl.spec.catalog import Catalog
from paramctl.spec.document import MAX_DEPTH, MappingNode, Node, ScalarNode, SequenceNode
from paramctl.spec.model import MAX_NAMES, MODULES, Container, ContainerKind, Layer, LayerCall, ModuleSpec, Repeat
from paramctl.spec.paths import Path, step
from paramctl.spec.reading import Mistakes, shown
from paramctl.spec.signatures import LayerSignature
from paramctl.spec.written import Entries, WrittenLayer, read_written

SignatureOf: TypeAlias = Callable[[Reference], LayerSignature]
"""Imports a class of the user's own and returns its signature; raises `ParamctlError` where that fails."""

NamedChildren: TypeAlias = tuple[tuple[str, ...] | None, tuple[ModuleSpec, ...]]
"""The names of some children, None where they have indexes, and the children."""

_CONTAINERS: Final[dict[str, ContainerKind]] = {
    "Sequential": "Sequential",
    "ModuleList": "ModuleList",
    "ModuleDict": "ModuleDict",
}
_OWN_LAYERS: Final = ("Repeat", "Residual")
_LAYERS_INSIDE: Final = ("num_layers", "num_encoder_layers", "num_decoder_layers")
_LEAST_PARAMETERS: Final = 2
"""The arguments that say how many layers a layer makes, and how many parameters each of those has at least."""


@dataclass(slots=True)
class LayerReader:
    """Reads modules.

    Attributes:
        mistakes: where mistakes go.
        catalog: the layers of torch.nn.
        signature_of: looks up a class of the user's own.
        allowance: what may be imported.
        directory: what files are relative to.
        aliased: whether a module was met at a second place.
        composed: whether a layer was met among the arguments of another.
        imports: whether a layer of the user's own was met.

    """

    mistakes: Mistakes
    catalog: Catalog
    signature_of: SignatureOf
    allowance: Allowance
    directory: FilePath
    aliased: bool = False
    composed: bool = False
    imports: bool = False
    _scopes: list[int] = field(default_factory=lambda: [0])
    _last_scope: int = 0
    _targets: dict[str, LayerSignature | Reference | str | None] = field(default_factory=dict)
    _calls: dict[tuple[object, ...], LayerCall] = field(default_factory=dict)
    _seen: dict[int, ModuleSpec | None] = field(default_factory=dict)
    _depths: dict[int, tuple[ModuleSpec, int]] = field(default_factory=dict)
    _arguments: ArgumentReader = field(init=False)

    def __post_init__(self) -> None:
        self._arguments = ArgumentReader(self.mistakes, self.is_layer, self._read_argument)

    def children(self, node: Node, path: Path, kind: ContainerKind = "Sequential") -> NamedChildren:
        """Read a list of layers, or a mapping from names to layers; names are None for a list."""
        if isinstance(node, SequenceNode):
            read = [self.read(item, step(path, i)) for i, item in enumerate(node.items)]
            return None, tuple(filter(None, read))
        if isinstance(node, MappingNode):
            for name, (key, _) in node.entries.items():
                self._check_child_name(name, kind, key, step(path, name))
            read = [self.read(value, step(path, name)) for name, (_, value) in node.entries.items()]
            return tuple(node.entries), tuple(filter(None, read))
        hint = "write a list of layers, or a mapping from names to layers"
        self.mistakes.add(node, path, f"expected layers, not {shown(node)}", hint)
        return None, ()

    def _check_child_name(self, name: str, kind: ContainerKind, key: Node, path: Path) -> None:
        if not name or "." in name:
            self.mistakes.add(key, path, f"{name!r} cannot name a module: it must be non-empty and without dots")
        elif name in self.catalog.reserved(kind):
            message = f"a child of {kind} cannot be named {name!r}: the class has an attribute of that name"
            self.mistakes.add(key, path, message)

    def required_children(self, node: Node, path: Path) -> NamedChildren:
        """Read layers, of which there must be one."""
        if not isinstance(node, ScalarNode) and node.size == 1:
            self.mistakes.add(node, path, "there are no layers here", "give at least one, such as Identity")
        return self.children(node, path)

    def read(self, node: Node, path: Path) -> ModuleSpec | None:
        """Read one module; a node that was read before is the same module."""
        if id(node) in self._seen:
            self.aliased = True
            known = self._seen[id(node)]
            if known is None or known.scope in self._scopes:
                return known
            message = "this layer stands inside a Repeat, whose copies are independent: an alias from outside fits none"
            self.mistakes.add(node, path, message, "put the anchor outside the Repeat, and aliases inside it")
            return None
        written = read_written(node, self.mistakes, path)
        module = None if written is None else self._module(node, written)
        if self.mistakes.document.aliased:
            self._seen[id(node)] = module
        return module

    def _module(self, node: Node, written: WrittenLayer) -> ModuleSpec | None:
        target = self._target(written)
        if target is None:
            return None
        if isinstance(target, str):
            if target == "Repeat":
                return self._repeat(node, written)
            if target == "Residual":
                return self._residual(node, written)
            return self._container(node, _CONTAINERS[target], written)
        call = self._call(target, written)
        if call is None:
            return None
        aliased = bool(self.mistakes.document.aliased)
        layer = Layer(call, self._scopes[-1], aliased, node.line, node.column, written.path)
        if self.composed:
            arguments = (*call.positional, *call.keywords.values())
            self._limit_depth(layer, [each for each in arguments if isinstance(each, MODULES)], node, written.path)
        return layer

    def _read_argument(self, node: Node, path: Path) -> ModuleSpec | None:
        self.composed = True
        return self.read(node, path)

    def is_layer(self, node: Node) -> bool:
        """Tell whether a node that may be a layer is written as one."""
        if isinstance(node, ScalarNode):
            return node.text in self.catalog
        if isinstance(node, MappingNode):
            keys = node.entries.keys()
            return bool(keys & {"_target_", "class_path"}) or (
                len(keys) == 1 and self._resolve(next(iter(keys))) is not None
            )
        return False

    def _resolve(self, name: str) -> LayerSignature | Reference | str | None:
        if name not in self._targets:
            self._targets[name] = self._look_up(name)
        return self._targets[name]

    def _look_up(self, name: str) -> LayerSignature | Reference | str | None:
        short = name.rpartition(".")[2] if name.startswith(("torch.nn.", "nn.")) else name
        if short in _CONTAINERS or name in _OWN_LAYERS:
            return short
        if short in self.catalog:
            return self.catalog[short]
        return parse_reference(name, self.directory)

    def _target(self, written: WrittenLayer) -> LayerSignature | Reference | str | None:
        name = written.name.text
        target = self._resolve(name)
        problem = hint = None
        if target is None or (isinstance(target, Reference) and name.startswith(("torch.nn.", "nn."))):
            problem = f"torch.nn has no layer {name!r}"
            hint = nearest(name.rpartition(".")[2], (*self.catalog.names(), *_OWN_LAYERS))
            if name.endswith(".py"):
                hint = f"write {name}:CLASS for a class in that file"
            elif "(" in name:
                hint = f"arguments stand behind the name: {name.partition('(')[0]}: [4, 8], or {{name: value}}"
            elif written.body is not None and self.is_layer(written.body):
                hint = f"layers with names of your own stand in a mapping, without dashes: {{{name}: …}}"
            hint = hint or "a layer of your own is named by its import path: package.module.Class or file.py:Class"
        elif isinstance(target, LayerSignature) and target.lazy:
            problem = f"{name} is lazy: its shapes come from its first input, which a spec does not have"
            hint = f"write {target.name.removeprefix('Lazy')} with its input size"
        elif isinstance(target, Reference) and not self.allowance.permits(target):
            problem = f"{name} is not in torch.nn, and importing it was not allowed"
            hint = f"if you trust its code, add {self.allowance.option_for(target)}"
        if problem is not None:
            self.mistakes.add(written.name, written.path, problem, hint)
            return None
        return target

    def _call(self, target: LayerSignature | Reference | str, written: WrittenLayer) -> LayerCall | None:
        key = written.key()
        known = self._calls.get(key) if key else None
        if known is not None:
            return known
        reference = None
        if isinstance(target, Reference):
            reference = target
            self.imports = True
            try:
                target = self.signature_of(target)
            except ParamctlError as error:
                for problem in error.problems:
                    self.mistakes.add(written.name, written.path, problem.message, problem.hint)
                return None
        assert isinstance(target, LayerSignature)
        call = self._arguments.bind(target, written)
        if call is None or not self._is_buildable(call, written):
            return None
        if reference is not None:
            call = replace(call, reference=reference)
        if key and not any(isinstance(value, MODULES) for value in (*call.positional, *call.keywords.values())):
            self._calls[key] = call
        return call

    def _is_buildable(self, call: LayerCall, written: WrittenLayer) -> bool:
        """Refuse a layer of torch.nn that makes more layers inside than the limit of names allows."""
        known = call.signature.by_name
        counts = [call.arguments()[name] for name in _LAYERS_INSIDE if name in known]
        inside = max((count for count in counts if isinstance(count, int)), default=0)
        if _LEAST_PARAMETERS * inside <= MAX_NAMES:
            return True
        message = f"{inside:,} layers inside have more parameter names than the limit of {MAX_NAMES:,}"
        self.mistakes.add(written.name, written.path, message)
        return False

    def _container(self, node: Node, kind: ContainerKind, written: WrittenLayer) -> Container:
        if written.foreign:
            self._check_keys(written.keywords, ("modules",), kind, written.path)
        names, children = (None, ()) if written.body is None else self.children(written.body, written.path, kind)
        if kind == "ModuleDict" and isinstance(written.body, SequenceNode):
            self.mistakes.add(
                written.body, written.path, "a ModuleDict names its children", "write ModuleDict: {name: layer}"
            )
        if kind == "ModuleList" and names is not None:
            self.mistakes.add(node, written.path, "a ModuleList has a list of children", "for names write ModuleDict")
        return self._new_container(node, written.path, kind, (names, children))

    def _new_container(self, node: Node, path: Path, kind: ContainerKind, named: NamedChildren) -> Container:
        names, children = named
        shared = bool(self.mistakes.document.aliased)
        container = Container(kind, names, children, self._scopes[-1], shared, node.line, node.column)
        self._limit_depth(container, children, node, path)
        return container

    def _limit_depth(self, module: ModuleSpec, children: Iterable[ModuleSpec], node: Node, path: Path) -> None:
        """Refuse modules that are nested too deep: through aliases they can be, where the text is not."""
        depth = 1 + max((self._depths[id(child)][1] for child in children if id(child) in self._depths), default=0)
        self._depths[id(module)] = (module, depth)
        if depth == MAX_DEPTH + 1:  # what holds this one says no more
            self.mistakes.add(
                node, path, f"with its aliases followed, modules are nested deeper than {MAX_DEPTH} levels"
            )

    def _residual(self, node: Node, written: WrittenLayer) -> Container | None:
        body = written.body
        parts: dict[str, Container] = {}
        if isinstance(body, MappingNode):
            self._check_keys(body.entries, ("layers", "shortcut"), "Residual", written.path)
            for name, (_, value) in body.entries.items():
                read = self.required_children if name == "layers" else self.children
                below = step(written.path, name)
                parts[name] = self._new_container(value, below, "Sequential", read(value, below))
        elif body is not None:
            children = self.required_children(body, written.path)
            parts["layers"] = self._new_container(body, written.path, "Sequential", children)
        if "layers" not in parts:
            hint = "write Residual: [...] or Residual: {layers: [...], shortcut: [...]}"
            self.mistakes.add(written.name, written.path, "Residual needs layers", hint)
            return None
        shortcut = parts.get("shortcut") or self._new_container(node, written.path, "Sequential", (None, ()))
        both = (("layers", "shortcut"), (parts["layers"], shortcut))
        return self._new_container(node, written.path, "Residual", both)

    def _repeat(self, node: Node, written: WrittenLayer) -> Repeat | None:
        body = written.body
        if not isinstance(body, MappingNode):
            hint = "write Repeat: {times: 12, layers: [...]} or Repeat: {times: 12, layer: X}"
            self.mistakes.add(written.name, written.path, "Repeat needs times, and layers or a layer", hint)
            return None
        self._check_keys(body.entries, ("times", "layers", "layer"), "Repeat", written.path)
        times = self._times(body, written)
        self._last_scope += 1
        inner = self._last_scope
        self._scopes.append(inner)
        block: ModuleSpec | None = None
        if ("layers" in body.entries) == ("layer" in body.entries):
            message = "Repeat takes either layers (each copy a Sequential) or layer (each copy that module)"
            self.mistakes.add(written.name, written.path, message)
        elif "layers" in body.entries:
            layers, below = body.entries["layers"][1], step(written.path, "layers")
            block = self._new_container(layers, below, "Sequential", self.required_children(layers, below))
        else:
            block = self.read(body.entries["layer"][1], step(written.path, "layer"))
        self._scopes.pop()
        if block is None or times is None:
            return None
        shared = bool(self.mistakes.document.aliased)
        repeat = Repeat(times, block, inner, self._scopes[-1], shared, node.line, node.column)
        self._limit_depth(repeat, (block,), node, written.path)
        return repeat

    def _times(self, body: MappingNode, written: WrittenLayer) -> int | None:
        if "times" not in body.entries:
            self.mistakes.add(written.name, written.path, "Repeat needs times", "such as times: 12")
            return None
        node = body.entries["times"][1]
        times = node.value if isinstance(node, ScalarNode) else None
        path = step(written.path, "times")
        if type(times) is not int or times < 1:
            self.mistakes.add(node, path, f"times must be an integer of 1 or more, not {shown(node)}")
            return None
        if times > MAX_NAMES:
            self.mistakes.add(node, path, f"{times:,} copies are more than the limit of {MAX_NAMES:,}")
            return None
        return times

    def _check_keys(self, entries: Entries, known: tuple[str, ...], owner: str, path: Path) -> None:
        for name, (key, _) in entries.items():
            if name not in known:
                hint = nearest(name, known) or f"its keys are {', '.join(known)}"
                self.mistakes.add(key, step(path, name), f"{owner} has no key {name!r}", hint)
