"""The text of a SCHEME or of a ``GLOB=SCHEME`` rule -> an init rule."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from paramctl.errors import ParamctlError, Position, Problem, failure, located
from paramctl.references import Reference, parse_reference
from paramctl.rules import InitRule, bind_options, unknown_scheme
from paramctl.scheme_declaration import Scheme
from paramctl.schemes import SCHEMES
from paramctl.spec import scalars

_TORCHS_OWN = ("torch.nn.init.", "nn.init.", "init.")
_OPTIONS = re.compile(r"(?P<scheme>.*?):(?P<options>[^:=]*=.*)", re.DOTALL)


def parse_scheme(text: str, directory: Path, where: Position | str) -> tuple[Scheme | Reference, dict[str, Any]]:
    """Read ``NAME``, ``file.py:FUNCTION`` or ``package.module:FUNCTION`` with ``:key=value,…`` behind it.

    Args:
        text: the text, such as ``normal:std=0.02``.
        directory: what a file's path is relative to.
        where: where the text stands, for messages.

    Returns:
        The scheme or the reference to a function, and the options as given.

    Raises:
        ParamctlError: for an unknown scheme or options that are not ``key=value``.

    """
    found = _OPTIONS.fullmatch(text)
    name, listed = (found["scheme"], found["options"]) if found else (text, "")
    known, colon, rest = name.partition(":")
    if colon and known in SCHEMES:
        taken = list(SCHEMES[known].options)
        assigned = f"{rest}=…" if rest in taken else f"{taken[0]}={rest}" if taken else None
        hint = "it takes none" if assigned is None else f"write {known}:{assigned}"
        raise failure(f"{rest!r} is no option of {known}", where=where, hint=hint)
    scheme = SCHEMES.get(name) or (None if name.startswith(_TORCHS_OWN) else parse_reference(name, directory))
    if scheme is None:
        raise located(ParamctlError(unknown_scheme(name)), where)
    options: dict[str, Any] = {}
    for item in filter(None, listed.split(",")):
        key, equals, value = item.partition("=")
        key = key.strip()
        if not equals or not key:
            raise failure(f"{item!r} is not key=value", where=where, hint="options are written normal:mean=0,std=0.02")
        if key in options:
            raise failure(f"the option {key!r} is given twice", where=where)
        options[key] = _value(value.strip())
    return scheme, options


def _value(text: str) -> scalars.PlainValue:
    """Read a YAML scalar, plain or in quotes."""
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if quoted else scalars.resolve(text)


def parse_rule(text: str, directory: Path, where: str = "--rule") -> InitRule:
    """Read the value of ``--rule``: ``GLOB=SCHEME``."""
    match, equals, scheme = text.partition("=")
    if not equals or not match or not scheme:
        raise failure(
            f"{text!r} is not GLOB=SCHEME", where=where, hint="such as '*.bias=zeros' or '0.*=normal:std=0.02'"
        )
    return make_rule(match, *parse_scheme(scheme, directory, where), where=where)


def parse_whole_model(text: str, directory: Path, where: str = "--scheme") -> InitRule:
    """Read the value of ``--scheme``, which speaks of a whole model."""
    return make_rule(None, *parse_scheme(text, directory, where), where=where)


def make_rule(
    match: str | None, scheme: Scheme | Reference, given: dict[str, Any], *, where: Position | str
) -> InitRule:
    """Complete a scheme's options and make the rule.

    Raises:
        ParamctlError: for every option that the scheme does not take, or not so.

    """
    if isinstance(scheme, Reference):
        return InitRule(match=match, scheme=scheme, options=given, where=where)
    options, mistakes = bind_options(scheme, given)
    if mistakes:
        raise ParamctlError(*(Problem(message=each.message, where=where, hint=each.hint) for each in mistakes))
    return InitRule(match=match, scheme=scheme, options=options, where=where)
