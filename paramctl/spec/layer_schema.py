"""The JSON Schema of a layer in each of the ways in which it is written: our own, Hydra's and LightningCLI's."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, TypeAlias

from paramctl.records import ITEM_SIZES
from paramctl.spec.catalog import Catalog
from paramctl.spec.model import MAX_NAMES
from paramctl.spec.signatures import ArgumentType, LayerSignature

Schema: TypeAlias = dict[str, Any]

IMPORT_PATH: Final = r"[.:]"
"""What tells the import path of a function of one's own from a name of torch's."""
_OWN: Final = r"^(?!(torch\.)?nn\.).*[.:]"
"""The same for a layer, since what stands below torch.nn must be one of its layers."""
_BELOW_TORCH: Final = r"(torch\.)?nn\.(.*\.)?"
"""What may stand before the name of a layer, such as ``torch.nn.modules.linear.``."""

_LAYER: Final[Schema] = {"$ref": "#/$defs/layer"}
_CHILDREN: Final[Schema] = {"$ref": "#/$defs/children"}
LAYERS: Final[Schema] = {"$ref": "#/$defs/layers"}
_HYDRA_KEYS: Final = ("_target_", "_args_", "_convert_", "_recursive_")
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
_CONTAINERS: Final[Mapping[str, Schema]] = {
    "Sequential": _CHILDREN,
    "ModuleList": {"type": "array", "items": _LAYER},
    "ModuleDict": {"type": "object", "additionalProperties": _LAYER},
}
_OWN_LAYERS: Final[Mapping[str, Schema]] = {
    "Repeat": {
        "type": "object",
        "required": ["times"],
        "properties": {
            "times": {"type": "integer", "minimum": 1, "maximum": MAX_NAMES},
            "layers": LAYERS,
            "layer": _LAYER,
        },
        "oneOf": [{"required": ["layers"]}, {"required": ["layer"]}],
        "additionalProperties": False,
    },
    "Residual": {
        "type": ["array", "object"],
        "items": _LAYER,
        "minItems": 1,
        "required": ["layers"],
        "properties": {"layers": LAYERS, "shortcut": _CHILDREN},
        "additionalProperties": False,
    },
}
"""What torch.nn does not have, so that it is written by its bare name alone."""


def layer_definitions(catalog: Catalog) -> Schema:
    """Return the definitions for `$defs`; among them are ``layer``, ``layers`` and ``children``.

    What stands behind the name of a layer is defined under that name, and what each argument may be, by name and by
    position, under ``NAME.arguments``: Hydra writes them beside other keys.
    """
    signatures = [catalog[name] for name in catalog.names() if name not in _CONTAINERS and not catalog[name].lazy]
    bare = [*_CONTAINERS, *(each.name for each in signatures if not each.required)]
    every = [*_CONTAINERS, *(each.name for each in signatures)]
    return {
        "layer": {
            "type": ["string", "object"],
            "if": {"type": "string"},
            "then": _name(bare, bare),
            "else": {
                "if": {"required": ["_target_"]},
                "then": {"$ref": "#/$defs/hydra"},
                "else": {
                    "if": {"required": ["class_path"]},
                    "then": {"$ref": "#/$defs/lightning"},
                    "else": _named(every),
                },
            },
        },
        "layers": {**_nested(), "minItems": 1, "minProperties": 1},
        "children": _nested(),
        "hydra": _hydra(signatures, every),
        "lightning": _lightning(signatures, every),
        **{f"{name}.name": {"type": "string", "pattern": rf"^({_BELOW_TORCH})?{name}$"} for name in every},
        **{f"{each.name}.arguments": _arguments(each) for each in signatures},
        **{each.name: _body(each) for each in signatures},
        **_CONTAINERS,
        **_OWN_LAYERS,
    }


def _nested() -> Schema:
    return {"type": ["array", "object"], "items": _LAYER, "additionalProperties": _LAYER}


def _name(names: Collection[str], completed: Collection[str]) -> Schema:
    """Return the schema of a string that names one of some layers, or one of the user's own.

    Args:
        names: the layers.
        completed: what an editor offers.

    """
    return {
        "type": "string",
        "anyOf": [
            {"enum": list(completed)},
            {"pattern": rf"^({_BELOW_TORCH})?({'|'.join(names)})$"},
            {"pattern": _OWN},
        ],
    }


def _named(names: Collection[str]) -> Schema:
    """Return the schema of a mapping from a layer's name to its arguments."""
    by_name: Schema = {name: {"$ref": f"#/$defs/{name}"} for name in names}
    return {
        "minProperties": 1,
        "maxProperties": 1,
        "properties": by_name | {name: {"$ref": f"#/$defs/{name}"} for name in _OWN_LAYERS},
        "patternProperties": {f"^{_BELOW_TORCH}{name}$": schema for name, schema in by_name.items()} | {_OWN: {}},
        "additionalProperties": False,
    }


def _hydra(signatures: Collection[LayerSignature], names: Collection[str]) -> Schema:
    """Return the schema of ``_target_: torch.nn.Linear`` with the arguments beside it."""
    keys: Schema = {"_target_": _name(names, [f"torch.nn.{name}" for name in names]), "_args_": {"type": "array"}}
    choices = [
        {
            "if": {"properties": {"_target_": {"$ref": f"#/$defs/{each.name}.name"}}},
            "then": {
                "$ref": f"#/$defs/{each.name}.arguments",
                "properties": {"_args_": {"$ref": f"#/$defs/{each.name}.arguments"}},
                **_allowed_names(each, _HYDRA_KEYS),
                **_needed(each, unless="_args_"),
            },
        }
        for each in signatures
    ]
    containers = [
        {
            "if": {"properties": {"_target_": {"$ref": f"#/$defs/{name}.name"}}},
            "then": {
                "properties": {"_args_": schema, "modules": schema},
                "propertyNames": {"enum": [*_HYDRA_KEYS, "modules"]},
            },
        }
        for name, schema in _CONTAINERS.items()
    ]
    return {"properties": keys, "allOf": [*choices, *containers]}


def _lightning(signatures: Collection[LayerSignature], names: Collection[str]) -> Schema:
    """Return the schema of ``class_path: torch.nn.Linear`` with the arguments in ``init_args``."""
    choices = [
        {
            "if": {"properties": {"class_path": {"$ref": f"#/$defs/{each.name}.name"}}},
            "then": {
                "properties": {"init_args": {"$ref": f"#/$defs/{each.name}"}},
                **({"required": ["init_args"]} if each.required else {}),
            },
        }
        for each in signatures
    ]
    containers = [
        {
            "if": {"properties": {"class_path": {"$ref": f"#/$defs/{name}.name"}}},
            "then": {"properties": {"init_args": {"properties": {"modules": schema}, "additionalProperties": False}}},
        }
        for name, schema in _CONTAINERS.items()
    ]
    path = _name(names, [f"torch.nn.{name}" for name in names])
    return {
        "properties": {"class_path": path, "init_args": {"type": ["object", "null"]}},
        "additionalProperties": False,
        "allOf": [*choices, *containers],
    }


def _body(signature: LayerSignature) -> Schema:
    """Return the schema of what stands behind a layer's name: arguments by name, by position, or one alone."""
    positional = signature.positional
    required = [each for each in positional if each.required]
    types = ["object", "array"]
    if positional and len(required) <= 1:
        types += _scalar_types(positional[0].type)
    if signature.required:
        types = [each for each in types if each != "null"]  # it stands for no argument
    else:
        types.append("null")
    return {
        "type": list(dict.fromkeys(types)),
        "$ref": f"#/$defs/{signature.name}.arguments",
        "minItems": len(required),
        **_allowed_names(signature),
        **_needed(signature),
    }


def _allowed_names(signature: LayerSignature, others: Collection[str] = ()) -> Schema:
    if signature.more_keywords:
        return {}
    return {"propertyNames": {"enum": [*_writable(signature), *others]}}


def _needed(signature: LayerSignature, unless: str | None = None) -> Schema:
    names = [name for name in _writable(signature) if name in signature.required]
    needed: Schema = {"required": names} if names else {}
    return {"if": {"required": [unless]}, "else": needed} if unless and needed else needed


def _writable(signature: LayerSignature) -> list[str]:
    return [name for name in signature.names() if not name.startswith("_")]


def _arguments(signature: LayerSignature) -> Schema:
    """Return the schema of a layer's arguments, in a mapping by name and in a list by position."""
    by_name = signature.by_name
    schema: Schema = {
        "properties": {name: _described(by_name[name].type, by_name[name].default) for name in _writable(signature)},
        "items": signature.more_positional,
    }
    if signature.positional:
        schema["prefixItems"] = [_type(each.type) for each in signature.positional]
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
