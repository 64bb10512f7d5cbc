"""Ties that the user expects -> whether they are there, and whether anything else is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from paramctl.errors import ParamctlError, Problem, failure, few, nearest
from paramctl.reports.shared import SAME_ELEMENTS, Expectation, Relation, SharedGroup, SharedReport

Tie: TypeAlias = tuple[str, ...]
"""Names that must be the very same elements of memory."""
_MOST_NAMES = 4
"""So many names of a group that should not be are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedOptions:
    """What `paramctl shared` was asked for.

    Attributes:
        by_value: equal values in different memory, too.
        survival: what operations do to each tie.
        expected: the names that must be tied.
        nothing_else: whether nothing else may be shared.

    """

    by_value: bool = False
    survival: bool = False
    expected: Sequence[Tie] = ()
    nothing_else: bool = False


def parse_tie(text: str) -> Tie:
    """Read the names of a tie as ``--expect`` takes them, ``a=b`` or more of them.

    Raises:
        ParamctlError: if there are not two names or more.

    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split("=")))
    if len(names) < 2 or not all(names):
        hint = "such as 'decoder.weight=embedding.weight'"
        raise failure(f"{text!r} names no tie of two parameters or more", where="--expect", hint=hint)
    return names


def with_expectations(report: SharedReport, options: SharedOptions, names: Iterable[str]) -> SharedReport:
    """Return a report with what was expected beside what was found; raises as `check_expectations` does."""
    checked = check_expectations(options.expected, report.groups, names, nothing_else=options.nothing_else)
    return replace(report, expectations=checked, notes=(*report.notes, *disappointments(checked)))


def check_expectations(
    ties: Sequence[Tie], groups: Sequence[SharedGroup], names: Iterable[str], *, nothing_else: bool
) -> tuple[Expectation, ...]:
    """Tell whether names are tied as they are expected to be.

    Args:
        ties: the names that must be the same elements of memory.
        groups: what the names of the model have in common.
        names: all names of the model; they are gone through only where a tie is expected.
        nothing_else: whether nothing else may be shared.

    Raises:
        ParamctlError: for every name that the model does not have.

    """
    known = dict.fromkeys(names) if ties else {}
    unknown = [
        Problem(message=f"the model has no parameter {name!r}", where="--expect", hint=nearest(name, known))
        for name in dict.fromkeys(name for tie in ties for name in tie)
        if name not in known
    ]
    if unknown:
        raise ParamctlError(*unknown)
    found = [_expectation(tie, groups) for tie in ties]
    if nothing_else:
        others = list(_unexpected(ties, groups))
        named = few([_named(group) for group in others])
        found.append(Expectation(names=(), found=None, met=not others, unexpected=len(others), named=named))
    return tuple(found)


def disappointments(expectations: Sequence[Expectation]) -> Iterator[str]:
    """Say what is not as it was expected."""
    for each in expectations:
        if not each.met and each.names:
            yield f"expected {' = '.join(each.names)}: {_instead(each.found)}"
        elif not each.met:
            groups = "1 group is" if each.unexpected == 1 else f"{each.unexpected:,} groups are"
            yield f"expected nothing {'else ' if len(expectations) > 1 else ''}to be shared: {groups}, {each.named}"


def _named(group: SharedGroup) -> str:
    first = " = ".join(group.names[:_MOST_NAMES])
    return f"{first} … ({group.relation})" if len(group.names) > _MOST_NAMES else f"{first} ({group.relation})"


def _instead(found: Relation | None) -> str:
    if found == "overlap":
        return "they have some elements in common, not all"
    if found == "same-values":
        return "they are equal values in different memory"
    return "they share nothing"


def _expectation(tie: Tie, groups: Sequence[SharedGroup]) -> Expectation:
    found = next((group.relation for group in _by_specificity(groups) if set(tie) <= set(group.names)), None)
    return Expectation(names=tie, found=found, met=found in SAME_ELEMENTS)


def _by_specificity(groups: Sequence[SharedGroup]) -> list[SharedGroup]:
    return sorted(groups, key=lambda group: group.rank)


def _unexpected(ties: Sequence[Tie], groups: Sequence[SharedGroup]) -> Iterator[SharedGroup]:
    """Yield the groups with a name that no expected tie has, or that connect several ties."""
    joined: list[set[str]] = []
    for tie in ties:
        meeting = [each for each in joined if each & set(tie)]
        joined = [each for each in joined if each not in meeting] + [set(tie).union(*meeting)]
    for group in groups:
        if not any(set(group.names) <= each for each in joined):
            yield group
