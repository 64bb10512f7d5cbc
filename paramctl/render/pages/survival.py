"""What operations do to ties, as a matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from paramctl.render import text
from paramctl.render.block import Block, line
from paramctl.render.cells import DIM, WRONG
from paramctl.render.table import Cell, Column, TableData
from paramctl.reports.shared import Survival, Trial

_MOST_BESIDE = 3
"""So many kinds of ties stand beside each other, which fits a narrow terminal."""
_MOST_NAMES = 4


class _Kind(NamedTuple):
    """Ties of one relation to which the same happens."""

    header: str
    ties: Sequence[Survival]


def survival_blocks(ties: Sequence[Survival]) -> Iterator[Block]:
    """Yield what becomes of ties, a column for each kind of them, then which they are and why."""
    if not ties:
        yield line("There is no tie to try.")
        return
    kinds = _kinds(ties)
    for start in range(0, len(kinds), _MOST_BESIDE):
        yield line("")
        yield _matrix(kinds[start : start + _MOST_BESIDE])
    for kind in kinds:
        if kind.header != kind.ties[0].relation:
            yield line((f"{kind.header}: {_named(kind.ties)}", DIM))
    tried = (trial for row in zip(*(tie.trials for tie in ties), strict=True) for trial in row)
    for operation, reason in dict.fromkeys((trial.operation, trial.reason) for trial in tried):
        if reason is not None:
            yield line((f"{operation}: {text.escape(reason)}", DIM))
    yield line(("tried on a small copy of the model with its own modules", DIM))


def _kinds(ties: Sequence[Survival]) -> list[_Kind]:
    alike: dict[tuple[str | None, ...], list[Survival]] = {}
    for tie in ties:
        alike.setdefault((tie.relation, *(trial.outcome for trial in tie.trials)), []).append(tie)
    several = Counter(each[0].relation for each in alike.values())
    numbers: Counter[str] = Counter()
    kinds = []
    for each in alike.values():
        relation = each[0].relation
        numbers[relation] += 1
        kinds.append(_Kind(f"{relation} {numbers[relation]}" if several[relation] > 1 else relation, each))
    return kinds


def _named(ties: Sequence[Survival]) -> str:
    names = ties[0].names
    shown = " = ".join(map(text.escape, names[:_MOST_NAMES])) + " = …" * (len(names) > _MOST_NAMES)
    return f"{shown}, and {text.counted(len(ties) - 1, 'tie')} more" if len(ties) > 1 else shown


def _matrix(kinds: Sequence[_Kind]) -> TableData:
    operations = [trial.operation for trial in kinds[0].ties[0].trials]
    outcomes = (Column(kind.header, [_outcome(trial) for trial in kind.ties[0].trials]) for kind in kinds)
    return TableData((Column("operation", operations), *outcomes))


def _outcome(trial: Trial) -> Cell:
    if trial.outcome is None:
        return (("not tried", DIM),)
    return trial.outcome if trial.outcome in {"kept", "once"} else ((trial.outcome, WRONG),)
