from __future__ import annotations

import pytest

from paramctl.errors import ParamctlError
from paramctl.spec.catalog import signature_of
from paramctl.spec.given import bind_given, parse_given, usage
from paramctl.spec.model import DtypeName

SIGNATURE = signature_of(
    "Net",
    [
        ["width", "int"], ["depth", "int", 2], ["bias", "bool", True], ["rate", "float", 0.5], ["name", "str", "net"],
        ["sizes", "list[int] | None", None], ["kind", "Any", None], ["act", "Module | None", None],
        ["dtype", "dtype | None", None], ["device", "device | None", None], ["scale", "Tensor | None", None],
    ],
)  # fmt: skip


def bound(*texts, signature=SIGNATURE):
    return bind_given(signature, parse_given(texts))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("depth=3", 3),
        ("bias=false", False),
        ("rate=1e-3", 1e-3),
        ("rate=1", 1),
        ("name=resnet", "resnet"),
        ("name='3'", "3"),
        ("name=", "invalid"),
        ("name=a=b: c, d #e", "a=b: c, d #e"),
        ("sizes=[2, 4]", (2, 4)),
        ("sizes=null", None),
        ("kind={a: [1, x]}", {"a": [1, "x"]}),
        ("kind=no", "no"),
        ("dtype=float16", DtypeName("float16")),
        ("device=cpu", "cpu"),
        ("act=null", None),
    ],
)
def test_values_are_yaml(text, value):
    if value == "invalid":
        with pytest.raises(ParamctlError, match="name must be a string, not null"):
            bound("width=1", text)
        return
    assert bound("width=1", text)[text.partition("=")[0]] == value


@pytest.mark.parametrize(
    ("texts", "where", "message", "hint"),
    [
        ([], "MODEL", "Net needs width", "add --arg width=…; it is Net(width, depth=2, bias=True"),
        (["widht=3"], "--arg", "Net has no argument 'widht'", "did you mean 'width'?"),
        (["width=3", "dpeth=3"], "--arg", "Net has no argument 'dpeth'", "did you mean 'depth'?"),
        (["width=1", "name=3"], "--arg", "name must be a string, not 3", "put it in quotes inside the shell's: --arg 'NAME=\"3\"'"),
        (["width=x"], "--arg", "width must be an integer, not the string 'x'", None),
        (["width=1", "bias=no"], "--arg", "bias must be true or false, not the string 'no'", "YAML 1.2 has only true"),
        (["width=1", "sizes=[1, x]"], "--arg", "sizes must be a list of integers or null, not a list of 2", None),
        (["width=1", "dtype=flaot16"], "--arg", "dtype must be the name of a dtype or null", "did you mean 'float16' or"),
        (["width=1", "act=ReLU"], "--arg", "act is a layer or null, which no text gives", "name a function that passes it"),
        (["width=1", "scale=3"], "--arg", "scale is a tensor, which no text gives", "name a function that passes it"),
        (["width"], "--arg", "'width' is not key=value", "such as --arg width=64"),
        (["=3"], "--arg", "'=3' is not key=value", None),
        (["a b=3"], "--arg", "'a b=3' is not key=value", None),
        (["width=1", "width=2"], "--arg", "the argument 'width' is given twice", None),
    ],
)  # fmt: skip
def test_what_is_wrong_is_answered_from_the_signature(texts, where, message, hint):
    with pytest.raises(ParamctlError) as caught:
        bound(*texts)
    (problem,) = caught.value.problems
    assert (problem.where, problem.path) == (where, None)
    assert problem.message.startswith(message)
    assert hint is None or problem.hint.startswith(hint)


def test_a_value_that_is_no_yaml_shows_where():
    with pytest.raises(ParamctlError, match=r"--arg sizes:2:1: not valid YAML"):
        parse_given(["sizes=[1, 2"])


def test_all_mistakes_are_reported_at_once():
    with pytest.raises(ParamctlError) as caught:
        bound("depth=x", "nmae=y")
    assert len(caught.value.problems) == 3


def test_an_argument_that_no_text_can_give_asks_for_a_function():
    signature = signature_of("ResNet", [["block", "Callable"], ["layers", "list[int]"]])
    with pytest.raises(ParamctlError, match=r"(?s)ResNet needs block and layers.*no option can give block"):
        bound(signature=signature)


def test_a_callable_that_takes_anything_is_given_anything():
    assert bound("x=1", "y=[a]", signature=signature_of("make", ["**kwargs"])) == {"x": 1, "y": ["a"]}


def test_what_only_a_keyword_gives_is_shown_so():
    signature = signature_of("make", [["depth", "int", 3], "*", ["rate", "float"], ["bias", "bool", True]])
    assert usage(signature) == "make(depth=3, *, rate, bias=True)"
