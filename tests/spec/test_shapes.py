"""The hint about the input that a model takes: an input made from it must pass the first layer."""

from __future__ import annotations

import pytest
import torch

from paramctl.spec.inputs import parse_fill, parse_shape
from paramctl.spec.shapes import first_layer, shape_taken
from paramctl.tensors.building.build import build
from paramctl.tensors.gradients.loss import draw_tensor


@pytest.mark.parametrize(
    "layer",
    [
        "Linear: [4, 3]", "Linear: {out_features: 3, in_features: 4}", "Embedding: [10, 3]", "EmbeddingBag: [10, 3]",
        "Conv1d: [3, 2, 1]", "Conv2d: [3, 2, 1]", "Conv3d: [3, 2, 1]", "ConvTranspose1d: [3, 2, 1]",
        "ConvTranspose2d: [3, 2, 1]", "ConvTranspose3d: [3, 2, 1]", "BatchNorm1d: 5", "BatchNorm2d: 5",
        "BatchNorm3d: 5", "SyncBatchNorm: 5", "InstanceNorm1d: [5, 1e-5, 0.1, true]",
        "InstanceNorm2d: [5, 1e-5, 0.1, true]", "InstanceNorm3d: [5, 1e-5, 0.1, true]", "GroupNorm: [2, 6]",
        "GroupNorm: {num_channels: 6, num_groups: 3}", "LayerNorm: 4", "LayerNorm: [[4, 3]]", "RMSNorm: 4",
        "RMSNorm: {normalized_shape: [4, 3]}", "PReLU: 5", "LSTM: [4, 2]", "GRU: [4, 2]", "RNN: [4, 2]",
        "LSTM: {input_size: 4, hidden_size: 2, batch_first: true}", "RNNCell: [4, 2]", "LSTMCell: [4, 2]",
        "GRUCell: [4, 2]", "TransformerEncoderLayer: [8, 2]",
        "TransformerEncoder: {encoder_layer: {TransformerEncoderLayer: {d_model: 8, nhead: 2, batch_first: true}}, num_layers: 1}",
    ],
)  # fmt: skip
def test_an_input_made_from_the_hint_passes_the_layer(layer, spec):
    read = spec(f"layers: [ReLU, {{Sequential: [{{{layer}}}]}}]")
    found = first_layer(read.root)
    _, options = shape_taken(found)
    words = options.replace("'", "").split()
    shape = parse_shape(words[1], "")
    fill = parse_fill(words[3] if len(words) > 2 else "rand", "")
    dtype = torch.int64 if fill.name == "randint" else torch.float32
    given = draw_tensor(shape, fill, dtype, torch.Generator())
    with torch.device("cpu"):
        module = build(read).net[1][0].to_empty(device="cpu")
    for parameter in module.parameters():
        parameter.data.zero_()
    module(given)


def test_a_layer_whose_arguments_do_not_tell_gives_no_hint(spec):
    read = spec("layers: [{MaxPool2d: 2}, {Linear: [4, 3]}]")
    assert shape_taken(first_layer(read.root)) is None


def test_a_model_of_activations_has_no_first_layer(spec):
    assert first_layer(spec("layers: [ReLU, {Repeat: {times: 2, layer: Tanh}}]").root) is None


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        ("LayerNorm: [[4, 3]]", "[N, 4, 3]"),
        ("GroupNorm: [2, 6]", "[N, 6, L]"),
        ("EmbeddingBag: [10, 3]", "[N, T] of indexes below 10"),
        ("GRU: {input_size: 4, hidden_size: 2}", "[T, N, 4]"),
        ("GRU: {input_size: 4, hidden_size: 2, batch_first: true}", "[N, T, 4]"),
    ],
)
def test_the_shape_is_told_in_the_order_that_the_layer_takes(layer, shape, spec):
    assert shape_taken(first_layer(spec(f"layers: [{{{layer}}}]").root))[0] == shape


@pytest.mark.parametrize(
    "name",
    ["Identity", "Flatten", "Dropout", "AlphaDropout", "ReLU", "ReLU6", "LeakyReLU", "RReLU", "PReLU", "ELU", "SELU",
     "CELU", "GELU", "SiLU", "Mish", "Sigmoid", "LogSigmoid", "Tanh", "Softplus", "Softsign", "Tanhshrink",
     "Hardsigmoid", "Hardswish", "Hardtanh", "Hardshrink", "Softshrink", "{Threshold: [0.1, 20]}"],
)  # fmt: skip
def test_the_hint_passes_through_a_layer_that_takes_any_shape(name, spec):
    read = spec(f"layers: [{name}, {{Linear: [4, 3]}}]")
    assert first_layer(read.root).call.name == "Linear"
    module = build(read).net[0].to_empty(device="cpu")
    for shape in ((2, 4), (2, 3, 4), (2, 3, 5, 4)):
        assert module(torch.ones(shape)).numel() == torch.Size(shape).numel()


@pytest.mark.parametrize(
    ("layer", "shape", "hint"),
    [
        ("LayerNorm: [[4, 3]]", "2,3,4", "it takes [N, 4, 3]"),
        ("LayerNorm: [[4, 3]]", "3", "it takes [N, 4, 3]"),
        ("RMSNorm: 4", "4,5", "it takes [N, 4]"),
        ("GroupNorm: [2, 6]", "6,2,2", "it takes [N, 6, L]"),
        ("InstanceNorm2d: [5, 1e-5, 0.1, true]", "2,4,3,3", "it takes [N, 5, H, W]"),
        ("EmbeddingBag: [10, 3]", "2,4", "it takes indexes: try --fill 'randint(0,10)'"),
        ("GRUCell: [4, 2]", "2,5", "it takes [N, 4]"),
        ("PReLU: 5", "2,4", "it takes [N, 5]"),
    ],
)
def test_after_a_misfit_the_hint_says_what_the_layer_takes(layer, shape, hint, paramctl, write):
    result = paramctl("grad", write(f"layers: [{{{layer}}}]"), "--input-shape", shape)
    assert result.code == 2
    assert result.err.splitlines()[1] == f"  hint: {hint}"


def test_without_an_input_a_norm_tells_its_own(paramctl, write):
    result = paramctl("grad", write("layers: [{LayerNorm: [[4, 3]]}]"))
    assert result.err.splitlines()[1] == (
        "  hint: its first layer, LayerNorm((4, 3)), takes [N, 4, 3]: try --input-shape 2,4,3"
    )
    assert paramctl("grad", "spec.yaml", "--input-shape", "2,4,3").code == 0
