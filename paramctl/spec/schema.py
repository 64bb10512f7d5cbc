"""The JSON Schema of a spec (draft 2020-12), made from the signatures of torch.nn's layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from paramctl.records import FLOATING_DTYPES, ITEM_SIZES
from paramctl.scheme_options import Option
from paramctl.schemes import SCHEMES
from paramctl.spec.catalog import Catalog
from paramctl.spec.model import FILLS, LOSSES, MAX_NAMES, MAX_SEED, MIN_SEED
from paramctl.spec.signatures import ArgumentType, LayerSignature

Schema: TypeAlias = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_LAYER: Final[Schema] = {"$ref": "#/$defs/layer"}
_LAYERS: Final[Schema] = {"$ref": "#/$defs/layers"}
_CHILDREN: Final[Schema] = {"$ref": "#/$defs/children"}
_IMPORT_PATH: Final = r"[.:]"
"""What tells the import path of a layer or function of one's own from a name of torch's."""
_SCALARS: Final = ["number", "boolean", "string", "null"]
_WORDS: Final = ("str", "literal", "dtype", "Module", "Callable")
"""The types whose values are written as a string."""
_SIMPLE_TYPES: Final[Mapping[str, Schema]] = {
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "str": {"type": "string"},
    "None": {"type": "null"},
    "dtype": {"enum": list(ITEM_SIZES)},
    "Module": _LAYER,
    "Callable": _LAYER,
    "Tensor": {"not": {}},
    "device": {"not": {}},
    "Any": {},
}
_SIZE: Final[Schema] = {"type": "integer", "minimum": 0}


def make_schema(catalog: Catalog) -> Schema:
    """Return the schema, with which an editor completes and checks the names and arguments of layers.

    Where a value may be of several types, the keywords of all stand side by side instead of in an `anyOf`: each applies
    to its own type only, and a validator can point at the very value that is wrong.
    """
    return {
        "$schema": DIALECT,
        "title": "paramctl spec",
        "type": "object",
        "required": ["layers"],
        "additionalProperties": False,
        "properties": {"name": {"type": "string"}, "layers": _LAYERS, **_settings()},
        "$defs": {
            "layer": _layer(catalog),
            "layers": {**_nested("array", "object"), "minItems": 1, "minProperties": 1},
            "children": _nested("array", "object", "null"),
        },
    }


def _nested(*types: str) -> Schema:
    return {"type": list(types), "items": _LAYER, "additionalProperties": _LAYER}


def _layer(catalog: Catalog) -> Schema:
    signatures = [catalog[name] for name in catalog.names() if name not in _CONTAINERS and not catalog[name].lazy]
    bare = [each.name for each in signatures if not any(parameter.required for parameter in each.parameters)]
    named: Schema = {
        "minProperties": 1,
        "maxProperties": 1,
        "properties": {each.name: _arguments(each) for each in signatures} | _CONTAINERS,
        "patternProperties": {_IMPORT_PATH: {}},
        "additionalProperties": False,
    }
    return {
        "type": ["string", "object"],
        "if": {"type": "string"},
        "then": {"anyOf": [{"enum": [*bare, "Sequential", "ModuleList", "ModuleDict"]}, {"pattern": _IMPORT_PATH}]},
        "else": {
            "if": {"required": ["_target_"]},
            "then": {"properties": {"_target_": {"type": "string"}}},
            "else": {"if": {"required": ["class_path"]}, "then": _LIGHTNING, "else": named},
        },
    }


_REPEAT: Final[Schema] = {
    "type": "object",
    "required": ["times"],
    "properties": {
        "times": {"type": "integer", "minimum": 1, "maximum": MAX_NAMES},
        "layers": _LAYERS,
        "layer": _LAYER,
    },
    "oneOf": [{"required": ["layers"]}, {"required": ["layer"]}],
    "additionalProperties": False,
}
_RESIDUAL: Final[Schema] = {
    "type": ["array", "object"],
    "items": _LAYER,
    "minItems": 1,
    "required": ["layers"],
    "properties": {"layers": _LAYERS, "shortcut": _CHILDREN},
    "additionalProperties": False,
}
_LIGHTNING: Final[Schema] = {
    "properties": {"class_path": {"type": "string"}, "init_args": {"type": ["object", "null"]}},
    "additionalProperties": False,
}
_CONTAINERS: Final[Schema] = {
    "Sequential": _CHILDREN,
    "ModuleList": _CHILDREN,
    "ModuleDict": _CHILDREN,
    "Repeat": _REPEAT,
    "Residual": _RESIDUAL,
}


def _arguments(signature: LayerSignature) -> Schema:
    """Return the schema of what stands behind a layer's name: arguments by name, by position, or one alone."""
    writable = [
        each for each in signature.parameters if not each.type.allows("device") and not each.name.startswith("_")
    ]
    positional = signature.positional
    required = [each for each in positional if each.required]
    schema: Schema = {
        "type": ["object", "array"],
        "properties": {each.name: _described(each.type, each.default) for each in writable},
        "required": [each.name for each in writable if each.required],
        "additionalProperties": signature.more_keywords,
        "minItems": len(required),
        "items": signature.more_positional,
    }
    if positional:
        schema["prefixItems"] = [_type(each.type) for each in positional]
        if len(required) <= 1:
            schema["type"] += _scalar_types(positional[0].type)
    if not any(each.required for each in signature.parameters):
        schema["type"] = list(dict.fromkeys([*schema["type"], "null"]))
    return schema


def _scalar_types(kind: ArgumentType) -> list[str]:
    """Return the types of the scalars that an argument may be."""
    names = {"int": ["integer"], "float": ["number"], "bool": ["boolean"], "None": ["null"], "Any": _SCALARS}
    types = [
        name for each in kind.alternatives for name in names.get(each.name, ["string"] if each.name in _WORDS else [])
    ]
    return list(dict.fromkeys(types))


def _described(kind: ArgumentType, default: object) -> Schema:
    schema = _type(kind)
    return schema if default is None else {**schema, "default": default}


def _type(kind: ArgumentType) -> Schema:
    match kind.name:
        case "union":
            return {"anyOf": [_type(each) for each in kind.items]}
        case "literal":
            return {"enum": list(kind.choices)}
        case "list":
            return {"type": "array", "items": _type(kind.items[0])}
        case "tuple":
            items = [_type(each) for each in kind.items]
            return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
        case _:
            return dict(_SIMPLE_TYPES[kind.name])


def _settings() -> Schema:
    names: Schema = {"type": "array", "items": {"type": "string"}}
    return {
        "input": {
            "type": "object",
            "required": ["shape"],
            "properties": {
                "shape": {"type": "array", "items": _SIZE},
                "fill": {"oneOf": [{"enum": [fill for fill in FILLS if fill != "randint"]}, _randint()]},
                "dtype": {"enum": list(ITEM_SIZES)},
            },
            "additionalProperties": False,
        },
        "loss": {"enum": list(LOSSES)},
        "init": {"type": "array", "items": {"oneOf": _rules()}},
        "tie": {"type": "array", "items": {**names, "minItems": 2}},
        "freeze": names,
        "dtype": {"enum": list(FLOATING_DTYPES)},
        "seed": {"type": "integer", "minimum": MIN_SEED, "maximum": MAX_SEED},
    }


def _randint() -> Schema:
    bounds = {"low": {"type": "integer"}, "high": {"type": "integer"}}
    randint = {"type": "object", "required": ["high"], "properties": bounds, "additionalProperties": False}
    return {
        "type": "object",
        "required": ["randint"],
        "properties": {"randint": randint},
        "additionalProperties": False,
    }


def _rules() -> list[Schema]:
    """Return a schema for the rule of each scheme, and one for functions and schemes with options in their text."""
    match: Schema = {"match": {"type": "string"}}
    rules: list[Schema] = [
        {
            "type": "object",
            "required": [
                "match",
                "scheme",
                *(option.name for option in scheme.options.values() if option.default is None),
            ],
            "properties": {
                **match,
                "scheme": {"const": scheme.name},
                **{option.name: _option(option) for option in scheme.options.values()},
            },
            "additionalProperties": False,
        }
        for scheme in SCHEMES.values()
    ]
    written = {"type": "string", "pattern": _IMPORT_PATH}
    rules.append({"type": "object", "required": ["match", "scheme"], "properties": {**match, "scheme": written}})
    return rules


def _option(option: Option) -> Schema:
    if option.choices:
        return {"enum": list(option.choices), "default": option.default}
    schema: Schema = {"type": "integer" if option.type is int else "number"}
    return schema if option.default is None else {**schema, "default": option.default}
