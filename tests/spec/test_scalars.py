from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paramctl.spec.scalars import resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("null", None), ("Null", None), ("NULL", None),
        ("true", True), ("True", True), ("FALSE", False),
        ("0", 0), ("-12", -12), ("+3", 3), ("007", 7), ("0o17", 15), ("0x1F", 31),
        ("1e-3", 0.001), ("1E3", 1000.0), (".5", 0.5), ("-1.", -1.0), ("6.02e+23", 6.02e23),
        (".inf", math.inf), ("-.INF", -math.inf),
    ],
)  # fmt: skip
def test_a_plain_scalar_is_what_the_core_schema_of_yaml_1_2_says(text, value):
    resolved = resolve(text)
    assert resolved == value
    assert type(resolved) is type(value)


@pytest.mark.parametrize(
    "text",
    ["no", "yes", "on", "off", "y", "n", "nULL", "tRUE", "1_000", "0b101", "12:30:45", "017x", "1e", "e3", ".", "-",
     "0x", "0o8", "１２", "inf", "nan", "2001-12-14", "=", "<<"],
)  # fmt: skip
def test_everything_else_is_a_string(text):
    assert resolve(text) == text


def test_nan_is_not_a_number():
    assert math.isnan(resolve(".nan"))


@given(st.integers())
def test_integers_of_any_size_come_back(number):
    assert resolve(str(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_come_back_to_the_last_bit(number):
    assert resolve(repr(number)) == number


def test_an_integer_too_long_for_python_is_a_float():
    assert resolve("9" * 5000) == math.inf
