"""The recorded initialisation of torch.nn's layers against their own constructors."""

from __future__ import annotations

import inspect
import math

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

import paramctl
from paramctl.tensors.building.build import build
from paramctl.tensors.initializing.defaults import record_programs
from paramctl.tensors.initializing.materialize import materialize, plan_drawings

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
        if isinstance(value, type) and issubclass(value, nn.Module):
            takes = inspect.signature(value).parameters
            if "device" in takes or issubclass(value, nn.RNNBase):
                with_parameters.add(name)
    made_of_layers_that_are_given = {"TransformerDecoder", "TransformerEncoder"}
    listed = {name for name in with_parameters if not name.startswith("Lazy")} - {"RNNCellBase"}
    assert listed | made_of_layers_that_are_given == LAYERS.keys()


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


COMPUTED = {
    "weight norm": lambda: parametrizations.weight_norm(nn.Linear(4, 3)),
    "spectral norm": lambda: parametrizations.spectral_norm(nn.Linear(4, 3)),
    "orthogonal": lambda: parametrizations.orthogonal(nn.Linear(4, 4)),
    "pruning": lambda: prune.l1_unstructured(nn.Linear(4, 3), "weight", 2),
    "a pruned LSTM": lambda: prune.l1_unstructured(nn.LSTM(4, 3), "weight_ih_l0", 2),
    "a part of a transformer": lambda: (
        layer := nn.TransformerEncoderLayer(8, 2, 16),
        parametrizations.spectral_norm(layer.self_attn.out_proj),
        parametrizations.spectral_norm(layer.linear1),
    )[0],
}


def every_tensor(module):
    """All tensors that a module holds, those too that are no parameter and no buffer."""
    held = {}
    for path, each in module.named_modules():
        plain = {name: value for name, value in vars(each).items() if isinstance(value, torch.Tensor)}
        for name, tensor in {**each._parameters, **each._buffers, **plain}.items():
            if tensor is not None:
                held[f"{path}.{name}"] = (tensor, tensor.detach().clone())
    return held


@pytest.mark.parametrize("kind", COMPUTED)
def test_initialising_without_rules_leaves_computed_tensors_and_random_generators_alone(kind):
    module = COMPUTED[kind]()
    before, state = every_tensor(module), torch.get_rng_state()
    paramctl.initialize(module)
    after = every_tensor(module)
    assert after.keys() == before.keys()
    assert all(after[name][0] is before[name][0] for name in before)
    assert all(torch.equal(after[name][1], before[name][1]) for name in before)
    assert torch.equal(torch.get_rng_state(), state)


def test_what_a_layer_with_computed_tensors_would_write_is_not_known():
    plain, normed = nn.Linear(4, 3), parametrizations.weight_norm(nn.Linear(4, 3))
    programs = record_programs(nn.Sequential(plain, normed))
    assert programs.of(plain.weight)
    assert not any(programs.of(parameter) for parameter in normed.parameters())


def test_a_parent_that_cannot_be_recorded_leaves_no_program_that_it_would_have_overwritten():
    net = nn.Transformer(8, 2, 1, 1, 16, batch_first=True)
    parametrizations.weight_norm(net.encoder.layers[0].linear1)
    assert record_programs(net).of(net.decoder.layers[0].linear1.weight) == ()


def test_a_parent_overwrites_what_its_children_wrote():
    attention = nn.MultiheadAttention(8, 2)
    programs = record_programs(attention)
    assert [write.scheme.name for write in programs.of(attention.out_proj.bias)] == ["constant"]


def test_of_a_tied_tensor_the_layer_whose_name_stands_first_counts():
    class Language(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.head = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)
            self.head.weight = self.embed.weight

    model = Language()
    assert [write.scheme.name for write in record_programs(model).of(model.embed.weight)] == ["normal"]


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
