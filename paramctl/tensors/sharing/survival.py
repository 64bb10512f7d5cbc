"""What becomes of ties in the operations that models go through: each is tried on a small copy of the model."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Sequence
from typing import Final

from torch import nn

from paramctl.analysis.sharing import MemorySurvey
from paramctl.reports.shared import SharedGroup, Survival, Trial
from paramctl.tensors.sharing.operations import OPERATIONS, Operation, Outcome, refusal, relations
from paramctl.tensors.sharing.rehearsal import NotTriedError, small_copy

_MOST_TRIES: Final = 64
"""So often an operation is tried where it fails: one of several ties may be the reason for all."""
_NOT_TRIED: Final[Outcome] = (None, None)


def try_ties(module: nn.Module, surveyed: MemorySurvey, ties: Sequence[SharedGroup]) -> tuple[Survival, ...]:
    """Try what operations do to each tie; the module itself is only looked at.

    Args:
        module: the module, on any device, the meta device included.
        surveyed: its memory.
        ties: its groups of names that have elements in common.

    """
    if not ties:
        return ()
    outcomes = {name: _tried(operation, module, surveyed, ties) for name, operation in OPERATIONS.items()}
    return tuple(
        Survival(
            relation=tie.relation,
            names=tie.names,
            trials=tuple(
                Trial(operation=name, outcome=each[i][0], reason=each[i][1]) for name, each in outcomes.items()
            ),
        )
        for i, tie in enumerate(ties)
    )


def _tried(
    operation: Operation, module: nn.Module, surveyed: MemorySurvey, ties: Sequence[SharedGroup]
) -> Sequence[Outcome]:
    """Try an operation on copies of the model; what it raises for several ties is looked for among halves of them."""
    outcomes: list[Outcome] = [_NOT_TRIED] * len(ties)
    waiting = deque([range(len(ties))])
    for _ in range(_MOST_TRIES):
        if not waiting:
            break
        part = waiting.popleft()
        try:
            found = _attempt(operation, module, surveyed, [ties[i] for i in part])
        except Exception as error:  # noqa: BLE001  whatever an operation raises is what the user would see
            found = [_failure(error)] * len(part)
            if len(part) == len(ties) > 1 and _fails_untied(operation, module, surveyed):
                return found
            if len(part) > 1:
                outcome, reason = found[0]
                found = [(None, f"{outcome} together with other ties: {reason}" if outcome else reason)] * len(part)
                middle = len(part) // 2
                waiting += part[:middle], part[middle:]
        for i, each in zip(part, found, strict=True):
            outcomes[i] = each
    return outcomes


def _fails_untied(operation: Operation, module: nn.Module, surveyed: MemorySurvey) -> bool:
    """Tell whether an operation fails on a copy in which no tie is tried, too."""
    try:
        _attempt(operation, module, surveyed, ())
    except Exception:  # noqa: BLE001  as above
        return True
    return False


def _attempt(
    operation: Operation, module: nn.Module, surveyed: MemorySurvey, ties: Sequence[SharedGroup]
) -> Sequence[Outcome]:
    """Try an operation on a copy with these ties alone.

    Raises:
        NotTriedError: if there is no such copy.
        Exception: what the operation raises.

    """
    names = {name for tie in ties for name in tie.names}
    records = [record for record in surveyed.records if not names.isdisjoint(record.names)]

    def make_copy(device: str = "cpu") -> nn.Module:
        return small_copy(module, records, surveyed.identities, device)

    start = relations(make_copy())
    if any(start(tie) != tie.relation for tie in ties):
        raise NotTriedError("a copy of the model is not tied as the model is")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return operation(make_copy, ties)


def _failure(error: Exception) -> Outcome:
    return (None, str(error)) if isinstance(error, NotTriedError) else refusal(error)
