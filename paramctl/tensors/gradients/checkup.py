"""Where numbers stop being finite, in forward and in backward, and where backward lets nothing through."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch import nn
from torch.autograd.graph import Node

from paramctl.analysis.health import Traces
from paramctl.reports.health import INPUT, Place
from paramctl.tensors.gradients.contents import tensors_in
from paramctl.tensors.gradients.glances import Glance, glance
from paramctl.tensors.gradients.graph import NO_GRAPH, Graph, number_of
from paramctl.tensors.gradients.timeline import ModuleCall, Paths, Timeline, Watch, name_of


class Checkup(Watch):
    """Looks at what modules return in every pass, and at what every node hands on in the last one."""

    def __init__(self, net: nn.Module) -> None:
        self._paths = Paths(net)
        self._forward: Place | None = None
        self._backward: Place | None = None
        self._graph = NO_GRAPH
        self._timeline = Timeline()
        self._in_threads = False
        self._silent: set[Node] = set()
        self._blocking: set[Node] = set()

    def entered(self, call: ModuleCall, inputs: object) -> None:
        """Look for NaN in what a module is given: then it comes from the code of the module that calls it."""
        if self._forward is None and any(each.has_nan for each in _glances(inputs)):
            self._forward = INPUT if call.caller is None else Place(self._paths.of(call.caller))

    def left(self, call: ModuleCall, output: Any) -> None:
        """Look for what is not finite in what a module returns."""
        if self._forward is None and not all(each.is_finite for each in _glances(output)):
            self._forward = Place(self._paths.of(call))

    def open_pass(self, graph: Graph, timeline: Timeline) -> None:
        """Look at what each node of a graph hands on."""
        self._graph, self._timeline = graph, timeline
        self._in_threads = self._paths.hold(timeline.elsewhere) or timeline.threads_made(graph.numbers)
        self._silent, self._blocking = set(), set()
        for node in graph.nodes:
            node.register_hook(self._looking(node))

    def traces(self, parameters: Mapping[str, nn.Parameter]) -> Traces:
        """Return what was seen; `parameters` are those whose gradients are zero, by name."""
        callers: dict[Node, list[Node]] = defaultdict(list)
        for node in self._graph.nodes:
            for target, _ in node.next_functions:
                if target is not None:
                    callers[target].append(node)
        killers = {
            name: tuple(dict.fromkeys(self._place(each) for each in self._killers(parameter, callers)))
            for name, parameter in parameters.items()
        }
        return Traces(forward=self._forward, backward=self._backward, killers=killers)

    def _looking(self, node: Node) -> Callable[..., None]:
        def look(handed: object, given: object) -> None:
            seen = list(_glances(handed))
            if self._backward is None and not all(each.is_finite for each in seen):
                self._backward = self._place(node)
            if any(each.is_zero for each in seen):
                silent = all(each.is_zero for each in _glances(given))
                (self._silent if silent else self._blocking).add(node)

        return look

    def _killers(self, parameter: nn.Parameter, callers: Mapping[Node, Sequence[Node]]) -> Iterator[Node]:
        """Yield the nodes at which the gradients on their way to a parameter became zero."""
        waiting = [self._graph.nodes[index] for index, _ in self._graph.edges_to(parameter)]
        known = set(waiting)
        for node in waiting:
            if node in self._blocking:
                yield self._below(node)
            elif node in self._silent:
                above = [each for each in callers[node] if each not in known]
                known.update(above)
                waiting += above

    def _below(self, node: Node) -> Node:
        """Return what made a factor zero: of a product's nodes the one that blocks what the other factor comes from."""
        waiting = deque(target for target, _ in node.next_functions if target is not None)
        known = set(waiting)
        while waiting:
            each = waiting.popleft()
            if each in self._blocking:
                return each
            if each in self._silent:
                continue
            targets = [target for target, _ in each.next_functions if target is not None and target not in known]
            known.update(targets)
            waiting.extend(targets)
        return node

    def _place(self, node: Node) -> Place:
        if self._in_threads:
            return Place(None, name_of(node), is_known=False)
        call, operation = self._timeline.origin(node, number_of(node))
        return Place(None if call is None else self._paths.of(call), operation)


def _glances(value: Any) -> Iterator[Glance]:
    """Look at the tensors in what a module takes or returns."""
    seen = (glance(tensor) for tensor, _ in tensors_in(value))
    return (each for each in seen if each is not None)
