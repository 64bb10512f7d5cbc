"""What a caller gives for an option -> its value, or an error that says what would be right."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from paramctl.errors import ParamctlError, Position, failure, nearest
from paramctl.reports.health import CHECKS, Check, Limits
from paramctl.spec.seeds import MAX_SEED, MIN_SEED

_RULES_FORM = 'rules are a mapping such as {"*.bias": "zeros"}, or pairs such as [("*.bias", "zeros")]'


@contextmanager
def in_words_of_python() -> Iterator[None]:
    """Let errors name an argument of a call for an option of the command line: ``layer`` for ``--layer``."""
    try:
        yield
    except ParamctlError as error:
        raise ParamctlError(*(replace(each, where=_argument(each.where)) for each in error.problems)) from error


def _argument(where: Position | str | None) -> Position | str | None:
    if isinstance(where, str) and where.startswith("--"):
        return where.removeprefix("--").replace("-", "_")
    return where


def check_word(word: object, known: Sequence[str], where: str, others: str = "") -> None:
    """Refuse what is none of the words that an option takes; `others` says what else it takes.

    Raises:
        ParamctlError: naming the nearest word, or all of them.

    """
    hint = f"it takes {', '.join(map(repr, known))}{others}"
    if isinstance(word, str):
        if word in known:
            return
        hint = nearest(word, known) or hint
    raise failure(f"there is no {where} {word!r}", where=where, hint=hint)


def check_integer(value: object, where: str) -> int:
    """Return a whole number as an int, whatever library it is of.

    Raises:
        ParamctlError: if it is none; a fraction or a text is not rounded or read.

    """
    try:
        return int(operator.index(value))  # type: ignore[arg-type]  # what has no index raises
    except TypeError:
        raise failure(f"{where} is a whole number, not {value!r}", where=where) from None


def check_seed(seed: object, where: str = "seed") -> int:
    """Return a seed as an int; `where` names it in messages.

    Raises:
        ParamctlError: if it is no whole number or does not fit in 64 bits.

    """
    number = check_integer(seed, where)
    if not MIN_SEED <= number <= MAX_SEED:
        raise failure(f"{number} does not fit in 64 bits", where=where)
    return number


def check_passes(passes: object) -> int:
    """Return a number of passes as an int.

    Raises:
        ParamctlError: if it is no whole number above 0.

    """
    number = check_integer(passes, "passes")
    if number < 1:
        raise failure(f"there must be one pass or more, not {number}", where="passes")
    return number


def parse_checks(text: str | None, where: str) -> tuple[Check, ...]:
    """Return the checks that a list such as ``nan,unused`` names.

    Raises:
        ParamctlError: naming the nearest check, or all of them.

    """
    names = [] if text is None else [name.strip() for name in text.split(",")]
    known: dict[str, Check] = {check: check for check in CHECKS}
    for name in names:
        if name not in known:
            hint = nearest(name, CHECKS) or f"the checks are {', '.join(CHECKS)}"
            raise failure(f"there is no check {name!r}", where=where, hint=hint)
    return tuple(known[name] for name in names)


def check_limits(*, vanishing: object, exploding: object, max_ratio: object) -> Limits | None:
    """Return the limits of checks, the usual one for each that is None; None where all are.

    Raises:
        ParamctlError: if one is no number of 0 or more; infinity is one. It names the option of the command line.

    """
    given = {
        "vanishing": (vanishing, "--vanishing"),
        "exploding": (exploding, "--exploding"),
        "ratio": (max_ratio, "--max-ratio"),
    }
    limits = {name: _limit(value, option) for name, (value, option) in given.items() if value is not None}
    return replace(Limits(), **limits) if limits else None


def _limit(value: object, where: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 0:
        raise failure(f"a limit is a number of 0 or more, not {value!r}", where=where)
    return float(value)


def check_mode(train: object) -> None:
    """Refuse what says neither train nor eval mode: a text such as "eval" would count as true.

    Raises:
        ParamctlError: naming what it takes.

    """
    if train is not None and not isinstance(train, bool):
        hint = "True for train mode, False for eval mode, None for the mode that the module is in"
        raise failure(f"train is True, False or None, not {train!r}", where="train", hint=hint)


def check_layer(layer: object) -> None:
    """Refuse what is no path of a module.

    Raises:
        ParamctlError: naming its type.

    """
    if layer is not None and not isinstance(layer, str):
        hint = 'such as "0" or "encoder.layers.0"'
        raise failure(f"layer is the path of a module, not {_typed(layer)}", where="layer", hint=hint)


def check_globs(globs: object, where: str) -> tuple[str, ...]:
    """Return globs as a tuple; a text is one glob, not one for each of its characters.

    Raises:
        ParamctlError: if they are no texts.

    """
    several = (globs,) if isinstance(globs, str) else tuple(globs) if isinstance(globs, Iterable) else None
    if several is None or not all(isinstance(glob, str) for glob in several):
        raise failure(f"{where} is a glob or several, not {globs!r}", where=where, hint='such as ["*.weight", "0.*"]')
    return several


def check_ties(ties: object) -> tuple[str, ...]:
    """Return the texts of ties as a tuple; a text is one tie.

    Raises:
        ParamctlError: if they are no texts.

    """
    several = (ties,) if isinstance(ties, str) else tuple(ties) if isinstance(ties, Iterable) else None
    if several is None or not all(isinstance(tie, str) for tie in several):
        hint = 'such as "decoder.weight=encoder.weight", or a list of those'
        raise failure(f"expect is a tie or several, not {ties!r}", where="expect", hint=hint)
    return several


def check_rules(rules: object) -> Iterator[tuple[str, Any]]:
    """Yield the glob and the scheme of each rule.

    Raises:
        ParamctlError: if they are neither a mapping nor pairs, or if a glob is no text.

    """
    if isinstance(rules, str) or not isinstance(rules, Iterable):
        raise failure(f"{rules!r} holds no rules", where="rules", hint=_rules_hint(rules))
    for each in rules.items() if isinstance(rules, Mapping) else rules:
        if not isinstance(each, tuple | list) or len(each) != 2 or not isinstance(each[0], str):
            raise failure(f"{each!r} is no glob with a scheme", where="rules", hint=_rules_hint(each))
        yield each[0], each[1]


def _rules_hint(given: object) -> str:
    glob, equals, scheme = given.partition("=") if isinstance(given, str) else ("", "", "")
    return f"write {{{glob!r}: {scheme!r}}}" if equals else _RULES_FORM


def check_scheme(scheme: object, where: str) -> None:
    """Refuse what is neither the text of a scheme nor a function.

    Raises:
        ParamctlError: naming its type.

    """
    if not isinstance(scheme, str) and not callable(scheme):
        hint = 'such as "normal:std=0.02", or a function that changes the tensor that it is given'
        raise failure(f"a scheme is a text or a function, not {_typed(scheme)}", where=where, hint=hint)


def check_keywords(keywords: object) -> Mapping[str, Any]:
    """Return the keyword arguments of a forward, none for None.

    Raises:
        ParamctlError: if they are no mapping from names.

    """
    if keywords is None:
        return {}
    if not isinstance(keywords, Mapping) or not all(isinstance(name, str) for name in keywords):
        hint = 'such as {"attention_mask": mask}'
        raise failure(f"kwargs maps names to arguments of forward, not {_typed(keywords)}", where="kwargs", hint=hint)
    return keywords


def _typed(value: object) -> str:
    return f"{type(value).__name__} {value!r}" if isinstance(value, str | int | float) else type(value).__name__
