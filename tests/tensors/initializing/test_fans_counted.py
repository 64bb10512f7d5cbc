"""The fans of every layer of torch.nn that has a matrix, against a count of what the layer itself adds up.

fan_in is how many terms one output sums up, fan_out how many the gradient of one input does. Both are read from the
layer's own computation: as the elements of the weight on which an output, or the gradient of an input, depends; or, where
the layer is not linear, as the inputs on which an output depends, and the outputs that depend on an input.
"""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn
from torch.autograd.functional import jacobian
from torch.func import functional_call

from paramctl.fans import Fans
from paramctl.tensors.initializing.fans import fans_of


def row_counts(function, given):
    """Return, for each element of a function's result, the number of elements given that it depends on."""
    result = jacobian(function, given)
    return (result.reshape(-1, given.numel()) != 0).sum(1)


def counted_terms(layer, shape, name="weight"):
    """Count the terms of a layer that is linear in its weight and its input; the border sums up less than the inside."""
    weight = layer.get_parameter(name).detach()
    given = torch.randn(shape, dtype=torch.double, requires_grad=True)

    def outputs(weight):
        return functional_call(layer, {name: weight}, given)

    def gradient(weight):
        result = outputs(weight)
        return torch.autograd.grad(result, given, torch.ones_like(result), create_graph=True)[0]

    return Fans(row_counts(outputs, weight).max().item(), row_counts(gradient, weight).max().item())


def counted_dependences(function, size):
    """Count on how many elements of its input an output depends, and how many outputs depend on an element."""
    depends = jacobian(function, torch.randn(size, dtype=torch.double)) != 0
    return Fans(depends.sum(1).max().item(), depends.sum(0).max().item())


def told(layer, name="weight"):
    return fans_of(layer, name, tuple(layer.get_parameter(name).shape), "layer")


LINEAR = [
    (nn.Linear(6, 5), (2, 6)),
    (nn.Conv1d(6, 4, 3), (1, 6, 9)),
    (nn.Conv1d(6, 9, 3, groups=3, dilation=2), (1, 6, 11)),
    (nn.Conv2d(4, 6, (3, 2), padding=1), (1, 4, 6, 5)),
    (nn.Conv2d(4, 6, 2, groups=2), (1, 4, 4, 4)),
    (nn.Conv2d(4, 4, 3, groups=4), (1, 4, 6, 6)),
    (nn.Conv2d(4, 8, 3, groups=4, padding=1, padding_mode="circular"), (1, 4, 5, 5)),
    (nn.Conv3d(2, 4, 2, groups=2), (1, 2, 3, 3, 3)),
    (nn.ConvTranspose1d(6, 4, 3), (1, 6, 5)),
    (nn.ConvTranspose1d(6, 4, 6, stride=2, groups=2), (1, 6, 5)),
    (nn.ConvTranspose1d(6, 4, 2, stride=3), (1, 6, 5)),
    (nn.ConvTranspose2d(4, 6, (4, 3), stride=(2, 1)), (1, 4, 4, 4)),
    (nn.ConvTranspose2d(4, 4, 2, stride=2, groups=4), (1, 4, 3, 3)),
    (nn.ConvTranspose3d(2, 4, 2, groups=2), (1, 2, 3, 3, 3)),
]


@pytest.mark.parametrize(("layer", "shape"), LINEAR, ids=str)
def test_of_a_linear_layer_they_count_the_terms_of_its_sums(layer, shape):
    assert told(layer) == counted_terms(layer.double(), shape)


def test_of_a_transposed_convolution_fan_in_is_the_mean_over_its_outputs():
    layer = nn.ConvTranspose1d(6, 4, 3, stride=2).double()
    inside = row_counts(
        lambda weight: functional_call(layer, {"weight": weight}, torch.ones(1, 6, 9).double()), layer.weight
    )
    assert sorted(set(inside.tolist())) == [6, 12]
    assert told(layer).fan_in == 9


def test_of_a_convolution_fan_out_leaves_the_stride_out_as_he_et_al_do():
    layer = nn.Conv1d(6, 4, 4, stride=2).double()
    assert told(layer) == Fans(24, 16)
    assert counted_terms(layer, (1, 6, 12)) == Fans(24, 8)


def test_of_a_bilinear_layer_fan_out_counts_the_gradient_of_the_first_input():
    layer = nn.Bilinear(6, 5, 4).double()
    second = torch.randn(1, 5, dtype=torch.double)

    class WithFirst(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = layer

        def forward(self, first):
            return self.inner(first, second)

    assert told(layer) == counted_terms(WithFirst(), (1, 6), "inner.weight") == Fans(30, 20)


@pytest.mark.parametrize("layer", [nn.Embedding(7, 5), nn.EmbeddingBag(7, 5)], ids=str)
def test_an_embedding_adds_nothing_up_and_one_index_reaches_a_row(layer):
    looked_up = torch.tensor([[3]])
    reached = row_counts(lambda weight: functional_call(layer, {"weight": weight}, looked_up), layer.weight)
    assert told(layer) == Fans(reached.max().item(), reached.count_nonzero().item()) == Fans(1, 5)


@pytest.mark.parametrize("layer", [nn.LayerNorm([3, 4]), nn.RMSNorm([3, 4])], ids=str)
def test_the_weight_of_a_norm_adds_nothing_up(layer):
    layer, given = layer.double(), torch.randn(1, 3, 4, dtype=torch.double)
    assert told(layer).fan_in == row_counts(lambda w: functional_call(layer, {"weight": w}, given), layer.weight).max()
    assert told(layer).fan_out == 1


@pytest.mark.parametrize("cell", [nn.RNNCell(6, 5), nn.GRUCell(6, 5)], ids=str)
def test_each_gate_of_a_cell_is_a_matrix(cell):
    cell.double()
    given, state = torch.randn(6, dtype=torch.double), torch.randn(5, dtype=torch.double)
    assert told(cell, "weight_ih") == counted_dependences(lambda x: cell(x, state), 6) == Fans(6, 5)
    assert told(cell, "weight_hh") == counted_dependences(lambda h: cell(given, h), 5) == Fans(5, 5)


def test_each_gate_of_an_lstm_cell_is_a_matrix():
    cell = nn.LSTMCell(6, 5).double()
    given, (state, memory) = torch.randn(6, dtype=torch.double), torch.randn(2, 5, dtype=torch.double)
    assert told(cell, "weight_ih") == counted_dependences(lambda x: cell(x, (state, memory))[1], 6) == Fans(6, 5)
    assert told(cell, "weight_hh") == counted_dependences(lambda h: cell(given, (h, memory))[1], 5) == Fans(5, 5)


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU])
@pytest.mark.parametrize("direction", ["", "_reverse"])
def test_each_gate_of_a_sequence_is_a_matrix(kind, direction):
    layer = kind(6, 5, bidirectional=True).double()
    given, state = torch.randn(1, 6, dtype=torch.double), torch.randn(2, 5, dtype=torch.double)
    which = 1 if direction else 0
    of_input = counted_dependences(lambda x: layer(x[None], state)[1][which], 6)
    of_state = counted_dependences(lambda h: layer(given, h.expand(2, 5))[1][which], 5)
    assert told(layer, f"weight_ih_l0{direction}") == of_input == Fans(6, 5)
    assert told(layer, f"weight_hh_l0{direction}") == of_state == Fans(5, 5)


def test_an_lstm_that_projects_has_a_state_of_its_own_size():
    layer = nn.LSTM(6, 5, proj_size=3).double()
    given = torch.randn(1, 6, dtype=torch.double)
    state, memory = torch.randn(1, 3, dtype=torch.double), torch.randn(1, 5, dtype=torch.double)
    of_input = counted_dependences(lambda x: layer(x[None], (state, memory))[1][1][0], 6)
    of_state = counted_dependences(lambda h: layer(given, (h[None], memory))[1][1][0], 3)
    projected = counted_dependences(lambda c: layer(given, (state, c[None]))[1][0][0], 5)
    assert told(layer, "weight_ih_l0") == of_input == Fans(6, 5)
    assert told(layer, "weight_hh_l0") == of_state == Fans(3, 5)
    assert told(layer, "weight_hr_l0") == projected == Fans(5, 3)


def identity(rows):
    return nn.Parameter(torch.eye(rows, dtype=torch.double))


@pytest.mark.parametrize("sizes", [{}, {"kdim": 6, "vdim": 4}])
def test_queries_keys_and_values_are_matrices_of_their_own(sizes):
    layer = nn.MultiheadAttention(8, 1, **sizes).double()
    layer.out_proj.weight = identity(8)
    inputs = {
        "q": torch.randn(1, 8, dtype=torch.double),
        "k": torch.randn(3, sizes.get("kdim", 8), dtype=torch.double),
        "v": torch.randn(3, sizes.get("vdim", 8), dtype=torch.double),
    }
    for which, given in inputs.items():

        def attended(row, which=which, given=given):
            changed = {**inputs, which: torch.cat([row[None], given[1:]])}
            return layer(changed["q"], changed["k"], changed["v"])[0][0]

        name = f"{which}_proj_weight" if sizes else "in_proj_weight"
        assert told(layer, name) == counted_dependences(attended, given.shape[1])


def test_what_attention_gives_out_is_one_matrix():
    layer = nn.MultiheadAttention(8, 2).double()
    layer.in_proj_weight = nn.Parameter(torch.eye(8, dtype=torch.double).repeat(3, 1))
    given = torch.randn(1, 8, dtype=torch.double)
    assert told(layer, "out_proj.weight") == counted_dependences(lambda v: layer(given, given, v[None])[0][0], 8)


def test_the_key_and_the_value_that_attention_adds_are_rows_of_their_own():
    layer = nn.MultiheadAttention(8, 2, add_bias_kv=True)
    assert told(layer, "bias_k") == told(layer, "bias_v") == Fans(1, 8)


def test_every_class_of_torch_nn_that_has_a_matrix_is_counted():
    counted = {type(layer).__name__ for layer, _ in LINEAR} | {
        "Bilinear", "Embedding", "EmbeddingBag", "LayerNorm", "RMSNorm", "RNNCell", "GRUCell", "LSTMCell", "RNN", "GRU",
        "LSTM", "MultiheadAttention",
    }  # fmt: skip
    of_others = {"AdaptiveLogSoftmaxWithLoss", "LinearCrossEntropyLoss", "RNNBase", "RNNCellBase"}
    without = {"PReLU", "GroupNorm", "SyncBatchNorm"}
    classes = {
        name
        for name, value in vars(nn).items()
        if isinstance(value, type) and issubclass(value, nn.Module) and "device" in inspect.signature(value).parameters
        if not name.startswith(("Lazy", "BatchNorm", "InstanceNorm", "Transformer"))
    }
    assert classes | {"RNN", "GRU", "LSTM"} == counted | of_others | without
