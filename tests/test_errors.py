from __future__ import annotations

import pytest

from paramctl.errors import ParamctlError, Position, Problem, failure, located, nearest


def test_a_problem_reads_place_path_message_and_hint_in_this_order():
    problem = Problem(
        message="Linear has no argument 'in_featurs'",
        where=Position("mlp.yaml", 3, 14),
        path="layers[0].Linear.in_featurs",
        hint="did you mean 'in_features'?",
    )
    assert str(problem) == (
        "mlp.yaml:3:14: layers[0].Linear.in_featurs: Linear has no argument 'in_featurs'\n"
        "  hint: did you mean 'in_features'?"
    )


def test_an_error_holds_all_its_problems():
    error = ParamctlError(Problem(message="one"), Problem(message="two", where="--seed"))
    assert str(error) == "one\n--seed: two"


def test_a_place_is_added_only_where_there_is_none():
    error = located(ParamctlError(Problem(message="a"), Problem(message="b", where="--out")), "--rule")
    assert [problem.where for problem in error.problems] == ["--rule", "--out"]


def test_failure_makes_the_error_with_one_problem():
    assert failure("no", where="MODEL", hint="yes").problems == (Problem(message="no", where="MODEL", hint="yes"),)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Linaer", "did you mean 'Linear'?"),
        ("LINEAR", "did you mean 'Linear'?"),
        ("relu", "did you mean 'ReLU'?"),
        ("Conv", "did you mean 'Conv1d' or 'Conv2d'?"),
        ("Transformer", None),
    ],
)
def test_the_nearest_names_are_suggested_and_no_far_ones(name, hint):
    found = nearest(name, ["Linear", "ReLU", "Conv1d", "Conv2d"])
    assert found is None if hint is None else set(found.split("'")) == set(hint.split("'"))
