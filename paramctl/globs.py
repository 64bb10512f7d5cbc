"""Globs over dotted names: ``*`` and ``**`` match any run of characters, ``?`` one, ``[0-9]`` one of a set."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import translate
from typing import TypeAlias

Matcher: TypeAlias = Callable[[Iterable[str]], bool]
"""Tells whether one of a parameter's names matches."""


def compile_glob(glob: str) -> Matcher:
    """Return the matcher of one glob; case counts."""
    fullmatch = re.compile(translate(glob)).match

    def matches(names: Iterable[str]) -> bool:
        return any(fullmatch(name) for name in names)

    return matches


def compile_filter(include: Sequence[str], exclude: Sequence[str]) -> Matcher:
    """Return the matcher of what one of `include` reaches (all, where it is empty) and none of `exclude`."""
    included, excluded = [*map(compile_glob, include)], [*map(compile_glob, exclude)]

    def matches(names: Iterable[str]) -> bool:
        known = list(names)
        if included and not any(each(known) for each in included):
            return False
        return not any(each(known) for each in excluded)

    return matches
