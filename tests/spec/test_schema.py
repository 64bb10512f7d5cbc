"""The JSON Schema: it admits what the reader admits, and points at what is misspelt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from paramctl.spec.catalog import load_catalog
from paramctl.spec.document import Node, ScalarNode, SequenceNode, compose
from paramctl.spec.schema import make_schema

ROOT = Path(__file__).parent.parent.parent
VALIDATOR = jsonschema.Draft202012Validator(make_schema(load_catalog()))


def plain(node: Node) -> Any:
    if isinstance(node, ScalarNode):
        return node.value
    if isinstance(node, SequenceNode):
        return [plain(item) for item in node.items]
    return {name: plain(value) for name, (_, value) in node.entries.items()}


def errors(text: str) -> list[str]:
    return [error.json_path for error in VALIDATOR.iter_errors(plain(compose(text, "x").root))]


def test_it_is_a_schema_itself():
    VALIDATOR.check_schema(VALIDATOR.schema)


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_spec_fits(path):
    assert errors(path.read_text()) == []


@pytest.mark.parametrize(
    "layers",
    [
        "[ReLU, {ReLU: null}, {Dropout: 0.5}, {Linear: [4, 3]}, {Linear: {in_features: 4, out_features: 3, bias: false}}]",
        "{body: {Sequential: [ReLU]}, head: {ModuleDict: {a: Tanh}}}",
        "[{Repeat: {times: 2, layer: ReLU}}, {Residual: [ReLU]}, {Residual: {layers: [ReLU], shortcut: []}}]",
        "[{_target_: torch.nn.Linear, in_features: 4}, {class_path: torch.nn.ReLU, init_args: {inplace: true}}]",
        "[mine.Block, {layers.py:Block: {dim: 3}}]",
        "[{Conv2d: {in_channels: 1, out_channels: 1, kernel_size: [3, 3], padding: same}}, {Identity: {any: 3}}]",
        "[{TransformerEncoder: {encoder_layer: {TransformerEncoderLayer: [8, 2]}, num_layers: 2}}]",
    ],
)
def test_what_the_reader_admits_fits(layers):
    assert errors(f"layers: {layers}") == []


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("layers: [RELU]", "$.layers[0]"),
        ("layers: [{Liner: [4, 3]}]", "$.layers[0]"),
        ("layers: [{Linear: {in_featurs: 4, out_features: 3, in_features: 4}}]", "$.layers[0].Linear"),
        ("layers: [{Linear: {in_features: '4', out_features: 3}}]", "$.layers[0].Linear.in_features"),
        ("layers: [{Linear: [4]}]", "$.layers[0].Linear"),
        ("layers: [{ReLU: [true, 2]}]", "$.layers[0].ReLU"),
        ("layers: [Linear]", "$.layers[0]"),
        ("layers: [{LazyLinear: 3}]", "$.layers[0]"),
        ("layers: [{Sequential: [RELU]}]", "$.layers[0].Sequential[0]"),
        ("layers: [{Repeat: {times: 0, layer: ReLU}}]", "$.layers[0].Repeat.times"),
        ("layers: []", "$.layers"),
        ("layers: [ReLU]\nsed: 1", "$"),
        ("layers: [ReLU]\nloss: total", "$.loss"),
        ("layers: [ReLU]\ninput: {shape: [2, -4]}", "$.input.shape[1]"),
        ("layers: [ReLU]\ninit: [{match: '*', scheme: norml}]", "$.init[0]"),
        ("layers: [ReLU]\ntie: [[a]]", "$.tie[0]"),
        ("name: x", "$"),
    ],
)
def test_what_is_wrong_is_pointed_at(text, path):
    assert errors(text) == [path]


def test_the_command_prints_it(paramctl, tmp_path):
    result = paramctl("schema", "--output", tmp_path / "schema.json")
    assert (result.code, result.out) == (0, "")
    import json

    assert json.loads((tmp_path / "schema.json").read_text()) == VALIDATOR.schema
    assert json.loads(paramctl("schema").out) == VALIDATOR.schema
