"""The recorded initialisation of torch.nn's layers against their own constructors."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from paramctl.tensors.build import build
from paramctl.tensors.defaults import record_programs
from paramctl.tensors.materialize import materialize, plan_drawings

LAYERS = {
    "AdaptiveLogSoftmaxWithLoss": [64, 1000, [100, 500]],
    "BatchNorm1d": [500],
    "BatchNorm2d": [500],
    "BatchNorm3d": [500],
    "Bilinear": [30, 20, 40],
    "Conv1d": [30, 40, 5],
    "Conv2d": {"in_channels": 32, "out_channels": 48, "kernel_size": 3, "groups": 4},
    "Conv3d": [8, 16, 3],
    "ConvTranspose1d": [30, 40, 5],
    "ConvTranspose2d": [30, 40, 3],
    "ConvTranspose3d": [8, 16, 3],
    "Embedding": {"num_embeddings": 200, "embedding_dim": 64, "padding_idx": 7},
    "EmbeddingBag": [200, 64],
    "GRU": [40, 30, 2],
    "GRUCell": [40, 30],
    "GroupNorm": [2, 500],
    "InstanceNorm1d": {"num_features": 500, "affine": True, "track_running_stats": True},
    "InstanceNorm2d": {"num_features": 500, "affine": True},
    "InstanceNorm3d": {"num_features": 500, "affine": True},
    "LSTM": {"input_size": 40, "hidden_size": 30, "proj_size": 10, "bidirectional": True},
    "LSTMCell": [40, 30],
    "LayerNorm": [[30, 20]],
    "Linear": [100, 200],
    "LinearCrossEntropyLoss": {"in_features": 100, "num_classes": 200, "bias": True},
    "MultiheadAttention": {"embed_dim": 64, "num_heads": 4, "add_bias_kv": True, "kdim": 32, "vdim": 48},
    "PReLU": [500],
    "RMSNorm": [500],
    "RNN": [40, 30],
    "RNNBase": ["GRU", 40, 30],
    "RNNCell": [40, 30],
    "SyncBatchNorm": [500],
    "Transformer": {"d_model": 32, "nhead": 2, "num_encoder_layers": 2, "num_decoder_layers": 2, "dim_feedforward": 64,
                    "batch_first": True},
    "TransformerDecoder": {"decoder_layer": {"TransformerDecoderLayer": [32, 2, 64]}, "num_layers": 2},
    "TransformerDecoderLayer": [32, 2, 64],
    "TransformerEncoder": {"encoder_layer": {"TransformerEncoderLayer": {"d_model": 32, "nhead": 2,
                           "dim_feedforward": 64, "batch_first": True}}, "num_layers": 2},
    "TransformerEncoderLayer": [32, 2, 64],
}  # fmt: skip


def drawn(read, seed):
    built = build(read, seed=seed)
    drawings, _ = plan_drawings(built.net, built.programs, ())
    materialize(built.net, drawings, built.programs, seed)
    return built.net[0]


def test_every_class_of_torch_nn_that_has_parameters_is_covered():
    with_parameters = set()
    for name, value in vars(nn).items():
        if (
            isinstance(value, type)
            and issubclass(value, nn.Module)
            and "device" in getattr(value.__init__, "__annotations__", {})
        ):
            with_parameters.add(name)
    assert not {name for name in with_parameters if not name.startswith("Lazy")} - LAYERS.keys()


@pytest.mark.parametrize("name", LAYERS)
def test_default_values_have_the_constructors_distribution_and_none_is_left_as_allocated(name, spec):
    arguments = LAYERS[name]
    text = str({"layers": [{name: arguments}]}).replace("True", "true")
    module = drawn(spec(text), seed=0)
    again = drawn(spec(text), seed=1)
    torch.manual_seed(0)
    keywords = arguments if isinstance(arguments, dict) else {}
    if name in {"TransformerEncoder", "TransformerDecoder"}:
        layer = nn.TransformerEncoderLayer if name == "TransformerEncoder" else nn.TransformerDecoderLayer
        theirs = getattr(nn, name)(layer(32, 2, 64, batch_first=True), 2)
    else:
        theirs = getattr(nn, name)(*(arguments if isinstance(arguments, list) else ()), **keywords)
    expected = {**dict(theirs.named_parameters()), **dict(theirs.named_buffers())}
    ours = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    others = {**dict(again.named_parameters()), **dict(again.named_buffers())}
    assert list(ours) == list(expected)
    for key, tensor in ours.items():
        reference = expected[key].double()
        values = tensor.detach().double()
        assert values.shape == reference.shape
        if reference.min() == reference.max():
            assert torch.equal(values, reference), key
            continue
        error = reference.std() / math.sqrt(values.numel())
        assert abs(values.mean() - reference.mean()) < 6 * error, key
        assert abs(values.std() - reference.std()) < 6 * error, key
        normal = "Embedding" in name or "bias_" in key
        assert values.abs().max() <= reference.abs().max() * (1.6 if normal else 1 + 10 / values.numel()), key
        assert not torch.equal(values, others[key].detach().double()), key


def test_recording_executes_nothing():
    linear = nn.Linear(3, 4)
    before = linear.weight.detach().clone()
    programs = record_programs(linear)
    assert torch.equal(linear.weight, before)
    assert [write.scheme.name for write in programs.of(linear.weight)] == ["kaiming_uniform"]


def test_a_parent_overwrites_what_its_children_wrote():
    attention = nn.MultiheadAttention(8, 2)
    programs = record_programs(attention)
    assert [write.scheme.name for write in programs.of(attention.out_proj.bias)] == ["constant"]


def test_the_padding_row_is_a_write_of_a_part():
    embedding = nn.Embedding(5, 3, padding_idx=2)
    normal, zero = record_programs(embedding).of(embedding.weight)
    assert normal.view is None
    assert zero.view == ((3,), (1,), 6)


def test_a_reset_of_the_users_own_is_not_run():
    class Own(nn.Linear):
        def reset_parameters(self):
            raise AssertionError("the user's code must not run")

    own = Own.__new__(Own)
    nn.Module.__init__(own)
    own.weight = nn.Parameter(torch.ones(2, 2))
    assert record_programs(own).of(own.weight) == ()
