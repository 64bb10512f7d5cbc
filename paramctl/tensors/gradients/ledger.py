"""Which use contributed what to each parameter's gradient, from the edges of the graph on which it arrives.

A use is a call of an operation on a parameter. Of a parameter that is used once, the contribution is the gradient; for
every other one, the nodes that hand gradients on to it are listened to. What adds to a gradient without an edge, such
as a backward inside the backward, cannot be heard. So what was heard is held against the gradient that was left.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from paramctl.records import Statistics
from paramctl.reports.grad import Use
from paramctl.tensors.garbage import collection_put_off
from paramctl.tensors.gradients.arriving import dense
from paramctl.tensors.gradients.graph import Edge, Graph
from paramctl.tensors.gradients.timeline import Origin, Paths, Timeline
from paramctl.tensors.statistics import measure_in_turn
from paramctl.tensors.values import TensorValues

_BLOCK = 2**17
"""Elements that are multiplied at once."""
_BEFORE = "something was added to the gradient before backward: forward runs one of its own"
_ADDED = "added to the gradient that was there before"
_THREADS = "forward computes in threads of its own, and what they do cannot be told apart"
_ELSEWHERE = "an operation on it ran before forward, or in another thread, where nobody looked on"
_INSIDE = (
    "something added to the gradient by a backward of its own: a reentrant checkpoint (use_reentrant=False shows its "
    "uses), or an autograd function"
)


class Uses(NamedTuple):
    """The uses that add up to the gradients of some parameters.

    Attributes:
        of: those of each parameter; None where they cannot be told apart.
        notes: why they cannot, or what else there is to know of them, by the parameter's index.

    """

    of: Sequence[Sequence[Use] | None]
    notes: Mapping[int, str]


@dataclass(slots=True, eq=False)
class _Contribution:
    """What one use contributed in one pass; `heard` is None where nothing arrived or nobody listened."""

    origin: Origin
    call: int
    pass_number: int
    parts: int
    heard: torch.Tensor | None = None

    def hear(self, gradient: torch.Tensor) -> None:
        gradient = dense(gradient)
        self.heard = gradient if self.heard is None else self.heard + gradient


class Ledger:
    """The uses of some parameters over some passes; what is kept of a parameter stands under its index.

    Attributes:
        _before: the gradient before the first pass, where there was one.
        _only: the only use, which nobody listens to.
        _contributions: the uses otherwise.
        _unseen: why there is more in the gradient than its uses put there.
        _settled: the uses that were held against the gradient; None where they do not add up to it.
        _notes: what there is to know of those.

    """

    def __init__(
        self,
        net: nn.Module,
        parameters: Sequence[nn.Parameter],
        before: Mapping[int, torch.Tensor],
        *,
        passes: int,
        with_values: bool,
    ) -> None:
        self._paths = Paths(net)
        self._parameters = parameters
        self._several_passes = passes > 1
        self._with_values = with_values
        self._before = {index: dense(each.detach()).clone() for index, each in before.items()}
        self._only: dict[int, Origin] = {}
        self._contributions: dict[int, list[_Contribution]] = defaultdict(list)
        self._unseen: dict[int, str] = {}
        self._settled: dict[int, list[Use] | None] = {}
        self._notes: dict[int, str] = {}

    @collection_put_off()
    def open_pass(self, number: int, graph: Graph, timeline: Timeline) -> None:
        """Listen to the nodes that contribute to parameters in more than one way."""
        listening: dict[int, list[tuple[int, _Contribution]]] = defaultdict(list)
        if self._paths.hold(timeline.elsewhere) or timeline.threads_made(graph.numbers):
            self._unseen = dict.fromkeys(range(len(self._parameters)), _THREADS)
        nodes, numbers = graph.nodes, graph.numbers
        listens = self._several_passes or graph.runs_code
        for index, parameter in enumerate(self._parameters):
            if parameter.grad is not None and index not in self._before and not self._several_passes:
                self._unseen[index] = _BEFORE
            uses = _by_use(graph, parameter, timeline)
            firsts = [edges[0][0] for edges in uses]
            if uses and numbers[firsts[0]] < timeline.begun:
                self._unseen.setdefault(index, _ELSEWHERE)
            origins = [timeline.origin(nodes[first], numbers[first]) for first in firsts]
            if len(uses) == 1 and not (listens or index in self._before or _is_hooked(parameter)):
                self._only[index] = origins[0]
                continue
            for call, (origin, edges) in enumerate(zip(origins, uses, strict=True), start=1):
                contribution = _Contribution(origin, call, number, len(edges))
                self._contributions[index].append(contribution)
                for place, position in edges:
                    listening[place].append((position, contribution))
        for place, heard in listening.items():
            nodes[place].register_hook(_listener(heard))

    def close_pass(self, number: int, times: Sequence[int]) -> None:
        """Hold against the uses of a pass how often something was added to each gradient in its backward."""
        for index, arrived in enumerate(times):
            listened = (each.pass_number == number for each in self._contributions.get(index, ()))
            if arrived > (index in self._only or any(listened)):
                self._unseen[index] = _INSIDE

    def settle(self, gradients: Mapping[int, torch.Tensor]) -> None:
        """Hold what was heard against parameters' last gradients; they are not needed after that."""
        for index, given in gradients.items():
            if index in self._only:
                continue
            gradient = dense(given)
            heard = [each for each in self._contributions.pop(index, ()) if each.heard is not None]
            misfit = _misfit(heard, gradient, self._before.get(index), self._parameters[index])
            self._settled[index] = None if misfit else [self._use(each, gradient) for each in heard]
            if misfit or index in self._before:
                self._notes[index] = misfit or _ADDED

    @collection_put_off()
    def uses(self, statistics: Sequence[Statistics | None], gradients: Sequence[torch.Tensor | None]) -> Uses:
        """Return the uses of each parameter; the arguments are its last gradient, measured and, with values, kept."""
        found: list[Sequence[Use] | None] = [self._settled.get(index, []) for index in range(len(statistics))]
        for index, origin in self._only.items():
            measured = statistics[index]
            found[index] = [] if measured is None else [self._only_use(origin, measured, gradients[index])]
        for index in self._unseen:
            found[index] = None
        return Uses(found, {**self._notes, **self._unseen})

    def _use(self, contribution: _Contribution, total: torch.Tensor) -> Use:
        heard = contribution.heard
        assert heard is not None, "what was not heard is no use"
        call, operation = contribution.origin
        measured = measure_in_turn(heard)
        scale = math.sqrt(_dot(heard, heard)) * math.sqrt(_dot(total, total))
        return Use(
            module=None if call is None else self._paths.of(call),
            op=operation,
            call=contribution.call,
            pass_number=contribution.pass_number,
            norm=measured.norm,
            cosine=_dot(heard, total) / scale if math.isfinite(scale) and scale > 0 else None,
            nan=measured.nan,
            inf=measured.inf,
            values=TensorValues(heard) if self._with_values else None,
        )

    def _only_use(self, origin: Origin, measured: Statistics, gradient: torch.Tensor | None) -> Use:
        call, operation = origin
        module = None if call is None else self._paths.of(call)
        norm, nan, inf = measured.norm, measured.nan, measured.inf
        cosine = 1.0 if norm > 0 and not (nan or inf) else None
        values = TensorValues(gradient) if self._with_values and gradient is not None else None
        return Use(module, operation, 1, 1, norm, cosine, nan, inf, values)


def _by_use(graph: Graph, parameter: nn.Parameter, timeline: Timeline) -> Sequence[Sequence[Edge]]:
    """Group the edges to a parameter by the operation that made their nodes, in the order of forward."""
    edges = graph.edges_to(parameter)
    if len(edges) == 1:
        return [edges]
    grouped: dict[tuple[bool, int], list[Edge]] = defaultdict(list)
    for node, position in sorted(edges, key=lambda edge: graph.numbers[edge[0]]):
        number = graph.numbers[node]
        operation = timeline.operation_at(number)
        grouped[operation is None, number if operation is None else operation].append((node, position))
    return list(grouped.values())


def _listener(heard: Sequence[tuple[int, _Contribution]]) -> Callable[..., None]:
    def listen(gradients: Sequence[torch.Tensor | None], _: object) -> None:
        for position, contribution in heard:
            gradient = gradients[position]
            if gradient is not None:
                contribution.hear(gradient)

    return listen


def _misfit(
    heard: Sequence[_Contribution], gradient: torch.Tensor, before: torch.Tensor | None, parameter: nn.Parameter
) -> str | None:
    """Say why contributions do not add up to a gradient; None where they do, to the precision of its dtype.

    The sum of n numbers is off by at most (n - 1) ε Σ|x| (Higham 2002, Accuracy and Stability, 4.2), in backward's
    order as in this one.
    """
    parts = [each.heard for each in heard if each.heard is not None] + ([] if before is None else [before])
    total = torch.zeros_like(gradient)
    for part in parts:
        total = total + part
    off = torch.where(gradient.isfinite() | total.isfinite(), total - gradient, 0)
    summed = 2 * (len(heard) + sum(each.parts for each in heard))
    allowed = summed * torch.finfo(gradient.dtype).eps * sum(math.sqrt(_dot(part, part)) for part in parts)
    if not math.sqrt(_dot(off, off)) > allowed:
        return None
    if parameter._backward_hooks:  # noqa: SLF001  as below
        return "a hook on the parameter changes its gradient"
    if not heard and before is None:
        return "no operation on it was seen: it is the loss itself, or something writes to its gradient"
    norms = (measure_in_turn(each).norm for each in (total, gradient))
    return "what its uses contributed has the norm {:.3g}, and its gradient {:.3g}: something else changes it".format(
        *norms
    )


def _is_hooked(parameter: nn.Parameter) -> bool:
    """Tell whether code of the user's own may change a parameter's gradient as it arrives."""
    return bool(parameter._backward_hooks or parameter._post_accumulate_grad_hooks)  # noqa: SLF001  torch has no public way to tell


def _dot(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the inner product of two tensors, the real part of it for complex ones; NaN where either holds one."""
    wide = torch.complex128 if one.is_complex() else torch.float64
    blocks = (torch.split(each.reshape(-1), _BLOCK) for each in (one, other))
    pairs = zip(*blocks, strict=True)
    return math.fsum(torch.vdot(a.to(wide), b.to(wide)).real.item() for a, b in pairs)
