from __future__ import annotations

import pytest

from paramctl.spec.signatures import ArgumentType, describe, parse_type


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("int", "an integer"),
        ("float | None", "a number or null"),
        ("bool", "true or false"),
        ("int | tuple[int, int]", "an integer or a list of 2 integers"),
        ("int | tuple[int]", "an integer or a list of one integer"),
        ("list[float]", "a list of numbers"),
        ("tuple[int, ...]", "a list of integers"),
        ("int | None | tuple[int | None, ...]", "an integer, null or a list of integers"),
        ("Literal['zeros', 'reflect']", "one of zeros, reflect"),
        ("Module | None", "a layer or null"),
        ("str | Callable", "a string or a layer"),
        ("dtype | None", "the name of a dtype or null"),
    ],
)
def test_a_type_is_described_in_words(text, words):
    assert describe(parse_type(text)) == words


def test_the_members_of_nested_unions_stand_side_by_side():
    kind = parse_type("int | None | int | str")
    assert [member.name for member in kind.alternatives] == ["int", "None", "str"]


def test_a_type_that_is_no_union_is_its_own_alternative():
    assert parse_type("int").alternatives == (ArgumentType("int"),)
