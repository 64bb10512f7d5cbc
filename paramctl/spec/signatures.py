"""What a layer's constructor takes: parameters with types, in a form that torch is not needed for."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal, TypeAlias

TypeName: TypeAlias = Literal[
    "int", "float", "bool", "str", "None", "dtype", "device", "Module", "Callable", "Tensor", "Any",
    "literal", "tuple", "list", "union",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class ArgumentType:
    """The type of an argument.

    `items` are the members of a union, the element types of a tuple, or the one element type of a list of any length;
    `choices` the values of a literal.
    """

    name: TypeName
    items: tuple[ArgumentType, ...] = ()
    choices: tuple[str | int | bool | None, ...] = ()

    @property
    def alternatives(self) -> tuple[ArgumentType, ...]:
        """The members of a union; any other type is its own only alternative."""
        return self.items if self.name == "union" else (self,)

    def allows(self, *names: TypeName) -> bool:
        """Tell whether one of the alternatives is one of these types."""
        return any(alternative.name in names for alternative in self.alternatives)


_SIMPLE: dict[str, TypeName] = {
    "int": "int", "float": "float", "bool": "bool", "str": "str", "None": "None", "dtype": "dtype", "device": "device",
    "Module": "Module", "Callable": "Callable", "Tensor": "Tensor", "Any": "Any",
}  # fmt: skip


@cache
def parse_type(text: str) -> ArgumentType:
    """Read a type as it stands in an annotation: ``int | tuple[int, int]``, ``Literal['zeros']``, ``list[float]``."""
    return _type_of(ast.parse(text, mode="eval").body)


def _type_of(node: ast.expr) -> ArgumentType:
    match node:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            members = (*_type_of(left).alternatives, *_type_of(right).alternatives)
            return ArgumentType("union", tuple(dict.fromkeys(members)))
        case ast.Constant(value=None):
            return ArgumentType("None")
        case ast.Name(id=name):
            return ArgumentType(_SIMPLE[name])
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            values = ast.literal_eval(choices)
            return ArgumentType("literal", choices=values if isinstance(values, tuple) else (values,))
        case ast.Subscript(value=ast.Name(id="list"), slice=item):
            return ArgumentType("list", (_type_of(item),))
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[item, ast.Constant(value=last)])) if (
            last is ...
        ):
            return ArgumentType("list", (_type_of(item),))
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=items)):
            return ArgumentType("tuple", tuple(map(_type_of, items)))
        case ast.Subscript(value=ast.Name(id="tuple"), slice=item):
            return ArgumentType("tuple", (_type_of(item),))
    raise AssertionError(f"not a type: {ast.unparse(node)}")


_PHRASES: dict[TypeName, tuple[str, str]] = {
    "int": ("an integer", "integers"),
    "float": ("a number", "numbers"),
    "bool": ("true or false", "booleans"),
    "str": ("a string", "strings"),
    "None": ("null", "nulls"),
    "dtype": ("the name of a dtype", "dtypes"),
    "Module": ("a layer", "layers"),
    "Callable": ("a layer", "layers"),
    "Any": ("a value", "values"),
}


def describe(kind: ArgumentType) -> str:
    """Say in words what an argument of this type may be, leaving out what a spec cannot hold."""
    phrases = [_phrase(alternative) for alternative in kind.alternatives if alternative.name in _PHRASES or kind.items]
    phrases = list(dict.fromkeys(filter(None, phrases or [_phrase(kind)])))
    *others, last = phrases
    return f"{', '.join(others)} or {last}" if others else last


def _phrase(kind: ArgumentType) -> str:
    if kind.name == "literal":
        return f"one of {', '.join(map(str, kind.choices))}"
    if kind.name == "tuple":
        count = len(kind.items)
        return (
            f"a list of one {_plural(kind.items[0]).removesuffix('s')}"
            if count == 1
            else f"a list of {count} {_plural(kind.items[0])}"
        )
    if kind.name == "list":
        return f"a list of {_plural(kind.items[0])}"
    return _PHRASES.get(kind.name, ("", ""))[0]


def _plural(kind: ArgumentType) -> str:
    return _PHRASES.get(kind.alternatives[0].name, ("a value", "values"))[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a constructor; `default` is its default where that is plain data."""

    name: str
    type: ArgumentType
    required: bool
    keyword_only: bool = False
    default: object = None


@dataclass(frozen=True, kw_only=True)
class LayerSignature:
    """The parameters of a layer's constructor, in order.

    Attributes:
        name: the layer as messages name it.
        parameters: those that have a name.
        more_positional: whether it takes any number of positional arguments besides.
        more_keywords: whether it takes any keyword argument besides.
        lazy: whether its parameters' shapes come from the first input.

    """

    name: str
    parameters: tuple[Parameter, ...]
    more_positional: bool = False
    more_keywords: bool = False
    lazy: bool = False

    @cached_property
    def positional(self) -> tuple[Parameter, ...]:
        """Return the parameters that can be given by position."""
        return tuple(parameter for parameter in self.parameters if not parameter.keyword_only)

    @cached_property
    def by_name(self) -> Mapping[str, Parameter]:
        """Return the parameters by their names."""
        return {parameter.name: parameter for parameter in self.parameters}

    @cached_property
    def defaults(self) -> Mapping[str, object]:
        """Return the defaults of the parameters that have one, by name."""
        return {parameter.name: parameter.default for parameter in self.parameters if not parameter.required}

    @cached_property
    def required(self) -> tuple[str, ...]:
        """Return the names of the parameters that must be given."""
        return tuple(parameter.name for parameter in self.parameters if parameter.required)

    def names(self) -> list[str]:
        """Return the names under which an argument can be given in a spec."""
        return [parameter.name for parameter in self.parameters if not parameter.type.allows("device")]
