"""Signatures of layers, derived from the classes themselves.

`python -m paramctl.tensors.building.signatures` prints the catalog file of the torch that is installed.
"""

from __future__ import annotations

import collections.abc
import inspect
import json
import sys
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

from paramctl.spec.catalog import Catalog, Entry, signature_of
from paramctl.spec.signatures import LayerSignature

_SCALARS = {int: "int", float: "float", bool: "bool", str: "str", types.NoneType: "None"}
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def live_catalog() -> Catalog:
    """Return the signatures of every module class in the namespace of the installed torch.nn."""
    classes = {
        name: value for name, value in vars(nn).items() if isinstance(value, type) and issubclass(value, nn.Module)
    }
    return Catalog(
        minor_version(torch.__version__),
        {name: entry_of(classes[name]) for name in sorted(classes)},
        _attributes(),
    )


def _attributes() -> dict[str, list[str]]:
    """Return the attributes that every module has, and those that each container has besides."""
    common = dir(nn.Module())
    containers = (nn.Sequential(), nn.ModuleList(), nn.ModuleDict())
    own = {type(each).__name__: sorted(set(dir(each)).difference(common)) for each in containers}
    return {"Module": common, **own}


def signature_of_class(layer: type[nn.Module]) -> LayerSignature:
    """Return the signature of one module class."""
    return signature_of(layer.__name__, entry_of(layer))


def minor_version(version: str) -> str:
    """Return ``2.13`` for ``2.13.0+cpu``: what signatures depend on."""
    return ".".join(version.split(".")[:2])


def entry_of(layer: type[nn.Module]) -> Entry:
    """Return the catalog entry of a module class.

    Where the constructor is ``(*args, **kwargs)``, its first typed overload counts, else that of the class it extends;
    a class without a constructor of its own takes no arguments.
    """
    entry = _entry(_constructor_parameters(layer))
    if issubclass(layer, LazyModuleMixin):
        entry.append("lazy")
    return entry


def signature_of_callable(function: Callable[..., Any], name: str) -> LayerSignature:
    """Return the signature of a module class or of any other callable, under a name for messages."""
    if isinstance(function, type) and issubclass(function, nn.Module):
        return signature_of_class(function)
    try:
        parameters = list(_signature(function).parameters.values())
    except (TypeError, ValueError):  # some callables written in C tell none
        return signature_of(name, ["**kwargs"])
    return signature_of(name, _entry(parameters))


def _entry(parameters: Iterable[inspect.Parameter]) -> list[str | list[Any]]:
    entry: list[str | list[Any]] = []
    keyword_only = False
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            entry.append("*args")
            keyword_only = True
        elif parameter.kind is parameter.VAR_KEYWORD:
            entry.append("**kwargs")
        else:
            if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
                entry.append("*")
                keyword_only = True
            entry.append(_described(parameter))
    return entry


def _constructor_parameters(layer: type[nn.Module]) -> list[inspect.Parameter]:
    variadic: list[inspect.Parameter] = []
    for ancestor in layer.__mro__:
        if ancestor is nn.Module:
            break
        constructor = vars(ancestor).get("__init__")
        if constructor is None:
            continue
        for candidate in (constructor, *typing.get_overloads(constructor)):
            _, *parameters = _signature(candidate).parameters.values()
            if not parameters or any(parameter.kind not in _VARIADIC for parameter in parameters):
                return parameters
            variadic = parameters
    return variadic


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function, eval_str=True)
    except Exception:  # noqa: BLE001  an annotation that only type checkers can resolve is code that fails in any way
        return inspect.signature(function)


def _described(parameter: inspect.Parameter) -> list[Any]:
    described: list[Any] = [parameter.name, _parameter_type(parameter)]
    if parameter.default is not parameter.empty:
        described.append(_plain(parameter.default))
    return described


def _parameter_type(parameter: inspect.Parameter) -> str:
    if parameter.name in {"dtype", "device"}:
        return f"{parameter.name} | None"
    if parameter.annotation is not parameter.empty:
        return type_text(parameter.annotation)
    if isinstance(parameter.default, bool):
        return "bool"
    if isinstance(parameter.default, int | float):
        return "float"
    return "str" if isinstance(parameter.default, str) else "Any"


def _plain(default: object) -> object:
    if isinstance(default, tuple | list):
        return [_plain(item) for item in default]
    return default if isinstance(default, bool | int | float | str | None) else None


def type_text(annotation: Any) -> str:
    """Return an annotation in the words of `paramctl.spec.signatures.parse_type`; ``Any`` for what has no word."""
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    if annotation is None:
        return "None"
    if isinstance(annotation, typing.TypeVar):
        return type_text(annotation.__bound__)
    if isinstance(annotation, str):
        known = getattr(nn, annotation, None)
        return type_text(known) if known is not None else "Any"
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        return _class_text(annotation)
    return _generic_text(annotation)


def _class_text(annotation: type) -> str:
    if issubclass(annotation, nn.Module):
        return "Module"
    known = {torch.Tensor: "Tensor", torch.dtype: "dtype", torch.device: "device", torch.Size: "list[int]"}
    return known.get(annotation, "Any")


def _generic_text(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in {typing.Union, types.UnionType}:
        return " | ".join(dict.fromkeys(map(type_text, arguments)))
    if origin is typing.Literal:
        return f"Literal[{', '.join(map(repr, arguments))}]"
    if origin is tuple:
        return f"tuple[{', '.join('...' if item is ... else type_text(item) for item in arguments)}]"
    if origin in {list, collections.abc.Sequence, collections.abc.Iterable}:
        return f"list[{type_text(arguments[0])}]"
    if origin is collections.abc.Callable:
        return "Callable"
    return "Any"


if __name__ == "__main__":
    catalog = live_catalog()
    lines = (f"    {json.dumps(name)}: {json.dumps(catalog.entries[name])}" for name in catalog.names())
    sys.stdout.write(f'{{\n  "torch": "{catalog.torch_version}",\n  "layers": {{\n' + ",\n".join(lines) + "\n  },\n")
    lines = (f"    {json.dumps(name)}: {json.dumps(names)}" for name, names in catalog.attributes.items())
    sys.stdout.write('  "attributes": {\n' + ",\n".join(lines) + "\n  }\n}\n")
