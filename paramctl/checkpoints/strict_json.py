"""JSON of a checkpoint, with the byte of each mistake; doubled keys and endless depth are mistakes, too."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn, TypeAlias

from paramctl.checkpoints.reading import OpenFile, doubled

Pairs: TypeAlias = Sequence[tuple[str, Any]]
"""The members of an object, in order; a dict would hide that a key stands there twice."""

_MAX_DEPTH: Final = 100


def parse_object(
    file: OpenFile, content: bytes, start: int, what: str, made: Callable[[Pairs], Pairs] = tuple
) -> Pairs:
    """Return the members of the object that a stretch of a file holds; objects inside are tuples of pairs, too.

    Args:
        file: the file, for messages.
        content: the stretch.
        start: the byte of the file at which it begins.
        what: what it is, for messages.
        made: makes a tuple of the members of an object, the innermost first.

    Raises:
        ParamctlError: naming what is wrong, at which byte or under which key.

    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        byte = content[error.start]
        raise file.wrong(f"the byte 0x{byte:02X} is not UTF-8", byte=start + error.start) from None
    parsed = _parse(file, text, start, what, made)
    if not isinstance(parsed, tuple):
        indent = len(text) - len(text.lstrip())
        raise file.wrong(f"{what} is {kind(parsed)}, not an object", byte=start + indent)
    check_keys(file, parsed, what)
    return parsed


def _parse(file: OpenFile, text: str, start: int, what: str, made: Callable[[Pairs], Pairs]) -> Any:
    def at(position: int) -> int:
        return start + len(text[:position].encode())

    def refuse(constant: str) -> NoReturn:
        raise file.wrong(f"{constant} is no JSON", byte=at(text.find(constant)))

    try:
        return json.loads(text, object_pairs_hook=made, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise file.wrong(f"{what} is no JSON: {error.msg}", byte=at(error.pos)) from None
    except RecursionError:
        raise file.wrong(f"{what} is nested too deeply", byte=at(_deep(text))) from None
    except ValueError:  # Python reads no number of more than 4,300 digits
        number = re.search(r"\d{4300}", text)
        raise file.wrong("a number is too long", byte=at(number.start() if number else 0)) from None


def _deep(text: str) -> int:
    """Return the position at which brackets are open to a depth that nobody needs."""
    depth = 0
    for match in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(match.group(), 0)
        if depth > _MAX_DEPTH:
            return match.start()
    return 0


def check_keys(file: OpenFile, pairs: Pairs, what: str) -> None:
    """Refuse a key that stands in an object twice, and one with half of a surrogate pair, which no text can hold.

    Raises:
        ParamctlError: naming the key.

    """
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        raise file.wrong(f"{what} has this name twice", tensor=doubled(keys))
    check_texts(file, keys)


def check_texts(file: OpenFile, texts: Sequence[str]) -> None:
    """Refuse halves of surrogate pairs, which JSON can spell and no text can hold.

    Raises:
        ParamctlError: naming the text.

    """
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        text = next(text for text in texts if any("\ud800" <= character <= "\udfff" for character in text))
        raise file.wrong("this has half of a surrogate pair", tensor=ascii(text)[1:-1]) from None


def kind(value: object) -> str:
    """Return what a value is in JSON, with its article."""
    kinds = {tuple: "an object", list: "a list", str: "a text", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")


def short(value: object) -> str:
    """Write numbers and lists of them, cut where they are long; of anything else, what it is."""
    text = str(value) if isinstance(value, list | int | float) else kind(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
