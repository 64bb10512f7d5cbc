"""The values of ``--arg``: arguments of the user's own class or function, read as YAML and bound to its signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Final, NoReturn

from paramctl.errors import ParamctlError, Problem, failure
from paramctl.spec.arguments import QUOTE, ArgumentReader
from paramctl.spec.document import Document, Node, ScalarNode, compose
from paramctl.spec.model import Argument
from paramctl.spec.reading import Mistakes
from paramctl.spec.signatures import LayerSignature, Parameter, describe, parse_type
from paramctl.spec.written import WrittenLayer

_WHERE: Final = "--arg"
_NEITHER_PLAIN_NOR_NESTED: Final = ("[", "{", '"', "'")
"""How a value begins that is more than a plain scalar; any other text is one, whatever it holds."""
_NO_TEXT: Final = ("Module", "Callable", "Tensor")
"""The types of arguments that no text can give."""


def parse_given(texts: Sequence[str]) -> dict[str, Node]:
    """Read ``key=value`` texts.

    Raises:
        ParamctlError: for a text of another form, a value that is no YAML, or a key that is given twice.

    """
    given: dict[str, Node] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        key, value = key.strip(), value.strip()
        if not equals or not key.isidentifier():
            raise failure(f"{text!r} is not key=value", where=_WHERE, hint="such as --arg width=64")
        if key in given:
            raise failure(f"the argument {key!r} is given twice", where=_WHERE)
        nested = value.startswith(_NEITHER_PLAIN_NOR_NESTED)
        given[key] = compose(value, f"{_WHERE} {key}").root if nested else ScalarNode(value, True, 0, 0)
    return given


def bind_given(signature: LayerSignature, given: Mapping[str, Node]) -> dict[str, Argument]:
    """Bind what was given to a signature.

    Raises:
        ParamctlError: with every argument that is unknown, missing, or of another type.

    """
    problems = [_not_given_so(each) for each in signature.parameters if _is_out_of_reach(each, given)]
    missing = [each for each in signature.parameters if each.required and each.name not in given]
    misspelt = {
        name for key in given.keys() - signature.by_name.keys() for name in get_close_matches(key, signature.required)
    }
    missing = [each for each in missing if each.name not in misspelt]
    if missing:
        problems.append(_missing(signature, missing))
    optional = tuple(_with_plain_type(each) for each in signature.parameters)
    root = ScalarNode(signature.name, True, 0, 0)
    document = Document(source=_WHERE, root=root, aliased=set(), key_anchors={}, problems=[])
    mistakes = Mistakes(document)
    reader = ArgumentReader(mistakes, is_layer=lambda _: False, read_layer=_never)
    keywords = {key: (ScalarNode(key, True, 0, 0), node) for key, node in given.items()}
    call = reader.bind(replace(signature, parameters=optional), WrittenLayer(root, None, [], keywords, ()))
    quoted = "put it in quotes inside the shell's: --arg 'NAME=\"3\"'"
    problems += [
        replace(each, where=_WHERE, path=None, hint=quoted if each.hint == QUOTE else each.hint)
        for each in mistakes.found
    ]
    if problems or call is None:
        raise ParamctlError(*problems)
    return dict(call.keywords)


def usage(signature: LayerSignature) -> str:
    """Write a call with what must be given and what may be: ``Net(width, depth=2)``."""
    shown = [each.name if each.required else f"{each.name}={each.default!r}" for each in signature.parameters]
    by_keyword = [each.keyword_only for each in signature.parameters]
    if True in by_keyword and not signature.more_positional:
        shown.insert(by_keyword.index(True), "*")
    return f"{signature.name}({', '.join(shown)})"


def _missing(signature: LayerSignature, missing: Sequence[Parameter]) -> Problem:
    *others, last = [each.name for each in missing]
    listed = f"{', '.join(others)} and {last}" if others else last
    options = " ".join(f"--arg {each.name}=…" for each in missing if not each.type.allows(*_NO_TEXT))
    unsayable = [each.name for each in missing if each.type.allows(*_NO_TEXT)]
    if unsayable:
        hint = f"no option can give {', '.join(unsayable)}: name a function that passes it"
    else:
        hint = f"add {options}; it is {usage(signature)}"
    return Problem(message=f"{signature.name} needs {listed}", where="MODEL", hint=hint)


def _is_out_of_reach(parameter: Parameter, given: Mapping[str, Node]) -> bool:
    node = given.get(parameter.name)
    if node is None or not parameter.type.allows(*_NO_TEXT) or parameter.type.allows("Any", "str"):
        return False
    return not (isinstance(node, ScalarNode) and node.value is None)


def _not_given_so(parameter: Parameter) -> Problem:
    what = "a tensor" if parameter.type.allows("Tensor") else describe(parameter.type)
    hint = "name a function that passes it: MODEL can be file.py:FUNCTION"
    return Problem(message=f"{parameter.name} is {what}, which no text gives", where=_WHERE, hint=hint)


def _with_plain_type(parameter: Parameter) -> Parameter:
    """Return a parameter that need not be given, and takes any value where its type has been dealt with."""
    open_to_all = parameter.type.allows("device", *_NO_TEXT)
    return replace(parameter, required=False, type=parse_type("Any") if open_to_all else parameter.type)


def _never(*_: object) -> NoReturn:
    raise AssertionError("no value of an option is read as a layer")
