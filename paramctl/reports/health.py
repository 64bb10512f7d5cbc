"""What is wrong with gradients: the checks, their limits, and what they found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from paramctl.errors import few
from paramctl.reports.base import Row

Check: TypeAlias = Literal["nan", "exploding", "vanishing", "dead", "unused", "frozen", "ratio"]
CHECKS: Final[tuple[Check, ...]] = get_args(Check)


class Place(NamedTuple):
    """Where something happened: the path of the module, None outside the model, and the operation where it is known.

    `is_known` is False where the operation is all that is known.
    """

    module: str | None
    op: str | None = None
    is_known: bool = True

    def __str__(self) -> str:
        if not self.is_known:
            return f"{self.op}, it is not known where: forward computes in threads"
        module = "the loss" if self.module is None else self.module or "the model"
        return module if self.op is None else f"{self.op} in {module}"


INPUT: Final = Place(None, "the input")
"""What the model was given, before any module."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """From where on a gradient is not as it should be.

    Attributes:
        vanishing: a norm below it, and above 0, vanishes.
        exploding: a norm above it explodes.
        ratio: the norm of a weight's gradient is at most so many times the weight's.

    """

    vanishing: float = 1e-6
    exploding: float = 1e3
    ratio: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found: parameters, and what else there is to say of them."""

    check: Check
    parameters: Sequence[str]
    detail: str | None = None

    def named(self) -> str:
        """Name the first of the parameters, and count the others."""
        return few(self.parameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The limits, and the findings in the order of the checks; a check without a finding found nothing."""

    limits: Limits
    findings: Sequence[Finding]

    def of(self, check: Check) -> Finding | None:
        """Return what a check found."""
        return next((each for each in self.findings if each.check == check), None)

    def failures(self, checks: Sequence[Check]) -> list[str]:
        """Say what those of the checks found that found something."""
        found = [each for each in self.findings if each.check in checks]
        return [f"{each.check} ({each.named() or each.detail})" for each in found]

    def fields(self) -> Row:
        """Return both as plain data."""
        return {
            "limits": {
                "vanishing": self.limits.vanishing,
                "exploding": self.limits.exploding,
                "ratio": self.limits.ratio,
            },
            "findings": [
                {"check": each.check, "parameters": list(each.parameters), "detail": each.detail}
                for each in self.findings
            ],
        }
