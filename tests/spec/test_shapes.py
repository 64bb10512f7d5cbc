"""The hint about the input that a model takes: an input made from it must pass the first layer."""

from __future__ import annotations

import pytest
import torch

from paramctl.spec.inputs import parse_fill, parse_shape
from paramctl.spec.shapes import first_layer, shape_taken
from paramctl.tensors.build import build
from paramctl.tensors.loss import draw_tensor


@pytest.mark.parametrize(
    "layer",
    [
        "Linear: [4, 3]", "Linear: {out_features: 3, in_features: 4}", "Embedding: [10, 3]", "Conv1d: [3, 2, 1]",
        "Conv2d: [3, 2, 1]", "Conv3d: [3, 2, 1]", "ConvTranspose2d: [3, 2, 1]", "BatchNorm1d: 5", "BatchNorm2d: 5",
        "LSTM: [4, 2]", "GRU: [4, 2]", "RNN: [4, 2]", "TransformerEncoderLayer: [8, 2]",
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
