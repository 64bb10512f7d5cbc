"""What the ways of writing layers mean: each spec against the model that it stands for."""

from __future__ import annotations

import pytest
from torch import nn

from paramctl.tensors.building.build import build


@pytest.fixture
def net(spec):
    return lambda text, *allowed: build(spec(text, *allowed)).net


def shapes(module):
    return {name: list(parameter.shape) for name, parameter in module.named_parameters(remove_duplicate=False)}


@pytest.mark.parametrize(
    "layer",
    [
        "Linear: {in_features: 4, out_features: 3}",
        "Linear: [4, 3]",
        "nn.Linear: [4, 3]",
        "torch.nn.Linear: [4, 3]",
        "torch.nn.modules.linear.Linear: [4, 3]",
        "{_target_: torch.nn.Linear, in_features: 4, out_features: 3}",
        "{_target_: torch.nn.Linear, _args_: [4], out_features: 3, _convert_: all}",
        "{class_path: torch.nn.Linear, init_args: {in_features: 4, out_features: 3}}",
        "Linear: {<<: {in_features: 4}, out_features: 3}",
    ],
)
def test_a_layer_can_be_written_in_several_ways(layer, net):
    built = net(f"layers:\n  - {layer}\n")
    assert isinstance(built[0], nn.Linear)
    assert shapes(built) == {"0.weight": [3, 4], "0.bias": [3]}


@pytest.mark.parametrize("layer", ["Dropout: 0.25", "Dropout: [0.25]", "Dropout: {p: 0.25}"])
def test_one_argument_needs_no_brackets(layer, net):
    assert net(f"layers: [{{{layer}}}]")[0].p == 0.25


@pytest.mark.parametrize(
    "layer", ["ReLU", "{ReLU: }", "{ReLU: null}", "{ReLU: []}", "{ReLU: {}}", "{class_path: torch.nn.ReLU}"]
)
def test_a_layer_without_arguments_is_its_name(layer, net):
    assert isinstance(net(f"layers: [{layer}]")[0], nn.ReLU)


def test_children_are_named_by_index_in_a_list_and_by_key_in_a_mapping(net):
    built = net("layers:\n  body: {Sequential: [{Linear: [2, 2]}, ReLU]}\n  head: {Linear: [2, 1]}\n")
    assert list(shapes(built)) == ["body.0.weight", "body.0.bias", "head.weight", "head.bias"]


def test_containers_nest(net):
    built = net(
        "layers:\n"
        "  - ModuleList: [{Linear: [1, 1, false]}]\n"
        "  - ModuleDict: {a: {Linear: [1, 1, false]}, b: {ModuleList: [{Linear: [1, 1, false]}]}}\n"
        "  - Sequential: {x: ReLU}\n"
        "  - {_target_: torch.nn.Sequential, _args_: [{_target_: torch.nn.Linear, _args_: [1, 1, false]}]}\n"
        "  - {class_path: torch.nn.ModuleList, init_args: {modules: [{Linear: [1, 1, false]}]}}\n"
    )
    assert list(shapes(built)) == ["0.0.weight", "1.a.weight", "1.b.0.weight", "3.0.weight", "4.0.weight"]
    assert [type(each).__name__ for each in built] == [
        "ModuleList",
        "ModuleDict",
        "Sequential",
        "Sequential",
        "ModuleList",
    ]


def test_an_alias_is_the_same_module(net):
    built = net("layers:\n  - &fc {Linear: [2, 2]}\n  - ReLU\n  - *fc\n")
    assert built[0] is built[2]


def test_an_alias_of_a_bare_name_is_the_same_module(net):
    built = net("layers: [&act ReLU, *act, ReLU]")
    assert built[0] is built[1]
    assert built[0] is not built[2]


def test_an_alias_of_arguments_alone_makes_another_module(net):
    built = net("layers:\n  - Linear: &args [2, 2]\n  - Linear: *args\n")
    assert built[0] is not built[1]
    assert built[0].weight is not built[1].weight


def test_an_alias_of_a_list_of_layers_is_the_same_layers_in_another_container(net):
    built = net("layers:\n  - Sequential: &block [{Linear: [2, 2]}]\n  - Sequential: *block\n")
    assert built[0] is not built[1]
    assert built[0][0] is built[1][0]


def test_repeat_of_a_block_names_copy_and_layer(net):
    built = net("layers: {h: {Repeat: {times: 2, layers: [{Linear: [2, 2, false]}, ReLU]}}}")
    assert list(shapes(built)) == ["h.0.0.weight", "h.1.0.weight"]
    assert built.h[0][0] is not built.h[1][0]


def test_repeat_of_a_layer_names_the_copy_alone(net):
    built = net("layers: {h: {Repeat: {times: 3, layer: {Linear: [2, 2, false]}}}}")
    assert list(shapes(built)) == ["h.0.weight", "h.1.weight", "h.2.weight"]


def test_an_anchor_inside_a_repeat_belongs_to_its_copy(net):
    built = net("layers: [{Repeat: {times: 2, layers: [&fc {Linear: [2, 2]}, *fc]}}]")
    first, second = built[0]
    assert first[0] is first[1]
    assert second[0] is second[1]
    assert first[0] is not second[0]


def test_an_anchor_outside_a_repeat_is_shared_by_all_copies(net):
    built = net("layers: [&fc {Linear: [2, 2]}, {Repeat: {times: 2, layers: [*fc, {Linear: [2, 2]}]}}]")
    outer, copies = built
    assert copies[0][0] is outer
    assert copies[1][0] is outer
    assert copies[0][1] is not copies[1][1]


def test_an_anchor_in_an_outer_repeat_is_shared_by_the_inner_copies_of_one_outer_copy(net):
    built = net(
        "layers:\n"
        "  - Repeat:\n"
        "      times: 2\n"
        "      layers:\n"
        "        - &fc {Linear: [2, 2]}\n"
        "        - Repeat: {times: 2, layers: [*fc]}\n"
    )
    one, two = built[0]
    assert one[1][0][0] is one[0]
    assert one[1][1][0] is one[0]
    assert two[1][0][0] is two[0]
    assert two[0] is not one[0]


def test_a_repeat_can_stand_at_two_places(net):
    built = net("layers: [&r {Repeat: {times: 2, layer: {Linear: [1, 1]}}}, *r]")
    assert built[0] is built[1]


def test_a_residual_adds_its_shortcut(net):
    built = net("layers: [{Residual: {layers: [{Linear: [2, 3]}], shortcut: {proj: {Linear: [2, 3, false]}}}}]")
    assert list(shapes(built)) == ["0.layers.0.weight", "0.layers.0.bias", "0.shortcut.proj.weight"]


def test_a_residual_without_a_shortcut_adds_its_input(net):
    built = net("layers: [{Residual: [{Linear: [2, 2]}]}]")
    assert list(shapes(built)) == ["0.layers.0.weight", "0.layers.0.bias"]
    assert isinstance(built[0].shortcut, nn.Sequential)
    assert len(built[0].shortcut) == 0


def test_a_layer_can_be_an_argument(net):
    built = net(
        "layers:\n"
        "  - TransformerEncoder:\n"
        "      encoder_layer: {TransformerEncoderLayer: {d_model: 8, nhead: 2, batch_first: true, activation: {GELU: }}}\n"
        "      num_layers: 2\n"
        "      norm: {LayerNorm: 8}\n"
    )
    encoder = built[0]
    assert len(encoder.layers) == 2
    assert isinstance(encoder.norm, nn.LayerNorm)
    assert isinstance(encoder.layers[0].activation, nn.GELU)


def test_two_layers_written_alike_have_arguments_of_their_own(net, write):
    write(
        "from torch import nn\n"
        "class Holder(nn.Module):\n"
        "    def __init__(self, inner: nn.Module):\n"
        "        super().__init__()\n"
        "        self.inner = inner\n",
        "holder.py",
    )
    built = net("layers: [&a ReLU, {holder.py:Holder: Tanh}, {holder.py:Holder: Tanh}, *a]", "holder.py")
    assert built[1].inner is not built[2].inner


def test_arguments_reach_the_constructor_as_python_values(net):
    built = net(
        "layers:\n"
        "  - Conv2d: {in_channels: 1, out_channels: 2, kernel_size: [3, 5], padding: same, padding_mode: circular}\n"
        "  - AdaptiveAvgPool2d: [[null, 7]]\n"
        "  - LayerNorm: {normalized_shape: [3, 4], eps: 1e-3, dtype: float64}\n"
    )
    conv, pool, norm = built
    assert (conv.kernel_size, conv.padding, conv.padding_mode) == ((3, 5), "same", "circular")
    assert pool.output_size == (None, 7)
    assert (norm.normalized_shape, norm.eps, norm.weight.dtype.itemsize) == ((3, 4), 1e-3, 8)


def test_a_layer_of_ones_own_is_taken_from_a_file_or_a_package(net, write):
    write("from torch import nn\nclass Block(nn.Linear):\n    pass\n", "own_layers.py")
    write("", "own_package/__init__.py")
    write("from torch import nn\nclass Block(nn.Linear):\n    pass\n", "own_package/layers.py")
    built = net(
        "layers:\n"
        "  - own_layers.py:Block: [1, 1]\n"
        "  - own_package.layers.Block: [1, 1]\n"
        "  - own_package.layers:Block: [1, 1]\n"
        "  - {_target_: own_package.layers.Block, in_features: 1, out_features: 1}\n",
        "own_layers.py",
        "own_package",
    )
    assert [type(each).__name__ for each in built] == ["Block"] * 4
    assert type(built[1]) is type(built[2]) is type(built[3])
    assert type(built[0]) is not type(built[1])
