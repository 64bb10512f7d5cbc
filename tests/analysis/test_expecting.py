"""Ties that are expected: whether they are there, and whether anything else is."""

from __future__ import annotations

import pytest

from paramctl.analysis.expecting import check_expectations, disappointments, parse_tie
from paramctl.errors import ParamctlError
from paramctl.reports.shared import SharedGroup

KNOWN = ("a", "b", "c", "d")


def group(relation, *names):
    return SharedGroup(relation=relation, names=names, shape=(1,), numel=1, nbytes=4, saved_nbytes=4)


def check(ties, groups, *, nothing_else=False):
    found = check_expectations(ties, groups, KNOWN, nothing_else=nothing_else)
    return [each.met for each in found], list(disappointments(found))


@pytest.mark.parametrize("relation", ["same-module", "same-parameter", "same-storage"])
def test_the_same_elements_meet_an_expectation(relation):
    assert check([("b", "a")], [group(relation, "a", "b", "c")]) == ([True], [])


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([], "expected a = b: they share nothing"),
        ([group("same-parameter", "a", "c")], "expected a = b: they share nothing"),
        ([group("overlap", "a", "b")], "expected a = b: they have some elements in common, not all"),
        ([group("same-values", "a", "b")], "expected a = b: they are equal values in different memory"),
    ],
)
def test_anything_less_is_told(groups, message):
    assert check([("a", "b")], groups) == ([False], [message])


def test_nothing_else_may_be_shared():
    tie, told = group("same-parameter", "a", "b"), "expected nothing to be shared"
    assert check([], [], nothing_else=True) == ([True], [])
    assert check([], [tie], nothing_else=True) == ([False], [f"{told}: 1 group is, a = b (same-parameter)"])
    assert check([("a", "b")], [tie], nothing_else=True) == ([True, True], [])
    others = [tie, group("overlap", "c", "d"), group("same-values", "b", "c")]
    assert check([("a", "b")], others, nothing_else=True)[1] == [
        "expected nothing else to be shared: 2 groups are, c = d (overlap), b = c (same-values)"
    ]
    many = group("overlap", *"abcdef")
    assert check([], [many], nothing_else=True)[1] == [f"{told}: 1 group is, a = b = c = d … (overlap)"]


def test_ties_with_a_name_in_common_are_one():
    assert check([("a", "b"), ("b", "c")], [group("same-storage", "a", "b", "c")], nothing_else=True)[0] == [True] * 3


def test_every_unknown_name_is_answered():
    with pytest.raises(ParamctlError) as caught:
        check_expectations([("a", "weight"), ("c", "bias", "weight")], [], ("weights", *KNOWN), nothing_else=False)
    assert str(caught.value).splitlines() == [
        "--expect: the model has no parameter 'weight'",
        "  hint: did you mean 'weights'?",
        "--expect: the model has no parameter 'bias'",
    ]


@pytest.mark.parametrize("text", ["", "a", "a=", "=a", "a==b", "a=a"])
def test_a_tie_has_two_names(text):
    with pytest.raises(ParamctlError, match="names no tie of two parameters"):
        parse_tie(text)


def test_a_tie_may_have_more():
    assert parse_tie("a.weight = b.weight=c") == ("a.weight", "b.weight", "c")
