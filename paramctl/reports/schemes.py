"""What `paramctl schemes` answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from paramctl.reports.base import Report, Row
from paramctl.scheme_declaration import Scheme


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemesReport(Report):
    """Every init scheme."""

    command: ClassVar = "schemes"
    rows_key: ClassVar = "schemes"
    row_fields: ClassVar = ("name", "options", "formula", "source")

    schemes: Sequence[Scheme]

    def rows(self) -> Iterator[Row]:
        """Yield a dict per scheme; the default of an option that must be given is None."""
        for scheme in self.schemes:
            yield {
                "name": scheme.name,
                "options": {name: option.default for name, option in scheme.options.items()},
                "formula": scheme.formula,
                "source": scheme.source,
            }
