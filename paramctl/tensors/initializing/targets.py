"""A parameter as init rules see it, and what is said of the values that they gave it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from paramctl.analysis.expectation import deviates, expected_moments
from paramctl.analysis.planning import InitTarget
from paramctl.errors import few
from paramctl.fans import FanRule
from paramctl.records import ParameterRecord, Statistics, Values
from paramctl.reports.init import UNWRITTEN, AppliedRule, InitializedParameter
from paramctl.scheme_declaration import Scheme
from paramctl.tensors.collect import module_at
from paramctl.tensors.initializing.defaults import Programs
from paramctl.tensors.initializing.drawing import Drawing
from paramctl.tensors.initializing.fans import fans_of

_NORMALIZATION = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def init_target(
    net: nn.Module, record: ParameterRecord, tensor: torch.Tensor, programs: Programs, fan: FanRule = "layer"
) -> InitTarget:
    """Describe a parameter of a model as init rules see it; of a tie, the layer of the first name tells the fans."""
    padding_row = None
    for name in record.names:
        module, _, attribute = name.rpartition(".")
        owner = module_at(net, module)
        if isinstance(owner, nn.Embedding | nn.EmbeddingBag) and attribute == "weight" and padding_row is None:
            padding_row = owner.padding_idx
        if record.owners == 1:
            break
    owner = module_at(net, record.module)
    return InitTarget(
        record=record,
        normalization=isinstance(owner, _NORMALIZATION) or type(owner).__name__.endswith("Norm"),
        padding_row=padding_row,
        has_default=programs.complete or bool(programs.of(tensor)),
        fans=fans_of(net, record.name, record.shape, fan),
        as_found=not programs.complete,
        loaded=id(tensor) in programs.loaded,
        unwritten=_unwritten(tensor, programs),
        overlaps=_overlaps(tensor),
    )


def _unwritten(tensor: torch.Tensor, programs: Programs) -> int:
    """Return how many elements a tensor's layer leaves without a value: all, where it makes them on meta."""
    if tensor.is_meta and not programs.of(tensor):
        return tensor.numel()
    return programs.unwritten.get(id(tensor), 0)


def _overlaps(tensor: torch.Tensor) -> bool:
    """Tell whether elements of a tensor may lie in one place: whether a stride is within the reach of smaller ones."""
    if tensor.layout is not torch.strided or tensor.is_contiguous():
        return False
    reach = 0
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size > 1 and stride <= reach:
            return True
        reach += (size - 1) * stride
    return False


def notes_on_untouched(drawings: Sequence[Drawing]) -> list[str]:
    """Return the notes on functions of the user's own that have changed nothing, once all is drawn."""
    given: dict[str, list[str]] = {}
    for drawing in drawings:
        for step in drawing.steps if drawing.tensor.numel() else ():
            if not isinstance(step.scheme, Scheme):
                given.setdefault(step.label, []).append(drawing.plan.target.record.name)
    untouched = Counter(label for drawing in drawings for label in drawing.untouched)
    return [
        f"{label} has changed nothing in {few(names)}: it is called with each parameter, not with a module"
        for label, names in given.items()
        if untouched[label] == len(names)
    ]


def describe_measured(drawing: Drawing, stats: Statistics | None, values: Values | None = None) -> InitializedParameter:
    """Hold the statistics of what a drawing gave against what its formulas promise."""
    target = drawing.plan.target
    record = target.record
    # Of complex elements the magnitudes are measured, and the formulas speak of the elements.
    real = not drawing.tensor.is_complex()
    expected = expected_moments(record.shape, drawing.formulas(), target.padding_row) if real else None
    return InitializedParameter(
        name=record.name,
        aliases=record.aliases,
        shape=record.shape,
        rules=tuple(
            AppliedRule(scheme=rule.label, args=rule.options, number=rule.number) for rule in drawing.plan.rules
        ),
        stats=stats,
        expected=expected,
        deviates=None if expected is None or stats is None else deviates(record, stats, expected),
        note=drawing.plan.note,
        fans=drawing.plan.used_fans,
        start=drawing.plan.start,
        unwritten=target.unwritten if drawing.plan.start in UNWRITTEN else 0,
        replaced=len(drawing.plan.rules) - len(drawing.plan.steps),
        values=values,
    )
