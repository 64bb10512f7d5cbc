"""Spec -> `nn.Sequential`, on the meta device: what needs values gets them afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import nn

from paramctl.errors import failure, nearest
from paramctl.globs import compile_glob
from paramctl.spec.layers import MAX_NAMES
from paramctl.spec.model import Container, Layer, Located, ModuleSpec, Repeat, Spec
from paramctl.tensors import streams
from paramctl.tensors.construct import CONTAINERS, check_child_names, construct, initialization
from paramctl.tensors.defaults import Programs, record_programs
from paramctl.tensors.memory import ensure_fits

MODULE_BYTES = 4096
"""What a module object with two parameters takes, on the meta device; measured."""


@dataclass(slots=True, kw_only=True)
class BuiltModel:
    """A built spec.

    Attributes:
        net: the model.
        origins: each module with the node of the spec that it came from.
        programs: what the layers of torch.nn write into their tensors by themselves; empty where nobody asked.
        notes: what the user should know.

    """

    net: nn.Sequential
    origins: list[tuple[nn.Module, ModuleSpec]]
    programs: Programs
    notes: list[str]


def build(spec: Spec, *, dtype: str | None = None, seed: int | None = None) -> BuiltModel:
    """Build the model of a spec on the meta device, tied and frozen as the spec says.

    Args:
        spec: the spec.
        dtype: what floating parameters are made as, instead of what the spec says.
        seed: given where the model will get values: layers of the user's own are built on the CPU, each under the
            stream of this seed and its path, since their constructors alone know their values.

    Raises:
        ParamctlError: if a constructor fails, a name does not exist, or a limit is passed.

    """
    ensure_fits(count_modules(spec.root) * MODULE_BYTES, "the modules of this spec")
    builder = _Builder(spec, dtype or spec.dtype, seed)
    with initialization(enabled=False):
        net = builder.module(spec.root, "")
    assert isinstance(net, nn.Sequential), "the root of a spec is a Sequential"
    check_name_count(count_names(net), spec.source)
    programs = Programs({}, complete=True)
    if seed is not None:
        torch_layers = [
            module for module, node in builder.origins if isinstance(node, Layer) and node.call.reference is None
        ]
        programs = record_programs(*torch_layers, complete=True)
    for names in spec.ties:
        tie(net, names)
    notes = [note for glob in spec.freeze if (note := freeze(net, glob))]
    return BuiltModel(net=net, origins=builder.origins, programs=programs, notes=notes)


def count_modules(module: ModuleSpec) -> int:
    """Count the module objects that a part of a spec makes: each copy of a `Repeat`, an alias not again."""
    seen: set[int] = set()

    def count(node: ModuleSpec) -> int:
        if node.shared:
            if id(node) in seen:
                return 0
            seen.add(id(node))
        if isinstance(node, Layer):
            return 1
        if isinstance(node, Repeat):
            return 1 + node.times * count(node.body)
        return 1 + sum(map(count, node.children))

    return count(module)


def count_names(root: nn.Module) -> int:
    """Count the names of all parameters, that of a module under each of its places, without listing them."""
    counts: dict[int, int] = {}

    def count(module: nn.Module) -> int:
        if id(module) not in counts:
            own = sum(1 for _ in module.named_parameters(recurse=False, remove_duplicate=False))
            counts[id(module)] = own + sum(count(child) for _, child in _every_child(module))
        return counts[id(module)]

    return count(root)


def _every_child(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield a module's children, one that stands under several names as often."""
    held = module._modules.items()  # noqa: SLF001  named_children() leaves repetitions out
    return ((name, child) for name, child in held if child is not None)


def check_name_count(count: int, source: str) -> None:
    """Refuse a model with more names than `MAX_NAMES`.

    Raises:
        ParamctlError: with both numbers.

    """
    if count > MAX_NAMES:
        hint = "Repeat and every alias count"
        raise failure(
            f"the model has {count:,} parameter names, more than the limit of {MAX_NAMES:,}", where=source, hint=hint
        )


def tie(net: nn.Module, names: tuple[Located, ...]) -> None:
    """Make several names refer to one Parameter, that of the first name.

    Raises:
        ParamctlError: if a name does not exist, or if the shapes or dtypes differ.

    """
    first, *others = names
    kept = _parameter(net, first)
    for other in others:
        replaced = _parameter(net, other)
        for what, one, two in (
            ("shape", list(kept.shape), list(replaced.shape)),
            ("dtype", kept.dtype, replaced.dtype),
        ):
            if one != two:
                raise failure(
                    f"cannot tie {other.text} to {first.text}: their {what}s differ, {two} and {one}", where=other.where
                )
        module, _, attribute = other.text.rpartition(".")
        setattr(net.get_submodule(module), attribute, kept)


def freeze(net: nn.Module, glob: Located) -> str | None:
    """Let no gradient reach the parameters that a glob matches by any name; say so if there is none."""
    matches = compile_glob(glob.text)
    frozen = [parameter for name, parameter in net.named_parameters(remove_duplicate=False) if matches((name,))]
    for parameter in frozen:
        parameter.requires_grad_(False)
    return None if frozen else unmatched_freeze(glob)


def unmatched_freeze(glob: Located) -> str:
    """Return the note that a glob of `freeze` reaches nothing."""
    return f"{glob.where}: freeze: {glob.text!r} matches no parameter"


def _parameter(net: nn.Module, name: Located) -> nn.Parameter:
    known = dict(net.named_parameters(remove_duplicate=False))
    if name.text not in known:
        raise failure(f"there is no parameter {name.text!r} to tie", where=name.where, hint=nearest(name.text, known))
    return known[name.text]


@dataclass(slots=True)
class _Builder:
    spec: Spec
    dtype: str | None
    seed: int | None
    origins: list[tuple[nn.Module, ModuleSpec]] = field(default_factory=list)
    instances: dict[int, dict[int, nn.Module]] = field(default_factory=lambda: {0: {}})

    def module(self, node: ModuleSpec, path: str) -> nn.Module:
        """Build a module, or return the one that the same node gave before in the same copy of its Repeat."""
        if node.shared and id(node) in self.instances[node.scope]:
            return self.instances[node.scope][id(node)]
        if isinstance(node, Layer):
            module = self.layer(node, path)
        elif isinstance(node, Repeat):
            module = nn.Sequential(*(self.copy(node, _join(path, str(i))) for i in range(node.times)))
        else:
            module = self.container(node, path)
        self.origins.append((module, node))
        if node.shared:
            self.instances[node.scope][id(node)] = module
        return module

    def container(self, node: Container, path: str) -> nn.Module:
        check_child_names(node, self.spec.position(node))
        named = zip(node.child_names(), node.children, strict=True)
        children = {name: self.module(child, _join(path, name)) for name, child in named}
        if node.kind == "Residual":
            return CONTAINERS["Residual"](**children)
        container = CONTAINERS[node.kind]()
        for name, child in children.items():
            container.add_module(name, child)
        return container

    def copy(self, node: Repeat, path: str) -> nn.Module:
        self.instances[node.inner_scope] = {}
        return self.module(node.body, path)

    def layer(self, node: Layer, path: str) -> nn.Module:
        def argument(inner: ModuleSpec) -> nn.Module:
            return self.module(inner, path)

        where = self.spec.position(node)
        if node.call.reference is None or self.seed is None:
            return construct(node, where, device="meta", dtype=self.dtype, build=argument)
        with initialization(enabled=True), streams.global_stream(self.seed, path):
            return construct(node, where, device="cpu", dtype=self.dtype, build=argument)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
