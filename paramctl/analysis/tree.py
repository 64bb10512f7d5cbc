"""Records -> the tree of modules, with runs of structurally equal siblings folded into one node."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from paramctl.records import ModuleRecord, ParameterRecord
from paramctl.reports.listing import TreeNode


@dataclass(slots=True)
class _Module:
    """A module while the tree is built; `structure` tells equal ones apart from others."""

    record: ModuleRecord
    name: str
    tensors: list[ParameterRecord] = field(default_factory=list)
    tied: list[str] = field(default_factory=list)
    children: list[_Module] = field(default_factory=list)
    structure: int = 0
    numel: int = 0
    nbytes: int = 0


_MOST_NAMES = 5
"""How many names that are no range a folded run shows; of more, the first two and the last."""
_LONGEST_INDEX = 18


def build_tree(modules: Sequence[ModuleRecord], records: Iterable[ParameterRecord]) -> TreeNode:
    """Return the tree of a model, or of one of its layers where modules and records are named from there.

    Each tensor is counted once, in the module of its first name.
    """
    nodes = {module.path: _Module(module, module.path.rpartition(".")[2]) for module in modules}
    for path, node in nodes.items():
        if path:
            nodes[path.rpartition(".")[0]].children.append(node)
    for record in records:
        nodes[record.module].tensors.append(record)
        for alias in record.aliases:
            owner = nodes[alias.rpartition(".")[0]]
            if owner.record.same_as is None:
                owner.tied.append(record.name)
    structures: dict[Hashable, int] = {}
    for path in reversed(list(nodes)):
        _complete(nodes[path], structures)
    return _folded([nodes[""]], 1)


def _complete(node: _Module, structures: dict[Hashable, int]) -> None:
    """Sum up a node whose children are complete, and number its structure: equal numbers for equal structures."""
    node.numel = sum(tensor.numel for tensor in node.tensors) + sum(child.numel for child in node.children)
    node.nbytes = sum(tensor.nbytes for tensor in node.tensors) + sum(child.nbytes for child in node.children)
    structure = (
        node.record.type_name,
        node.record.same_as,
        tuple(_tensor_structure(tensor) for tensor in node.tensors),
        tuple(node.tied),
        tuple((child.name, child.structure) for child in node.children),
    )
    node.structure = structures.setdefault(structure, len(structures))


def _tensor_structure(tensor: ParameterRecord) -> Hashable:
    attribute = tensor.name.rpartition(".")[2]
    return attribute, tensor.kind, tensor.shape, tensor.dtype, tensor.requires_grad, bool(tensor.aliases)


def _folded(run: Sequence[_Module], outer: int) -> TreeNode:
    """Return the node of a run of equal siblings, or of one module, which stands in each of `outer` equal modules."""
    first = run[0]
    count = outer * len(run)
    runs = (list(group) for _, group in groupby(first.children, key=_run_key))
    return TreeNode(
        name=_run_name([module.name for module in run]),
        path=first.record.path,
        type_name=first.record.type_name,
        count=count,
        numel=first.numel * count,
        nbytes=first.nbytes * count,
        same_as=first.record.same_as,
        tensors=tuple(first.tensors),
        tied=tuple(first.tied),
        children=tuple(_folded(each, count) for each in runs),
    )


def _run_key(module: _Module) -> Hashable:
    """Return what consecutive modules of a run have in common; one that has a name of its own stands alone."""
    return module.structure if _is_index(module.name) else module.name


def _is_index(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) <= _LONGEST_INDEX


def _run_name(names: Sequence[str]) -> str:
    """Name a run: ``[0-11]`` where its names count on by one, else one by one: ``[0,2,4]``, ``[0,2,…,12]``."""
    first, *others = names
    if not others:
        return first
    indexes = [int(name) for name in names]
    if indexes == list(range(indexes[0], indexes[0] + len(indexes))):
        return f"[{first}-{others[-1]}]"
    shown = names if len(names) <= _MOST_NAMES else [*names[:2], "…", names[-1]]
    return f"[{','.join(shown)}]"
