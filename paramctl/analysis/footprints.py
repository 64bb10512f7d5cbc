"""The bytes that strided tensors touch: exactly which, how many together, and who touches the same."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from math import prod
from typing import NamedTuple, TypeAlias

from paramctl.analysis.effort import Effort
from paramctl.records import Shape, StorageSpan

Steps: TypeAlias = tuple[tuple[int, int], ...]
"""How often, and at which distance in bytes, something is repeated; the smallest distance first."""

_FREE = 8
"""So many pieces for each footprint are not counted."""


class Footprint(NamedTuple):
    """The bytes of a tensor: one at `start`, repeated by each of the steps in turn.

    Attributes:
        start: the first byte.
        steps: the repetitions in their normal form: none of 1, and none that another one could include.
    """

    start: int
    steps: Steps

    @property
    def end(self) -> int:
        """The byte behind the last one."""
        return self.start + _extent(self.steps)

    @property
    def is_simple(self) -> bool:
        """Whether no byte is reached in two ways; then equal bytes mean equal footprints."""
        return all(distance >= _extent(self.steps[:i]) for i, (_, distance) in enumerate(self.steps))


def footprint_of(shape: Shape, span: StorageSpan) -> Footprint | None:
    """Return the bytes of a tensor in its storage; None where it has no elements."""
    if 0 in shape:
        return None
    pairs = [(size, stride * span.itemsize) for size, stride in zip(shape, span.strides, strict=True)]
    return Footprint(span.base + span.offset * span.itemsize, _normal([(span.itemsize, 1), *pairs]))


def _normal(steps: Iterable[tuple[int, int]]) -> Steps:
    """Bring steps into their normal form.

    What is repeated at a multiple of a smaller distance that reaches as far is no more than a longer run of that one:
    so a contiguous tensor is one step, whatever its shape.
    """
    merged: list[tuple[int, int]] = []
    for count, distance in sorted(steps, key=lambda step: step[1]):
        if count == 1 or distance == 0:
            continue
        if merged:
            inner, unit = merged[-1]
            times, rest = divmod(distance, unit)
            if rest == 0 and times <= inner:
                merged[-1] = (inner + (count - 1) * times, unit)
                continue
        merged.append((count, distance))
    return tuple(merged)


def _extent(steps: Steps) -> int:
    """Return the bytes from the first to the last, both included."""
    return 1 + sum([(count - 1) * distance for count, distance in steps])


class _Piece(NamedTuple):
    """Bytes without those that are reached twice, and whose they are."""

    start: int
    steps: Steps
    owner: int

    @property
    def end(self) -> int:
        return self.start + _extent(self.steps)


class Coverage(NamedTuple):
    """What footprints touch together.

    Attributes:
        nbytes: the bytes that at least one of them touches.
        components: their numbers, those together that are connected by bytes in common; in order.
    """

    nbytes: int
    components: list[list[int]]


def cover(footprints: Sequence[Footprint], effort: Effort) -> Coverage:
    """Tell how many bytes footprints of one storage touch, and which of them touch the same.

    Pieces that lie apart are told by their extents. What is left is cut into rows of the largest distance among them:
    within a row there is one step less, and equal rows are looked at once.

    Args:
        footprints: the footprints.
        effort: what pieces are taken from, besides a few for each footprint.

    Raises:
        TooIrregularError: if that takes more pieces than are left.

    """
    counting = _Counting(len(footprints), effort)
    pieces = [piece for i, footprint in enumerate(footprints) for piece in counting.simple(footprint, i)]
    nbytes = counting.count(pieces)
    return Coverage(nbytes, counting.components())


class _Counting:
    """One question: the pieces that are free, and what was found to be connected."""

    def __init__(self, owners: int, effort: Effort) -> None:
        self.free = _FREE * owners
        self.effort = effort
        self.parents = list(range(owners))
        self.known: dict[Hashable, int] = {}

    def spend(self, pieces: int) -> None:
        self.free -= pieces
        if self.free < 0:
            self.effort.spend(-self.free)
            self.free = 0

    def root(self, owner: int) -> int:
        while self.parents[owner] != owner:
            self.parents[owner] = self.parents[self.parents[owner]]
            owner = self.parents[owner]
        return owner

    def connect(self, pieces: Sequence[_Piece]) -> None:
        first = self.root(pieces[0].owner)
        for piece in pieces:
            self.parents[self.root(piece.owner)] = first

    def components(self) -> list[list[int]]:
        found: dict[int, list[int]] = {}
        for owner in range(len(self.parents)):
            found.setdefault(self.root(owner), []).append(owner)
        return list(found.values())

    def simple(self, footprint: Footprint, owner: int) -> Iterator[_Piece]:
        """Yield pieces in which no byte is reached twice, by taking the steps apart that reach back."""
        self.spend(1)
        start, steps = footprint
        inner = 1
        for i, (count, distance) in enumerate(steps):
            if distance < inner:
                rest = steps[:i] + steps[i + 1 :]
                for k in range(count):
                    yield from self.simple(Footprint(start + k * distance, rest), owner)
                return
            inner += (count - 1) * distance
        yield _Piece(start, steps, owner)

    def count(self, pieces: list[_Piece]) -> int:
        """Return the bytes of pieces, and connect the owners of those that meet."""
        self.spend(len(pieces))
        total = 0
        for cluster in _clusters(pieces):
            first = cluster[0]
            same = all(each.start == first.start and each.steps == first.steps for each in cluster)
            if same or all(_is_run(each.steps) for each in cluster):
                # Runs that their extents connect have bytes in common.
                self.connect(cluster)
                total += prod(count for count, _ in first.steps) if same else max(p.end for p in cluster) - first.start
            else:
                total += self.by_rows(cluster)
        return total

    def by_rows(self, cluster: list[_Piece]) -> int:
        """Return the bytes of pieces, cut into rows of the largest distance among them."""
        length = max(piece.steps[-1][1] for piece in cluster if piece.steps)
        begins: dict[int, list[int]] = {}
        ends: dict[int, list[int]] = {}
        rows: list[_Piece] = []
        for piece in cluster:
            for first, behind, inner in self.rows_of(piece, length):
                begins.setdefault(first, []).append(len(rows))
                ends.setdefault(behind, []).append(len(rows))
                rows.append(inner)
        total, above = 0, 0
        current: dict[int, _Piece] = {}
        for row in sorted(begins.keys() | ends.keys()):
            if current:
                total += (row - above) * self.count_row(tuple(current.values()))
            for i in ends.get(row, ()):
                del current[i]
            for i in begins.get(row, ()):
                current[i] = rows[i]
            above = row
        return total

    def count_row(self, pieces: tuple[_Piece, ...]) -> int:
        if len(pieces) == 1:
            return prod(count for count, _ in pieces[0].steps)
        if pieces not in self.known:
            self.known[pieces] = self.count(list(pieces))
        return self.known[pieces]

    def rows_of(self, piece: _Piece, length: int) -> Iterator[tuple[int, int, _Piece]]:
        """Yield the rows that a piece lies in, as the first and the one behind the last, with what it is in each."""
        start, steps, owner = piece
        if steps and steps[-1][1] == length:
            row, column = divmod(start, length)
            for shift, inner in self.in_rows(_Piece(column, steps[:-1], owner), length):
                yield row + shift, row + shift + steps[-1][0], inner
        elif _is_run(steps) and piece.end > start + 2 * length:
            row, column = divmod(start, length)
            last, rest = divmod(piece.end, length)
            head = length - column if column else 0
            if head:
                yield row, row + 1, _Piece(column, ((head, 1),), owner)
            yield row + bool(head), last, _Piece(0, ((length, 1),), owner)
            if rest:
                yield last, last + 1, _Piece(0, ((rest, 1),), owner)
        else:
            for row, inner in self.in_rows(piece, length):
                yield row, row + 1, inner

    def in_rows(self, piece: _Piece, length: int) -> Iterator[tuple[int, _Piece]]:
        """Yield the rows that a piece lies in, one by one, with what it is in each."""
        pending = [piece]
        while pending:
            self.spend(1)
            each = pending.pop()
            row = each.start // length
            if each.end <= (row + 1) * length:
                yield row, each._replace(start=each.start - row * length)
            else:
                pending += _cut(each, (row + 1) * length)


def _is_run(steps: Steps) -> bool:
    return len(steps) == 0 or (len(steps) == 1 and steps[0][1] == 1)


def _clusters(pieces: list[_Piece]) -> Iterator[list[_Piece]]:
    """Yield the pieces whose extents meet."""
    pieces.sort()
    cluster: list[_Piece] = []
    end = 0
    for piece in pieces:
        if cluster and piece.start >= end:
            yield cluster
            cluster = []
        cluster.append(piece)
        end = max(end, piece.end) if len(cluster) > 1 else piece.end
    if cluster:
        yield cluster


def _cut(piece: _Piece, at: int) -> Iterator[_Piece]:
    """Yield what of a piece lies before a byte, and what behind; the byte must lie within its extent."""
    start, steps, owner = piece
    *others, (count, distance) = steps
    inner = tuple(others)
    before = min(max((at - _extent(inner) - start) // distance + 1, 0), count)
    if before:
        yield _Piece(start, _repeated(inner, before, distance), owner)
    middle = start + before * distance
    if before < count and middle < at:
        yield from _cut(_Piece(middle, inner, owner), at)
        before, middle = before + 1, middle + distance
    if before < count:
        yield _Piece(middle, _repeated(inner, count - before, distance), owner)


def _repeated(inner: Steps, count: int, distance: int) -> Steps:
    return (*inner, (count, distance)) if count > 1 else inner
