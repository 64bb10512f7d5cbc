"""Which init rules reach which parameter, and what is left to be done once later rules overwrite earlier ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from paramctl.errors import ParamctlError, Problem, few, nearest
from paramctl.fans import Fans
from paramctl.globs import compile_glob
from paramctl.records import FLOATING_DTYPES, ParameterRecord
from paramctl.reports.init import UNWRITTEN, Start
from paramctl.rules import InitRule
from paramctl.scheme_declaration import Scheme
from paramctl.schemes import SCHEMES

_COMPARED: Final = 10_000
"""Among so many names the one that was meant is found in an instant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InitTarget:
    """A parameter as the rules see it.

    Attributes:
        record: the parameter.
        normalization: whether a normalisation layer owns it.
        padding_row: the row of an embedding that stays zero.
        has_default: whether its layer's own initialisation is known.
        fans: the fans that schemes use; None where its shape has none.
        as_found: whether it had its values before, and nothing is known of where they came from.
        loaded: whether a checkpoint gave it its values.
        unwritten: how many of its elements its layer has made and never written.
        overlaps: whether several of its elements lie in the same place in memory.

    """

    record: ParameterRecord
    normalization: bool = False
    padding_row: int | None = None
    has_default: bool = True
    fans: Fans | None = None
    as_found: bool = False
    loaded: bool = False
    unwritten: int = 0
    overlaps: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InitPlan:
    """The rules that reach one parameter, in order; `note` says why a rule for the whole model does not."""

    target: InitTarget
    rules: tuple[InitRule, ...] = ()
    note: str | None = None

    @property
    def steps(self) -> tuple[InitRule, ...]:
        """The rules that leave a trace: from the last one that overwrites everything."""
        for i in range(len(self.rules) - 1, -1, -1):
            scheme = self.rules[i].scheme
            if isinstance(scheme, Scheme) and not scheme.in_place:
                return self.rules[i:]
        return self.rules

    @property
    def overwrites(self) -> bool:
        """Whether nothing of what the parameter held before is left."""
        scheme = self.steps[0].scheme if self.steps else None
        return isinstance(scheme, Scheme) and not scheme.in_place and scheme.name != "default"

    @property
    def start(self) -> Start | None:
        """Where the values came from that the rules change or leave; None where the rules alone make them.

        What a function of the user's writes is not known: it counts as all.
        """
        steps, target = self.steps, self.target
        if self.overwrites or not all(isinstance(step.scheme, Scheme) for step in steps):
            return None
        if target.unwritten:
            return "never written" if target.unwritten == target.record.numel else "partly written"
        if steps and steps[0].label == "default":
            return None
        if target.loaded:
            return "loaded"
        return "as found" if target.as_found else "layer default"

    @property
    def used_fans(self) -> Fans | None:
        """The fans, where a scheme uses them."""
        used = any(isinstance(step.scheme, Scheme) and step.scheme.uses_fans for step in self.steps)
        return self.target.fans if used else None


_NARROWER: Final = "a narrower glob, or the scheme for the whole model, leaves such a parameter as it is"


def plan(targets: Sequence[InitTarget], rules: Iterable[InitRule]) -> tuple[list[InitPlan], list[str]]:
    """Apply the rules in order.

    Returns:
        A plan for each target, and notes on the rules that reach nothing.

    Raises:
        ParamctlError: for each parameter that an exact rule reaches but does not fit.

    """
    plans = [InitPlan(target=target) for target in targets]
    notes: list[str] = []
    problems: list[Problem] = []
    number = 0
    for given in rules:
        number += given.match is not None
        rule = replace(given, number=None if given.match is None else number)
        if rule.match is None:
            plans = [_for_whole_model(each, rule) for each in plans]
            continue
        matches = compile_glob(rule.match)
        reached = [i for i, each in enumerate(plans) if matches(each.target.record.names)]
        if not reached:
            notes.append(f"{rule.where}: {rule.match!r} matches no parameter{_meant(rule.match, targets)}")
        for i in reached:
            reason = _undefined(rule, plans[i].target)
            if reason is None:
                plans[i] = replace(plans[i], rules=(*plans[i].rules, rule), note=None)
            else:
                problems.append(_misfit(rule, plans[i].target, reason))
    if problems:
        problems[-1] = replace(problems[-1], hint=_NARROWER)
        raise ParamctlError(*problems)
    return plans, [*notes, *_notes_on_unwritten(plans)]


def _meant(match: str, targets: Sequence[InitTarget]) -> str:
    """Return what to add where a glob matches a layer, but none of the parameters in it, or is like a name."""
    below = f"{match}.*"
    matches = compile_glob(below)
    if any(matches(each.record.names) for each in targets):
        return f"; those of the layer are {below!r}"
    near = nearest(match, (each.record.name for each in targets)) if len(targets) <= _COMPARED else None
    return f"; {near}" if near else ""


def _notes_on_unwritten(plans: Iterable[InitPlan]) -> list[str]:
    """Return the note on what is used as it was allocated."""
    listed = []
    for each in plans:
        if each.start in UNWRITTEN:
            record, count = each.target.record, each.target.unwritten
            part = "" if count == record.numel else f" ({count:,} of its {record.numel:,} elements)"
            listed.append(f"{record.name}{part}")
    if not listed:
        return []
    return [f"{few(listed)}: never written by the layer; zeros here, anything elsewhere"]


def _misfit(rule: InitRule, target: InitTarget, reason: str) -> Problem:
    return Problem(message=f"{rule.label} does not fit {target.record.name}: {reason}", where=rule.where)


def _for_whole_model(current: InitPlan, rule: InitRule) -> InitPlan:
    """Follow ``--scheme``: the scheme to the weights, zeros to the biases, the rest as it is."""
    target = current.target
    if target.normalization:
        return current
    if len(target.record.shape) >= 2:
        reason = _undefined(rule, target)
        if reason is not None:
            return replace(current, note=f"{rule.label} is not defined here: {reason}")
        return replace(current, rules=(*current.rules, rule), note=None)
    if "bias" in target.record.name.rpartition(".")[2]:
        zeros = InitRule(match=None, scheme=SCHEMES["zeros"], options={}, where=rule.where)
        if _undefined(zeros, target) is None:
            return replace(current, rules=(*current.rules, zeros), note=None)
    return current


def _undefined(rule: InitRule, target: InitTarget) -> str | None:
    """Say why a rule cannot be applied to a parameter."""
    if target.overlaps:
        return "several of its elements are one in memory, as those of an expanded tensor are"
    if not isinstance(rule.scheme, Scheme):
        return None
    dtype = target.record.dtype
    if dtype not in FLOATING_DTYPES and not dtype.startswith("complex"):
        return f"it needs floating elements, and the dtype is {dtype}"
    if rule.scheme.real and dtype.startswith("complex"):
        return f"it needs real elements, and the dtype is {dtype}"
    if rule.scheme.name == "default" and not target.has_default:
        return "how its layer initialises it is not known"
    return rule.scheme.undefined_for(target.record.shape, rule.options)
