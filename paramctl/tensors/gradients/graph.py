"""The graph that backward will go through: its nodes, and the edges on which gradients reach the leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch.autograd.function import BackwardCFunction
from torch.autograd.graph import Node, get_gradient_edge

from paramctl.tensors.garbage import collection_put_off

_ACCUMULATES = type(get_gradient_edge(torch.empty(0, requires_grad=True)).node)
"""The class of the nodes in which gradients arrive at leaves."""


Edge: TypeAlias = tuple[int, int]
"""What a node hands on: its index in the graph, and the position of the gradient among those that it computes."""


@dataclass(frozen=True, slots=True)
class Graph:
    """The graph of a loss.

    Attributes:
        nodes: every node but those that accumulate gradients, from the loss on.
        numbers: the number that autograd gave each of them.
        runs_code: whether one is an `autograd.Function` in Python, which may run a backward of its own.
        _first: the first edge into each leaf, by the leaf's `id()`.
        _all: all of them, where there are more.

    """

    nodes: list[Node]
    numbers: list[int]
    runs_code: bool
    _first: dict[int, Edge]
    _all: dict[int, list[Edge]]

    def edges_to(self, leaf: torch.Tensor) -> Sequence[Edge]:
        """Return the edges on which gradients reach a leaf."""
        first = self._first.get(id(leaf))
        return () if first is None else self._all.get(id(leaf)) or (first,)


NO_GRAPH = Graph([], [], runs_code=False, _first={}, _all={})
"""That of a loss that is a leaf."""


def number_of(node: Node) -> int:
    """Return the number that autograd gave a node: they rise in the order in which a thread makes its nodes."""
    number: int = node._sequence_nr()  # noqa: SLF001  torch has no public way to it
    return number


@collection_put_off()
def trace(loss: torch.Tensor) -> Graph:
    """Return the graph of a loss that requires a gradient."""
    root = get_gradient_edge(loss).node
    if isinstance(root, _ACCUMULATES):
        return NO_GRAPH
    nodes, known = [root], {root}
    first: dict[int, Edge] = {}
    every: dict[int, list[Edge]] = {}
    for index, node in enumerate(nodes):
        for position, (target, _) in enumerate(node.next_functions):
            if type(target) is _ACCUMULATES:
                leaf = id(target.variable)  # type: ignore[attr-defined]  # torch leaves it out of its stub
                if leaf in first:
                    every.setdefault(leaf, [first[leaf]]).append((index, position))
                else:
                    first[leaf] = (index, position)
            elif target is not None and target not in known:
                known.add(target)
                nodes.append(target)
    runs_code = any(issubclass(kind, BackwardCFunction) for kind in set(map(type, nodes)))
    return Graph(nodes, list(map(number_of, nodes)), runs_code=runs_code, _first=first, _all=every)
