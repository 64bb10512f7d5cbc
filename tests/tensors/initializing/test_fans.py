"""The fans of each kind of layer: in closed form, against torch's rule, and by the variance that comes out."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune, weight_norm

import paramctl
from paramctl.errors import ParamctlError
from paramctl.fans import torch_fans
from paramctl.tensors import streams
from paramctl.tensors.initializing.fans import fans_of

LSTM = {"input_size": 6, "hidden_size": 5}
SEQUENCE = nn.LSTM(**LSTM, num_layers=2, bidirectional=True, proj_size=3)
CASES = [
    (nn.Linear(6, 5), "weight", (6, 5)),
    (nn.Conv1d(6, 4, 3), "weight", (6 * 3, 4 * 3)),
    (nn.Conv2d(6, 4, (3, 5), stride=2, dilation=2), "weight", (6 * 15, 4 * 15)),
    (nn.Conv2d(6, 4, 3, groups=2), "weight", (3 * 9, 2 * 9)),
    (nn.Conv2d(6, 6, 3, groups=6), "weight", (9, 9)),
    (nn.Conv2d(6, 18, 3, groups=6), "weight", (9, 3 * 9)),
    (nn.Conv3d(6, 4, 2, groups=2), "weight", (3 * 8, 2 * 8)),
    (nn.ConvTranspose1d(6, 4, 3), "weight", (6 * 3, 4 * 3)),
    (nn.ConvTranspose2d(6, 4, 3, groups=2), "weight", (3 * 9, 2 * 9)),
    (nn.ConvTranspose2d(6, 4, 4, stride=2, padding=1), "weight", (6 * 4, 4 * 16)),
    (nn.ConvTranspose2d(6, 4, 2, stride=2), "weight", (6, 4 * 4)),
    (nn.ConvTranspose2d(8, 4, 3, stride=2), "weight", (18, 4 * 9)),
    (nn.ConvTranspose2d(6, 4, (4, 1), stride=(2, 3)), "weight", (6 * 2, 4 * 4)),
    (nn.ConvTranspose3d(6, 4, 2), "weight", (6 * 8, 4 * 8)),
    (nn.MultiheadAttention(8, 2), "in_proj_weight", (8, 8)),
    (nn.MultiheadAttention(8, 2, kdim=6, vdim=4), "k_proj_weight", (6, 8)),
    (nn.MultiheadAttention(8, 2), "out_proj.weight", (8, 8)),
    (SEQUENCE, "weight_ih_l0", (6, 5)),
    (SEQUENCE, "weight_hh_l0", (3, 5)),
    (SEQUENCE, "weight_hr_l0", (5, 3)),
    (SEQUENCE, "weight_ih_l1_reverse", (2 * 3, 5)),
    (nn.GRU(**LSTM), "weight_ih_l0", (6, 5)),
    (nn.GRU(**LSTM), "weight_hh_l0", (5, 5)),
    (nn.RNN(**LSTM), "weight_ih_l0", (6, 5)),
    (nn.LSTMCell(6, 5), "weight_ih", (6, 5)),
    (nn.GRUCell(6, 5), "weight_hh", (5, 5)),
    (nn.RNNCell(6, 5), "weight_ih", (6, 5)),
    (nn.Bilinear(6, 5, 4), "weight", (30, 20)),
    (nn.Embedding(50, 8), "weight", (1, 8)),
    (nn.EmbeddingBag(50, 8), "weight", (1, 8)),
    (nn.LayerNorm([3, 4]), "weight", (1, 1)),
    (nn.RMSNorm([3, 4]), "weight", (1, 1)),
    (prune.l1_unstructured(nn.Conv2d(6, 4, 3, groups=2), "weight", 2), "weight_orig", (27, 18)),
    (parametrizations.spectral_norm(nn.LSTM(**LSTM), "weight_ih_l0"), "parametrizations.weight_ih_l0.original", (6, 5)),
    (parametrizations.weight_norm(nn.Conv2d(6, 4, 3, groups=2)), "parametrizations.weight.original1", (27, 18)),
]


@pytest.mark.parametrize(("layer", "name", "fans"), CASES, ids=lambda value: str(value).partition("(")[0])
def test_the_fans_of_a_layer_are_those_of_its_computation(layer, name, fans):
    net = nn.Sequential(nn.Sequential(layer))
    shape = tuple(net.get_parameter(f"0.0.{name}").shape)
    assert fans_of(net, f"0.0.{name}", shape, "layer") == fans


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")
def test_the_direction_that_the_older_weight_norm_splits_off_has_the_fans_of_the_weight():
    layer = weight_norm(nn.Conv2d(6, 4, 3, groups=2))
    assert fans_of(layer, "weight_v", tuple(layer.weight_v.shape), "layer") == (27, 18)


@pytest.mark.parametrize("layer", [nn.Linear(6, 5), nn.Conv2d(6, 4, (3, 5), stride=2), nn.Bilinear(6, 5, 4)], ids=str)
def test_where_torchs_rule_is_right_the_fans_are_torchs(layer):
    shape = tuple(layer.weight.shape)
    assert fans_of(layer, "weight", shape, "layer") == nn.init._calculate_fan_in_and_fan_out(layer.weight)


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 5), (3, 4, 5, 6), (1, 1, 1, 1, 1), (0, 3)])
def test_torchs_fans_are_those_of_torch(shape):
    assert torch_fans(shape) == nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))


def test_what_has_fewer_than_two_dimensions_has_no_fans():
    assert fans_of(nn.Linear(3, 4), "bias", (4,), "layer") is None
    assert fans_of(nn.Linear(3, 4), "bias", (4,), "torch") is None


def test_a_layer_that_took_its_shape_from_an_input_has_its_fans():
    layer = nn.LazyConv2d(6, 3, groups=2)
    layer(torch.zeros(1, 4, 5, 5))
    assert fans_of(layer, "weight", tuple(layer.weight.shape), "layer") == (18, 27)


def test_a_class_of_ones_own_that_holds_something_else_has_torchs_fans():
    class Factored(nn.Conv2d):
        def __init__(self):
            super().__init__(6, 6, 3, groups=6)
            self.weight = nn.Parameter(torch.zeros(7, 2))

    assert fans_of(Factored(), "weight", (7, 2), "layer") == (2, 7)


def test_of_a_tied_parameter_the_layer_of_the_first_name_counts():
    embed, head = nn.Embedding(50, 8), nn.Linear(8, 50, bias=False)
    head.weight = embed.weight
    for net, fans in ((nn.Sequential(embed, head), (1, 8)), (nn.Sequential(head, embed), (8, 50))):
        assert paramctl.initialize(net, "kaiming_normal").parameters[0].fans == fans


CONVOLUTIONS = {
    "grouped": (nn.Conv2d(32, 64, 3, groups=4, bias=False), (16, 32, 24, 24)),
    "depthwise": (nn.Conv1d(256, 256, 5, groups=256, bias=False), (8, 256, 100)),
    "transposed": (nn.ConvTranspose2d(32, 16, 3, padding=2, bias=False), (16, 32, 24, 24)),
    "transposed with a stride": (nn.ConvTranspose2d(64, 32, 4, stride=2, padding=3, bias=False), (16, 64, 16, 16)),
    "transposed with an odd stride": (nn.ConvTranspose1d(64, 64, 3, stride=2, padding=2, bias=False), (16, 64, 99)),
    "transposed and grouped": (nn.ConvTranspose2d(64, 64, 2, stride=2, groups=8, bias=False), (16, 64, 16, 16)),
}  # the padding leaves out what the border alone would make smaller


@pytest.mark.parametrize("scheme", ["kaiming_normal:nonlinearity=linear", "kaiming_uniform:nonlinearity=linear"])
@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_a_convolution_keeps_the_variance_of_its_input(kind, scheme):
    layer, shape = CONVOLUTIONS[kind]
    paramctl.initialize(layer, scheme)
    given = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert layer(given).square().mean().item() == pytest.approx(1, rel=0.06)


@pytest.mark.parametrize("mode", ["fan_in", "fan_out"])
@pytest.mark.parametrize("kind", ["grouped", "depthwise", "transposed", "transposed with a stride"])
def test_each_fan_keeps_the_variance_in_its_own_direction(kind, mode):
    layer, shape = CONVOLUTIONS[kind]
    padding = [size - 1 if layer.transposed else 0 for size in layer.kernel_size]
    layer = type(layer)(layer.in_channels, layer.out_channels, layer.kernel_size, stride=layer.stride,
                        padding=padding, groups=layer.groups, bias=False)  # fmt: skip
    paramctl.initialize(layer, f"kaiming_normal:nonlinearity=linear,mode={mode}")
    given = torch.randn(shape, generator=torch.Generator().manual_seed(1), requires_grad=True)
    output = layer(given)
    if mode == "fan_in":
        assert output.square().mean().item() == pytest.approx(1, rel=0.06)
        return
    (gradient,) = torch.autograd.grad(output, given, torch.randn(output.shape))
    inner = gradient[(..., *[slice(4, -4)] * (gradient.dim() - 2))]
    assert inner.square().mean().item() == pytest.approx(1, rel=0.06)


@pytest.mark.parametrize(
    ("layer", "gates"),
    [
        (nn.LSTM(300, 200, num_layers=2, bidirectional=True, proj_size=100), 4),
        (nn.GRU(300, 200), 3),
        (nn.LSTMCell(300, 200), 4),
        (nn.GRUCell(300, 200), 3),
        (nn.RNN(300, 200), 1),
    ],
    ids=str,
)
@pytest.mark.parametrize("mode", ["fan_in", "fan_out"])
def test_each_gate_is_a_matrix_of_its_own(layer, gates, mode):
    paramctl.initialize(layer, f"kaiming_normal:nonlinearity=linear,mode={mode}")
    packed = [each for name, each in layer.named_parameters() if name.startswith(("weight_ih", "weight_hh"))]
    assert packed
    for gate in (gate for weight in packed for gate in weight.detach().chunk(gates)):
        matrix = gate if mode == "fan_in" else gate.t()
        given = torch.randn(matrix.shape[1], 400, generator=torch.Generator().manual_seed(1))
        assert (matrix @ given).square().mean().item() == pytest.approx(1, rel=0.06)


def test_queries_keys_and_values_of_packed_attention_are_matrices_of_their_own():
    layer = nn.MultiheadAttention(256, 4)
    paramctl.initialize(layer, "xavier_normal")
    given = torch.randn(256, 400, generator=torch.Generator().manual_seed(1))
    for weight in layer.in_proj_weight.detach().chunk(3):
        assert (weight @ given).square().mean().item() == pytest.approx(1, rel=0.06)
        assert (weight.t() @ given).square().mean().item() == pytest.approx(1, rel=0.06)


def test_an_embedding_hands_rows_on_as_large_as_the_gain_says():
    layer = nn.Embedding(500, 64)
    paramctl.initialize(layer, "kaiming_normal:nonlinearity=linear")
    assert layer(torch.arange(500)).square().mean().item() == pytest.approx(1, rel=0.03)


@pytest.mark.parametrize(
    "scheme",
    [
        ("xavier_uniform", {}),
        ("xavier_normal", {"gain": 2}),
        ("kaiming_uniform", {"mode": "fan_out"}),
        ("kaiming_normal", {}),
    ],
    ids=lambda scheme: scheme[0],
)
@pytest.mark.parametrize(
    "layer",
    [nn.Conv2d(60, 40, 3, groups=2), nn.ConvTranspose2d(60, 40, 3), nn.LSTM(60, 50), nn.MultiheadAttention(80, 2)],
    ids=lambda layer: type(layer).__name__,
)
def test_with_torchs_fans_the_values_and_the_promise_are_torchs(layer, scheme):
    name, options = scheme
    text = ":".join([name, *(f"{key}={value}" for key, value in options.items())])
    answer = paramctl.initialize(layer, text, fan="torch")
    for row in answer.parameters:
        if len(row.shape) > 1:
            expected = torch.empty(row.shape)
            getattr(nn.init, f"{name}_")(expected, **options, generator=streams.generator(0, row.name, 0, 0))
            assert torch.equal(layer.get_parameter(row.name), expected), row.name
            assert row.fans == nn.init._calculate_fan_in_and_fan_out(expected)
            assert not row.deviates


def test_a_layers_own_values_have_torchs_fans(spec):
    layer = nn.Conv2d(40, 40, 5, groups=40, bias=False)
    (row,) = paramctl.initialize(layer, rules={"*": "default"}).parameters
    assert row.expected.std == pytest.approx(math.sqrt(1 / 25 / 3))
    assert (row.fans, row.deviates) == (None, False)


def test_a_wrong_word_is_an_error():
    with pytest.raises(ParamctlError, match="there is no fan 'keras'"):
        paramctl.initialize(nn.Linear(2, 2), fan="keras")
