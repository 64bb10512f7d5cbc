"""The one error that the command line catches: what is wrong, where it stands, and what would be right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a text: the file as the user named it, line and column counted from 1."""

    source: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake.

    Attributes:
        message: what is wrong, naming the layer, parameter or argument.
        where: the position in a file, or the option of the command line; None where there is neither.
        path: the place in the spec's structure, such as ``layers[2].Linear.in_features``.
        hint: what would be right.

    """

    message: str
    where: Position | str | None = None
    path: str | None = None
    hint: str | None = None

    def __str__(self) -> str:
        place = "".join(f"{part}: " for part in (self.where, self.path) if part)
        hint = f"\n  hint: {self.hint}" if self.hint else ""
        return f"{place}{self.message}{hint}"


class ParamctlError(Exception):
    """The user's input cannot be served; holds one problem or more.

    Everything else that is raised is a bug of paramctl.
    """

    def __init__(self, *problems: Problem) -> None:
        """Hold the problems, of which there must be at least one."""
        assert problems, "an error without a problem says nothing"
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


class Terminated(BaseException):
    """A signal asks the process to end; no `SystemExit`, which code of the user's own might take for its own."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def failure(
    message: str, *, where: Position | str | None = None, path: str | None = None, hint: str | None = None
) -> ParamctlError:
    """Make the error that holds one problem."""
    return ParamctlError(Problem(message=message, where=where, path=path, hint=hint))


def located(error: ParamctlError, where: Position | str | None) -> ParamctlError:
    """Return the error with a place for the problems that have none."""
    return ParamctlError(*(replace(each, where=each.where or where) for each in error.problems))


_LEAST_BEGINNING = 4
"""How long a name must be for those that begin with it to be suggested."""
_LEAST_LIKENESS = 0.65
_LIKENESS_BEHIND_THE_BEST = 0.08
"""How like a name must be to be suggested, from 0 to 1, and how much less than the best one."""


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """Return the hint that names the candidates most like `name`, or None where none is near."""
    folded = {candidate.lower(): candidate for candidate in candidates}
    if name.lower() in folded:
        return f"did you mean {folded[name.lower()]!r}?"
    from difflib import SequenceMatcher, get_close_matches  # needed by mistakes only, and it takes 3 ms

    begun = [each for each in folded if len(name) >= _LEAST_BEGINNING and each.startswith(name.lower())]
    close = sorted(begun, key=len)[:3] or get_close_matches(name.lower(), folded, 3, _LEAST_LIKENESS)
    likeness = [SequenceMatcher(None, match, name.lower()).ratio() for match in close]
    pairs = zip(close, likeness, strict=True)
    suggested = [repr(folded[match]) for match, each in pairs if each >= likeness[0] - _LIKENESS_BEHIND_THE_BEST]
    if not suggested:
        return None
    *others, last = suggested
    return f"did you mean {', '.join(others)} or {last}?" if others else f"did you mean {last}?"


def few(names: Sequence[str], most: int = 3) -> str:
    """List the first of some names for a message, and count the others."""
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")
