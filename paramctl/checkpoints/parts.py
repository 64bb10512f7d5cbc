"""Parts of a tensor -> whether any two of them hold the same element."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Final, TypeAlias

from paramctl.records import Shape

Part: TypeAlias = tuple[Shape, Shape]
"""The place of a part in its tensor, and its sizes."""

_MOST_COMPARED: Final = 300
"""So many parts that no cut goes between are compared with each other; a mesh of processes always leaves cuts."""
_MOST_SORTED: Final = 20_000_000
"""So many parts, counted as often as they are sorted, are cut apart; a million of a mesh are cut at once."""


def overlap(parts: Sequence[Part]) -> bool:
    """Tell whether any two parts have an element in common, or so many are entangled that it is not worked out.

    Parts are cut apart along one dimension after the other, until none is left with others.
    """
    pending = [([part for part in parts if 0 not in part[1]], 0, 0)]
    looked_at = 0
    while pending:
        together, dimension, uncut = pending.pop()
        looked_at += len(together)
        if len(together) < 2:
            continue
        dimensions = len(together[0][0])
        if looked_at > _MOST_SORTED:
            return True
        if uncut == dimensions:
            if len(together) > _MOST_COMPARED or any(_meet(a, b) for a, b in combinations(together, 2)):
                return True
            continue
        groups = list(_cut(together, dimension))
        uncut = uncut + 1 if len(groups) == 1 else 0
        pending += [(group, (dimension + 1) % dimensions, uncut) for group in groups]
    return False


def _cut(parts: list[Part], dimension: int) -> Iterator[list[Part]]:
    """Yield the parts between two cuts that go through no part, across one dimension."""
    group: list[Part] = []
    reached = 0
    for part in sorted(parts, key=lambda part: part[0][dimension]):
        at, size = part[0][dimension], part[1][dimension]
        if group and at >= reached:
            yield group
            group = []
        group.append(part)
        reached = max(reached, at + size)
    yield group


def _meet(one: Part, other: Part) -> bool:
    return all(
        at < other_at + other_size and other_at < at + size
        for at, size, other_at, other_size in zip(*one, *other, strict=True)
    )
