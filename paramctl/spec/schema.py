"""The JSON Schema of a spec (draft 2020-12), made from the signatures of torch.nn's layers."""

from __future__ import annotations

from typing import Final

from paramctl.records import FLOATING_DTYPES, ITEM_SIZES
from paramctl.scheme_options import Option
from paramctl.schemes import SCHEMES
from paramctl.spec.catalog import Catalog
from paramctl.spec.layer_schema import IMPORT_PATH, LAYERS, Schema, layer_definitions
from paramctl.spec.model import FILLS, LOSSES
from paramctl.spec.seeds import MAX_SEED, MIN_SEED

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

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
        "properties": {"name": {"type": "string"}, "layers": LAYERS, **_settings()},
        "$defs": layer_definitions(catalog),
    }


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
    written = {"type": "string", "pattern": IMPORT_PATH}
    rules.append({"type": "object", "required": ["match", "scheme"], "properties": {**match, "scheme": written}})
    return rules


def _option(option: Option) -> Schema:
    if option.choices:
        return {"enum": list(option.choices), "default": option.default}
    schema: Schema = {"type": "integer" if option.type is int else "number"}
    return schema if option.default is None else {**schema, "default": option.default}
