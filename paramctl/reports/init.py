"""What `paramctl init` answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, Final, Literal, NamedTuple, TypeAlias

from paramctl.fans import Fans
from paramctl.records import Histogram, Shape, Statistics, Values
from paramctl.reports.base import Report, Row, finite, histogram_fields, statistics_fields
from paramctl.scheme_declaration import Moments
from paramctl.schemes import SCHEMES

Start: TypeAlias = Literal["layer default", "loaded", "as found", "never written", "partly written"]
"""Where values came from before any rule: the layer; a checkpoint; the caller's module; nowhere, for all or a part."""
UNWRITTEN: Final = frozenset({"never written", "partly written"})
RandomSource: TypeAlias = Literal["streams", "torch"]
"""What values are drawn from: a stream for each parameter, or torch's one generator, as a script does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedRule:
    """A rule that reached a parameter: the scheme or function, and its arguments.

    `number` is its place among the rules, the spec's before those of the call, from 1; None for the scheme for the
    whole model.
    """

    scheme: str
    args: Mapping[str, Any]
    number: int | None = None

    @property
    def origin(self) -> str:
        """The rule as the origin of values."""
        return f"{'scheme' if self.number is None else f'rule {self.number}'}: {self}"

    def __str__(self) -> str:
        scheme = SCHEMES.get(self.scheme)
        shown = self.args if scheme is None else scheme.telling(self.args)
        arguments = ", ".join(
            f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}" for name, value in shown.items()
        )
        return f"{self.scheme}({arguments})" if arguments else self.scheme


@dataclass(frozen=True, slots=True, kw_only=True)
class InitializedParameter:
    """What initialisation left in one parameter.

    Attributes:
        name, aliases, shape: the parameter.
        rules: the rules that reached it, in order; empty where it keeps its layer's own values.
        stats: the statistics of its values; None where its dtype has none.
        expected: what the formula promises; None where none does.
        deviates: whether the values are off by more than five standard errors; None where nothing is promised.
        note: why a rule for the whole model did not apply.
        fans: fan_in and fan_out, where a scheme used them.
        start: where the values came from that the rules change or leave; None where the rules alone make them.
        unwritten: how many elements nothing has written.
        replaced: how many of the rules, the first ones, left no trace, since a later one overwrote everything.
        values: its elements, where they were asked for.

    """

    name: str
    aliases: tuple[str, ...]
    shape: Shape
    rules: tuple[AppliedRule, ...]
    stats: Statistics | None
    expected: Moments | None
    deviates: bool | None
    note: str | None
    fans: Fans | None = None
    start: Start | None = None
    unwritten: int = 0
    replaced: int = 0
    values: Values | None = None

    @property
    def histogram(self) -> Histogram | None:
        """The histogram of its values, where it was asked for."""
        return None if self.stats is None else self.stats.histogram

    @property
    def origin(self) -> str:
        """Where the values came from, in order."""
        return " → ".join(
            [*([self.start] if self.start else []), *(rule.origin for rule in self.rules[self.replaced :])]
        )

    def fields(self, *, with_histogram: bool = False) -> Row:
        """Return the row as plain data."""
        expected = self.expected
        row = {
            "name": self.name,
            "aliases": list(self.aliases),
            "shape": list(self.shape),
            "rules": [{"scheme": rule.scheme, "args": _plain_arguments(rule.args)} for rule in self.rules],
            "stats": statistics_fields(self.stats),
            "expected": expected and {"mean": finite(expected.mean), "std": finite(expected.std)},
            "deviates": self.deviates,
            "note": self.note,
            "fans": self.fans and self.fans._asdict(),
            "origin": self.origin,
            "unwritten": self.unwritten,
        }
        if with_histogram:
            row["histogram"] = histogram_fields(self.histogram)
        return row if self.values is None else row | {"values": self.values.nested()}


def _plain_arguments(arguments: Mapping[str, Any]) -> Row:
    return {name: finite(value) if isinstance(value, float) else value for name, value in arguments.items()}


class OriginShare(NamedTuple):
    """How many parameters have their values from one origin, and how many elements they have; a tie counts once."""

    origin: str
    parameters: int
    numel: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InitReport(Report):
    """The values that initialisation gives.

    Attributes:
        seed: the seed.
        rng: what the values are drawn from.
        parameters: the values of each parameter.
        written: the file that holds them: of shards, their index.
        shards: the shards that the index lists; none where one file holds everything.
        with_values: whether their elements were asked for.
        with_histograms: whether histograms were asked for.

    """

    command: ClassVar = "init"
    rows_key: ClassVar = "parameters"
    row_fields: ClassVar = (
        "name",
        "aliases",
        "shape",
        "rules",
        "stats",
        "expected",
        "deviates",
        "note",
        "fans",
        "origin",
        "unwritten",
    )

    seed: int
    parameters: Sequence[InitializedParameter]
    rng: RandomSource = "streams"
    written: str | None = None
    shards: Sequence[str] = ()
    with_values: bool = False
    with_histograms: bool = False

    def head(self) -> Row:
        """Return the seed, and what it is the seed of."""
        return {"seed": self.seed, "rng": self.rng}

    def columns(self) -> tuple[str, ...]:
        """Return the fields of a row, those that were asked for included."""
        return (*self.row_fields, *["histogram"] * self.with_histograms, *["values"] * self.with_values)

    def rows(self) -> Iterator[Row]:
        """Yield a dict per parameter."""
        return (parameter.fields(with_histogram=self.with_histograms) for parameter in self.parameters)

    def tail(self) -> Row:
        """Return the files that were written, and how much came from where."""
        origins = [share._asdict() for share in self.origins()]
        return {"written": self.written, "shards": list(self.shards), "origins": origins}

    def origins(self) -> list[OriginShare]:
        """Return what came from each origin, in the order in which they are first met."""
        shares: dict[str, OriginShare] = {}
        for row in self.parameters:
            _, parameters, numel = shares.get(row.origin, OriginShare(row.origin, 0, 0))
            shares[row.origin] = OriginShare(row.origin, parameters + 1, numel + prod(row.shape))
        return list(shares.values())
