"""The JSON Schema: it admits what the reader admits, and points at what is misspelt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from paramctl.errors import ParamctlError
from paramctl.spec.catalog import load_catalog
from paramctl.spec.document import Node, ScalarNode, SequenceNode, compose
from paramctl.spec.schema import make_schema

ROOT = Path(__file__).parent.parent.parent
CONTAINERS = ("Sequential", "ModuleList", "ModuleDict")
CATALOG = load_catalog()
VALIDATOR = jsonschema.Draft202012Validator(make_schema(CATALOG))


def plain(node: Node) -> Any:
    if isinstance(node, ScalarNode):
        return node.value
    if isinstance(node, SequenceNode):
        return [plain(item) for item in node.items]
    return {name: plain(value) for name, (_, value) in node.entries.items()}


def faults(text: str) -> list[jsonschema.ValidationError]:
    return list(VALIDATOR.iter_errors(plain(compose(text, "x").root)))


def errors(text: str) -> list[str]:
    return [fault.json_path for fault in faults(text)]


def test_it_is_a_schema_itself():
    VALIDATOR.check_schema(VALIDATOR.schema)


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_spec_fits(path):
    assert errors(path.read_text()) == []


@pytest.mark.parametrize(
    "layers",
    [
        "[ReLU, {ReLU: null}, {Dropout: 0.5}, {Linear: [4, 3]}, {Linear: {in_features: 4, out_features: 3, bias: false}}]",
        "{body: {Sequential: [ReLU]}, head: {ModuleDict: {a: Tanh}}, tail: {ModuleList: [Tanh]}}",
        "[{Repeat: {times: 2, layer: ReLU}}, {Residual: [ReLU]}, {Residual: {layers: [ReLU], shortcut: []}}]",
        "[{Conv2d: {in_channels: 1, out_channels: 1, kernel_size: [3, 3], padding: same}}, {Identity: {any: 3}}]",
        "[{TransformerEncoder: {encoder_layer: {TransformerEncoderLayer: [8, 2]}, num_layers: 2}}]",
        "[torch.nn.ReLU, nn.ReLU, torch.nn.modules.activation.ReLU, torch.nn.ModuleList]",
        "[{torch.nn.Linear: [4, 3]}, {nn.Dropout: 0.5}, {torch.nn.modules.linear.Linear: {in_features: 4, out_features: 3}}]",
        "[{nn.Sequential: [nn.ReLU]}, {torch.nn.ModuleDict: {a: ReLU}}]",
        "[{_target_: torch.nn.Linear, in_features: 4, out_features: 3}, {_target_: Linear, _args_: [4, 3]}]",
        "[{_target_: nn.Linear, _args_: [4], out_features: 3, _convert_: all, _recursive_: false}, {_target_: nn.ReLU}]",
        "[{_target_: torch.nn.Sequential, _args_: [ReLU]}, {_target_: torch.nn.ModuleDict, modules: {a: ReLU}}]",
        "[{_target_: torch.nn.TransformerEncoder, encoder_layer: {_target_: torch.nn.TransformerEncoderLayer, d_model: 8, nhead: 2}, num_layers: 2}]",
        "[{class_path: torch.nn.Linear, init_args: {in_features: 4, out_features: 3}}, {class_path: torch.nn.ReLU}]",
        "[{class_path: ReLU, init_args: null}, {class_path: torch.nn.ModuleList, init_args: {modules: [ReLU]}}]",
        "[{_target_: torch.nn.Identity, any: 3}, {class_path: torch.nn.Identity, init_args: {any: 3}}]",
        "[{LayerNorm: 4}, {LayerNorm: [[4, 3]]}, {torch.nn.AdaptiveAvgPool2d: [null]}]",
    ],
)
def test_what_the_reader_admits_fits(layers, spec):
    spec(f"layers: {layers}")
    assert errors(f"layers: {layers}") == []


@pytest.mark.parametrize(
    "layer",
    ["mypkg.Layer", "mypkg.sub:Layer", "'layers.py:Block'", "{mypkg.Layer: 3}", "{dir/layers.py:Block: {dim: 3}}",
     "{_target_: mypkg.Layer, dim: 3, _args_: [1]}", "{class_path: 'file.py:Layer', init_args: {dim: 3}}",
     "{nnx.Layer: {dim: 3}}", "{torch.ao.nn.Layer: {dim: 3}}"],
)  # fmt: skip
def test_layers_of_ones_own_fit_with_whatever_arguments(layer):
    assert errors(f"layers: [{layer}]") == []


@pytest.mark.parametrize(
    ("layer", "path"),
    [
        ("torch.nn.Relu", ""),
        ("torch.nn.Linear", ""),
        ("nn.py:Layer", ""),
        ("{torch.nn.Liner: {in_features: 4, out_features: 3}}", ""),
        ("{nn.Liner: [4, 3]}", ""),
        ("{torch.nn.LazyLinear: 3}", ""),
        ("{torch.nn.Repeat: {times: 2, layer: ReLU}}", ""),
        ("{nn.Residual: [ReLU]}", ""),
        ("{torch.nn.Linear: {in_features: 4, out_features: 3, out_featurs: 3}}", "['torch.nn.Linear']"),
        ("{nn.modules.linear.Linear: {in_features: 4.5, out_features: 3}}", "['nn.modules.linear.Linear'].in_features"),
        ("{_target_: torch.nn.Liner}", "['_target_']"),
        ("{_target_: Liner, in_features: 4, out_features: 3}", "['_target_']"),
        ("{_target_: torch.nn.Linear, in_features: 4}", ""),
        ("{_target_: torch.nn.Linear, in_features: 4, out_features: 3, out_featurs: 3}", ""),
        ("{_target_: torch.nn.Linear, in_features: 4, out_features: x}", ".out_features"),
        ("{_target_: torch.nn.Linear, _args_: [4, x]}", "['_args_'][1]"),
        ("{_target_: torch.nn.Linear, _args_: 4, out_features: 3}", "['_args_']"),
        ("{_target_: torch.nn.ReLU, _args_: [true, 3]}", "['_args_']"),
        ("{_target_: torch.nn.ModuleDict, _args_: [ReLU]}", "['_args_']"),
        ("{_target_: torch.nn.ModuleList, modules: [Relu]}", ".modules[0]"),
        ("{_target_: 3}", "['_target_']"),
        ("{class_path: torch.nn.Liner, init_args: {in_features: 4}}", ".class_path"),
        ("{class_path: torch.nn.Linear, init_args: {in_features: 4, out_features: 3, out_featurs: 3}}", ".init_args"),
        ("{class_path: torch.nn.Linear, init_args: {in_features: 4, out_features: x}}", ".init_args.out_features"),
        ("{class_path: torch.nn.Linear}", ""),
        ("{class_path: torch.nn.ReLU, init_args: [true]}", ".init_args"),
        ("{class_path: torch.nn.ReLU, inplace: true}", ""),
        ("{class_path: torch.nn.ModuleDict, init_args: {modules: [ReLU]}}", ".init_args.modules"),
        ("{ModuleDict: [ReLU]}", ".ModuleDict"),
        ("{ModuleList: {a: ReLU}}", ".ModuleList"),
        ("{Sequential: null}", ".Sequential"),
        ("{AdaptiveAvgPool2d: null}", ".AdaptiveAvgPool2d"),
    ],
)
def test_what_the_reader_refuses_in_a_layer_is_pointed_at(layer, path, spec):
    with pytest.raises(ParamctlError):
        spec(f"layers: [{layer}]")
    assert errors(f"layers: [{layer}]") == [f"$.layers[0]{path}"]


@pytest.mark.parametrize(
    "notation",
    ["{{torch.nn.{}: {{x_: 1}}}}", "{{_target_: nn.{}, x_: 1}}", "{{class_path: nn.{}, init_args: {{x_: 1}}}}"],
)
def test_no_layer_takes_an_argument_that_it_does_not_have(notation):
    names = [name for name in CATALOG.names() if not CATALOG[name].more_keywords and name not in CONTAINERS]
    assert len(names) > 100
    for name in names:
        messages = [fault.message for fault in faults(f"layers: [{notation.format(name)}]")]
        assert any("x_" in message or "Lazy" in message for message in messages), name


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
