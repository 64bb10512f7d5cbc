from __future__ import annotations

import pytest

from paramctl.errors import ParamctlError
from paramctl.spec.inputs import parse_fill, parse_shape
from paramctl.spec.model import Fill


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
