"""A report -> the tables and lines that a person reads: one file for each report."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from types import MappingProxyType
from typing import Final

from paramctl.render.block import Block
from paramctl.reports.base import Report

_PAGES: Final = MappingProxyType(
    {"list": "listing", "init": "init", "shared": "shared", "grad": "grad", "schemes": "schemes"}
)
"""The module that lays out the report of each command, imported when there is one to lay out."""


def page(report: Report, *, styled: bool) -> Iterator[Block]:
    """Yield the blocks of a report's page; `styled` says whether styles will be seen."""
    blocks: Iterator[Block] = import_module(f"{__name__}.{_PAGES[report.command]}").page(report, styled=styled)
    return blocks
