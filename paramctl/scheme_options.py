"""One option of an init scheme: its type, its bounds or words, and its default."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias, get_args, get_origin

FanMode: TypeAlias = Literal["fan_in", "fan_out"]
Nonlinearity: TypeAlias = Literal[
    "linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "sigmoid", "tanh", "relu", "leaky_relu", "selu",
]  # fmt: skip
OptionValue: TypeAlias = int | float | str


@dataclass(frozen=True, slots=True)
class Range:
    """The least and the largest value of a number; `exclusive` leaves the least out."""

    least: float
    largest: float = math.inf
    exclusive: bool = False

    def __contains__(self, value: float) -> bool:
        return self.least <= value <= self.largest and not (self.exclusive and value == self.least)

    def __str__(self) -> str:
        if math.isfinite(self.largest):
            return f"from {self.least:g} to {self.largest:g}"
        return f"above {self.least:g}" if self.exclusive else f"{self.least:g} or more"


FINITE = Range(-math.inf)
Finite: TypeAlias = Annotated[float, FINITE]
NotNegative: TypeAlias = Annotated[float, Range(0)]
Positive: TypeAlias = Annotated[float, Range(0, exclusive=True)]
Fraction: TypeAlias = Annotated[float, Range(0, 1)]
Count: TypeAlias = Annotated[int, Range(1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option of a scheme: `default` is None where it must be given; `choices` are the words that it may be."""

    name: str
    type: type
    default: OptionValue | None
    range: Range | None = None
    choices: tuple[str, ...] = ()

    def mistake(self, value: object) -> str | None:
        """Say what the option expects if `value` is not that."""
        if self.choices:
            return None if value in self.choices else f"one of {', '.join(self.choices)}"
        number = "an integer" if self.type is int else "a number"
        accepted = int if self.type is int else (int, float)
        if isinstance(value, bool) or not isinstance(value, accepted):
            return number
        if self.range is not None and (not math.isfinite(value) or value not in self.range):
            return "a finite number" if self.range is FINITE else f"{number}, {self.range}"
        return None


def option_of(name: str, hint: Any, default: OptionValue | None) -> Option:
    """Read an option from the parameter that declares it; a default of None means that it must be given."""
    if get_origin(hint) is Literal:
        return Option(name=name, type=str, default=default, choices=get_args(hint))
    if get_origin(hint) is Annotated:
        number, span = get_args(hint)
        return Option(name=name, type=number, default=default, range=span)
    return Option(name=name, type=hint, default=default)
