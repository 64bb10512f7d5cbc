from __future__ import annotations

import pytest

from paramctl.errors import ParamctlError
from paramctl.spec.inputs import parse_fill, parse_input, parse_shape
from paramctl.spec.model import Fill, GivenInput, InputSpec


@pytest.mark.parametrize(
    ("text", "fill"),
    [
        ("ones", Fill("ones")),
        ("randint(0,100)", Fill("randint", 0, 100)),
        ("randint( -3 , 5 )", Fill("randint", -3, 5)),
        ("randint(7)", Fill("randint", 0, 7)),
    ],
)
def test_a_fill_on_the_command_line(text, fill):
    assert parse_fill(text, "--fill") == fill
    assert parse_fill(str(fill), "--fill") == fill


@pytest.mark.parametrize("text", ["random", "randint", "randint(5,2)", "randint(a,b)", ""])
def test_a_fill_that_is_none(text):
    with pytest.raises(ParamctlError, match=r"--fill"):
        parse_fill(text, "--fill")


@pytest.mark.parametrize(
    ("text", "shape"), [("2,4", (2, 4)), ("7", (7,)), (" 1, 3 ,224", (1, 3, 224)), ("", ()), ("0,4", (0, 4))]
)
def test_a_shape_on_the_command_line(text, shape):
    assert parse_shape(text, "--input-shape") == shape


@pytest.mark.parametrize("text", ["2x4", "2,,4", "-1,4", "2.5", "99999999999999999999"])
def test_a_shape_that_is_none(text):
    with pytest.raises(ParamctlError, match=r"--input-shape"):
        parse_shape(text, "--input-shape")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2,4", GivenInput(InputSpec(shape=(2, 4)))),
        ("2,4:ones", GivenInput(InputSpec(shape=(2, 4), fill=Fill("ones")))),
        ("2,4:float16", GivenInput(InputSpec(shape=(2, 4), dtype="float16"))),
        (
            "ids=2,4:int64:randint(0,100)",
            GivenInput(InputSpec(shape=(2, 4), fill=Fill("randint", 0, 100), dtype="int64"), "ids"),
        ),
        (
            "ids=2,4:randint(9):torch.int32",
            GivenInput(InputSpec(shape=(2, 4), fill=Fill("randint", 0, 9), dtype="int32"), "ids"),
        ),
        ("scale=", GivenInput(InputSpec(shape=()), "scale")),
    ],
)
def test_an_argument_of_forward_is_a_shape_with_a_name_a_dtype_and_a_fill(text, expected):
    assert parse_input(text, "--input") == expected


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("2x4", "'2x4' is no shape", "sizes with commas between"),
        ("a b=2", "'a b' is no name of an argument", "such as --input 2,4:rand"),
        ("=2", "'' is no name of an argument", None),
        ("2:in64", "'in64' is neither a dtype nor a fill", "did you mean 'int64'?"),
        ("2:onse", "'onse' is neither a dtype nor a fill", "did you mean 'ones'?"),
        ("2:xyz", "'xyz' is neither a dtype nor a fill", "such as --input"),
        ("2:randint", "there is no fill 'randint'", "randint needs its bounds"),
        ("2:ones:zeros", "has 'ones' and 'zeros', of which it can have one", None),
        ("2:int8:int16", "has 'int8' and 'int16', of which it can have one", None),
    ],
)
def test_a_wrong_argument_of_forward_is_answered(text, message, hint):
    with pytest.raises(ParamctlError) as caught:
        parse_input(text, "--input")
    (problem,) = caught.value.problems
    assert problem.where == "--input"
    assert message in problem.message
    assert hint is None or problem.hint.startswith(hint)
