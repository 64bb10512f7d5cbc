"""What is listed without building is what the built model holds."""

from __future__ import annotations

import json
from contextlib import nullcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paramctl.errors import ParamctlError
from paramctl.references import Allowance
from paramctl.spec.catalog import load_catalog
from paramctl.spec.read import read_spec
from paramctl.tensors.building.build import build
from paramctl.tensors.building.construct import user_signature
from paramctl.tensors.building.outline import outline
from paramctl.tensors.collect import take_inventory

SIZES = st.integers(1, 3)
LEAVES = st.one_of(
    st.just("ReLU"),
    st.builds(lambda a, b: {"Linear": [a, b]}, SIZES, SIZES),
    st.builds(lambda a: {"BatchNorm1d": a}, SIZES),
    st.builds(lambda a: {"MultiheadAttention": [a, 1]}, SIZES),
    st.builds(lambda a, b: {"LSTM": [a, b]}, SIZES, SIZES),
)


def containers(inner):
    children = st.lists(inner, min_size=1, max_size=3)
    named = st.dictionaries(st.sampled_from("abcd"), inner, min_size=1, max_size=3)
    return st.one_of(
        st.builds(lambda layers: {"Sequential": layers}, children | named),
        st.builds(lambda layers: {"ModuleList": layers}, children),
        st.builds(lambda layers: {"ModuleDict": layers}, named),
        st.builds(lambda times, layers: {"Repeat": {"times": times, "layers": layers}}, SIZES, children | named),
        st.builds(lambda times, layer: {"Repeat": {"times": times, "layer": layer}}, SIZES, inner),
        st.builds(lambda layers, short: {"Residual": {"layers": layers, "shortcut": short}}, children, children),
        st.builds(lambda layers: {"Residual": layers}, children),
    )


LAYERS = st.lists(st.recursive(LEAVES, containers, max_leaves=8), min_size=1, max_size=4)
FREEZE = st.lists(st.sampled_from(["*.weight", "0.*", "*.bias*", "*.nothing"]), max_size=2)


def read(text):
    return read_spec(
        text,
        "spec.yaml",
        directory=None,
        allowance=Allowance(),
        catalog=load_catalog(),
        signature_of=user_signature,
    )


@settings(max_examples=150, deadline=None)
@given(LAYERS, FREEZE, st.sampled_from([None, "bfloat16", "float64"]))
def test_the_outline_of_any_spec_is_the_inventory_of_its_model(layers, freeze, dtype):
    spec = read(json.dumps({"layers": layers, "freeze": freeze} | ({"dtype": dtype} if dtype else {})))
    held, notes = outline(spec, buffers=True, modules=True)
    built = build(spec)
    assert held == take_inventory(built.net)
    assert notes == built.notes


@pytest.mark.parametrize(
    "text",
    [
        "layers: [&a {Linear: [2, 2]}, ReLU, *a]",
        "layers: [{Linear: [2, 2]}, {Linear: [2, 2]}]\ntie: [[1.weight, 0.weight]]",
        "layers: [{TransformerEncoder: {encoder_layer: {TransformerEncoderLayer: [4, 2]}, num_layers: 2}}]",
    ],
)
def test_a_spec_with_ties_aliases_or_layers_as_arguments_is_built(text):
    with pytest.warns(UserWarning, match="enable_nested_tensor") if "Encoder" in text else nullcontext():
        spec = read(text)
        assert outline(spec)[0] == take_inventory(build(spec).net)


def test_a_chain_of_aliases_below_the_limit_lists_every_name():
    lines = ["layers:", "  a0: &a0 {Linear: [1, 1, false]}"]
    for level in range(1, 5):
        aliases = ", ".join([f"*a{level - 1}"] * 6)
        lines.append(f"  a{level}: &a{level} {{Sequential: [{aliases}]}}")
    (record,) = outline(read("\n".join(lines)))[0].parameters
    assert len(record.names) == 1 + 6 + 36 + 216 + 1296
    assert record.owners == 1


@pytest.mark.parametrize(
    "text",
    [
        "layers: [{Repeat: {times: 100000, layer: {Repeat: {times: 100000, layer: ReLU}}}}]",
        "layers: {a: &a {Sequential: [ReLU, ReLU, ReLU, ReLU, ReLU, ReLU, ReLU, ReLU, ReLU, ReLU]}, "
        + ", ".join(
            f"{x}: &{x} {{Sequential: [{', '.join([f'*{y}'] * 10)}]}}" for y, x in zip("abcdef", "bcdefg", strict=True)
        )
        + "}",
        "layers: [{Repeat: {times: 5000000, layer: {BatchNorm1d: {num_features: 1, affine: false}}}}]",
    ],
    ids=["repeat", "alias", "buffers"],
)
def test_a_bomb_without_parameters_is_refused_too(text):
    with pytest.raises(ParamctlError, match="places of modules and buffers, more than the limit of 5,000,000"):
        outline(read(text), buffers=True)


def test_nothing_is_allocated_and_no_layer_is_built_twice(monkeypatch):
    from paramctl.tensors.building import construct

    built = []
    original = construct._torch_layer
    monkeypatch.setattr(construct, "_torch_layer", lambda *args: built.append(args[0].name) or original(*args))
    spec = read("layers: [{Repeat: {times: 1000, layers: [{Linear: [100000, 100000]}, {RNN: [10000, 10000]}]}}]")
    held, _ = outline(spec)
    assert sum(record.numel for record in held.parameters) == 1000 * (10**10 + 10**5 + 2 * 10**8 + 2 * 10**4)
    assert built == ["RNN"]
