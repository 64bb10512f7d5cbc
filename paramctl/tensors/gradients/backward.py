"""Forward and backward on a live model: each parameter's gradient before and after, and which module failed."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import nn

from paramctl.analysis.health import Traces
from paramctl.errors import ParamctlError, failure
from paramctl.records import Statistics
from paramctl.tensors import user_code
from paramctl.tensors.building.running import Explain, Running, modules_in
from paramctl.tensors.gradients.alike import measure_all
from paramctl.tensors.gradients.arriving import Arrivals, gradients_of
from paramctl.tensors.gradients.blame import find_origin
from paramctl.tensors.gradients.checkup import Checkup
from paramctl.tensors.gradients.graph import trace
from paramctl.tensors.gradients.held import check_kept, hold
from paramctl.tensors.gradients.ledger import Ledger, Uses
from paramctl.tensors.gradients.loss import Objective, Output, find_output
from paramctl.tensors.gradients.timeline import Timeline, recording
from paramctl.tensors.statistics import measure


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be found out besides the statistics of gradients.

    Attributes:
        values: their elements.
        hist: their histograms.
        uses: what each use of a parameter contributed.
        health: where numbers stop being finite or become zero.

    """

    values: bool = False
    hist: bool = False
    uses: bool = False
    health: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientRun:
    """What some passes left.

    Attributes:
        output_shape: the shape of the output that the loss was computed from.
        output_path: where that output stands in what the model returned; ``output`` where it is all of it.
        objective: what the loss was.
        loss: its value in the last pass.
        before: the statistics of each parameter's gradient before the first pass; None where there was none.
        after: those of each parameter's gradient after the last pass.
        norms: the norm of each parameter's gradient after each pass but the last.
        gradients: each parameter's gradient after the last pass; None where there is none or it was not asked for.
        taken: the numbers of the parameters whose gradients arrived, but were taken by hooks of the model's own.
        uses: those of each parameter; None where nobody asked.
        traces: where numbers stopped being finite or became zero; None where nobody asked.
        weights: the statistics of the parameters that have a gradient, likewise.

    """

    output_shape: tuple[int, ...]
    output_path: str
    objective: str
    loss: float
    before: Sequence[Statistics | None]
    after: Sequence[Statistics | None]
    norms: Sequence[Sequence[float | None]]
    gradients: Sequence[torch.Tensor | None]
    taken: Container[int]
    uses: Uses | None = None
    traces: Traces | None = None
    weights: Sequence[Statistics | None] | None = None


def run_passes(
    net: nn.Module,
    inputs: Sequence[Any],
    make_objective: Callable[[Output], Objective],
    *,
    passes: int,
    explain: Explain,
    keywords: Mapping[str, Any] = MappingProxyType({}),
    wants_loss: bool = False,
    wanted: Wanted = Wanted(),
    autocast: torch.dtype | None = None,
) -> GradientRun:
    """Run forward and backward `passes` times without zeroing gradients between, so that they accumulate.

    In the last pass each gradient is measured and freed as it arrives, unless its elements are wanted.

    Args:
        net: the model; what it has for gradients after the last pass is not to be relied on.
        inputs: the positional arguments of its forward, the same in every pass. Each pass gets copies of their tensors,
            since a layer may work in place.
        make_objective: makes the loss from the first output.
        passes: how often, 1 or more.
        explain: makes the error for a failure in a pass.
        keywords: the keyword arguments of its forward.
        wants_loss: whether a loss that the model returns counts as its output.
        wanted: what is to be found out besides.
        autocast: the dtype of forward's operations where precision allows it.

    Raises:
        ParamctlError: if forward or backward fails, if the model returns no tensor, or if it does not keep its
            parameters.

    """
    held = hold(net)
    parameters = held.distinct()
    earlier = gradients_of(parameters)
    before = [measure(earlier[index]) if index in earlier else None for index in range(len(parameters))]
    ledger = Ledger(net, parameters, earlier, passes=passes, with_values=wanted.values) if wanted.uses else None
    del earlier  # which would keep in memory what is freed as the last gradients arrive
    arrivals = Arrivals(parameters, keep=wanted.values, hist=wanted.hist, settle=ledger.settle if ledger else None)
    checkup = Checkup(net) if wanted.health else None
    task = _Task(net, inputs, keywords, make_objective, explain, autocast, wants_loss)
    for number in range(1, passes + 1):
        reached = _one_pass(task, _Lookers(arrivals, ledger, checkup), number, last=number == passes)
        if number < passes:
            arrivals.end_pass()
    check_kept(held, hold(net))
    arrivals.finish()
    return GradientRun(
        output_shape=tuple(reached.output.tensor.shape),
        output_path=reached.output.path,
        objective=reached.objective.described,
        loss=float(reached.loss.detach()),
        before=before,
        after=arrivals.statistics,
        norms=arrivals.norms,
        gradients=arrivals.kept,
        taken=arrivals.taken,
        uses=ledger.uses(arrivals.statistics, arrivals.kept) if ledger else None,
        traces=checkup.traces(held.first_names(_zero(parameters, arrivals.statistics))) if checkup else None,
        weights=_weights(parameters, arrivals.statistics) if checkup else None,
    )


def _zero(parameters: Sequence[nn.Parameter], statistics: Sequence[Statistics | None]) -> list[nn.Parameter]:
    """Return the parameters whose gradients are zero."""
    pairs = zip(parameters, statistics, strict=True)
    return [parameter for parameter, each in pairs if each is not None and each.norm == 0]


def _weights(parameters: Sequence[nn.Parameter], gradients: Sequence[Statistics | None]) -> list[Statistics | None]:
    present = [i for i, each in enumerate(gradients) if each is not None]
    measured: list[Statistics | None] = [None] * len(parameters)
    for i, statistics in zip(present, measure_all([parameters[i] for i in present]), strict=True):
        measured[i] = statistics
    return measured


class _Lookers(NamedTuple):
    """What looks on at a pass."""

    arrivals: Arrivals
    ledger: Ledger | None
    checkup: Checkup | None


@dataclass(frozen=True, slots=True)
class _Reached:
    """Where a forward pass ended."""

    output: Output
    objective: Objective
    loss: torch.Tensor


@dataclass(slots=True)
class _Task:
    """What runs in every pass; the loss is made from the first output."""

    net: nn.Module
    inputs: Sequence[Any]
    keywords: Mapping[str, Any]
    make_objective: Callable[[Output], Objective]
    explain: Explain
    autocast: torch.dtype | None
    wants_loss: bool
    objective: Objective | None = field(default=None, init=False)

    def forward(self) -> _Reached:
        with self._precision():
            try:
                returned = self.net(*_copied(list(self.inputs)), **_copied(dict(self.keywords)))
            except (Exception, SystemExit) as error:
                raise self.explain(list(modules_in(error)), error) from error
            output = find_output(returned, wants_loss=self.wants_loss)
            if output is None:
                given = "None" if returned is None else type(returned).__name__
                hint = "its forward returns nothing" if returned is None else None
                raise failure(f"the model returned no tensor but {given}", hint=hint)
            self.objective = self.objective or self.make_objective(output)
            taken = returned if self.objective.of_all else output.tensor
            loss = user_code.call_theirs("computing the loss", self.objective.compute, taken)
        _check_loss(loss)
        return _Reached(output, self.objective, loss)

    def _precision(self) -> AbstractContextManager[object]:
        if self.autocast is None:
            return nullcontext()
        device = next((each.device.type for each in self.net.parameters()), "cpu")
        return torch.autocast(device, self.autocast)


def _one_pass(task: _Task, lookers: _Lookers, number: int, *, last: bool) -> _Reached:
    arrivals, ledger, checkup = lookers
    looked_at = ledger is not None or checkup is not None
    state = torch.get_rng_state()
    timeline = Timeline()
    with recording(timeline, checkup) if looked_at else nullcontext():
        reached = task.forward()
    if not reached.loss.requires_grad:
        return reached
    frees = last and arrivals.frees()
    graph = trace(reached.loss) if looked_at or frees else None
    if ledger is not None and graph is not None:
        ledger.open_pass(number, graph, timeline)
    if checkup is not None and graph is not None:
        checkup.open_pass(graph, timeline)
    # Code in the graph may run a backward of its own, which adds to a gradient twice.
    inside = graph is not None and graph.runs_code
    noticing = arrivals.counted() if inside and ledger else arrivals.freed() if frees and not inside else nullcontext()
    with noticing, arrivals.seen_taken():
        try:
            reached.loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        except ParamctlError:
            raise
        except (Exception, SystemExit) as error:
            raise _failed_backward(task, error, state) from error
    if ledger is not None and inside:
        ledger.close_pass(number, arrivals.times)
    return reached


def _failed_backward(task: _Task, error: BaseException, state: torch.Tensor) -> ParamctlError:
    """Make the error for a failure in backward: the pass runs once more to see which operation it is about."""

    def again() -> torch.Tensor:
        torch.set_rng_state(state)
        return task.forward().loss

    call, operation = find_origin(again) or (None, "")
    running = [Running(each.module, ()) for each in (call.chain() if call else ())]
    return task.explain(running, error, operation)


def _copied(value: Any) -> Any:
    """Return an argument of forward with copies of the tensors in it; a class of the caller's own is left alone."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    if type(value) is dict:
        return {key: _copied(each) for key, each in value.items()}
    return type(value)(map(_copied, value)) if type(value) in {list, tuple} else value


def _check_loss(loss: object) -> None:
    if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
        got = f"a tensor of {list(loss.shape)}" if isinstance(loss, torch.Tensor) else f"a {type(loss).__name__}"
        raise failure(f"the loss is {got}, and backward needs a tensor of one element")
    if loss.is_complex():
        raise failure("the loss is a complex number, and backward needs a real one")
