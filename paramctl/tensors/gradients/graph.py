"""The graph that backward will go through: its nodes, and the edges on which gradients reach the leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch.autograd.function import BackwardCFunction
from torch.autograd.graph import Node, get_gradient_edge

_ACCUMULATES = type(get_gradient_edge(torch.empty(0, requires_grad=True)).node)
"""The class of the nodes in which gradients arrive at leaves."""


Edge: TypeAlias = tuple[Node, int]
"""What a node hands on: the gradient at a position among those that it computes."""


@dataclass(frozen=True, slots=True)
class Graph:
    """The graph of a loss.

    Attributes:
        nodes: every node but those that accumulate gradients, from the loss on.
        to_leaves: the edges into each leaf, by its `id()`.

    """

    nodes: list[Node]
    to_leaves: dict[int, list[Edge]]

    @property
    def runs_code(self) -> bool:
        """Whether a node is an `autograd.Function` in Python, which may run a backward of its own."""
        return any(isinstance(node, BackwardCFunction) for node in self.nodes)


def trace(loss: torch.Tensor) -> Graph:
    """Return the graph of a loss that requires a gradient."""
    root = get_gradient_edge(loss).node
    if isinstance(root, _ACCUMULATES):
        return Graph([], {})
    nodes, known = [root], {root}
    to_leaves: dict[int, list[Edge]] = {}
    for node in nodes:
        for position, (target, _) in enumerate(node.next_functions):
            if target is None or target in known:
                continue
            if isinstance(target, _ACCUMULATES):
                to_leaves.setdefault(id(target.variable), []).append((node, position))  # type: ignore[attr-defined]  # torch leaves it out of its stub
            else:
                known.add(target)
                nodes.append(target)
    return Graph(nodes, to_leaves)
