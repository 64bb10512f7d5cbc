from __future__ import annotations

import pytest
import torch
from torch import nn

from paramctl.errors import ParamctlError
from paramctl.tensors import memory
from paramctl.tensors.building.build import build
from paramctl.tensors.building.construct import initialization


def test_the_model_is_on_meta_and_its_layers_did_not_initialise(spec):
    net = build(spec("layers: [{Linear: [4, 3]}, {BatchNorm1d: 3}]")).net
    assert isinstance(net, nn.Sequential)
    assert {tensor.device.type for tensor in (*net.parameters(), *net.buffers())} == {"meta"}


def test_a_tie_makes_every_name_the_parameter_of_the_first(spec):
    text = (
        "layers: {a: {Linear: [2, 2]}, b: {Linear: [2, 2]}, c: {Linear: [2, 2]}}\ntie: [[b.weight, a.weight, c.weight]]"
    )
    net = build(spec(text)).net
    assert net.a.weight is net.b.weight is net.c.weight
    assert net.a.bias is not net.b.bias


def test_a_later_tie_takes_along_what_was_tied_before(spec):
    text = (
        "layers: {a: {Linear: [2, 2]}, b: {Linear: [2, 2]}, c: {Linear: [2, 2]}}\n"
        "tie: [[a.weight, b.weight], [c.weight, a.weight]]"
    )
    net = build(spec(text)).net
    assert net.a.weight is net.b.weight is net.c.weight


def test_a_tie_by_another_name_of_an_aliased_layer_follows_the_first_tie(spec):
    text = (
        "layers: {a: &a {Linear: [2, 2]}, b: *a, c: {Linear: [2, 2]}, d: {Linear: [2, 2]}}\n"
        "tie: [[c.weight, a.weight], [b.weight, d.weight]]"
    )
    net = build(spec(text)).net
    assert net.a.weight is net.b.weight is net.c.weight is net.d.weight


def test_a_tie_of_different_dtypes_is_an_error_that_names_both(spec):
    text = (
        "layers: {a: {Linear: [2, 2]}, b: {Linear: {in_features: 2, out_features: 2, dtype: float16}}}\n"
        "tie: [[a.weight, b.weight]]"
    )
    with pytest.raises(ParamctlError) as raised:
        build(spec(text))
    (problem,) = raised.value.problems
    assert problem.message == "cannot tie b.weight to a.weight: their dtypes differ, torch.float16 and torch.float32"
    assert str(problem.where) == "spec.yaml:2:18"


def test_a_tie_in_a_recurrent_layer_reaches_its_forward(spec):
    net = build(spec("layers: [{RNN: [2, 2]}]\ntie: [[0.weight_ih_l0, 0.weight_hh_l0]]")).net
    rnn = net[0]
    assert rnn.weight_ih_l0 is rnn.weight_hh_l0
    assert rnn._flat_weights[0] is rnn._flat_weights[1]


def test_freezing_reaches_all_that_match_and_says_where_nothing_does(spec):
    built = build(spec("layers: [{Linear: [2, 2]}, {Linear: [2, 2]}]\nfreeze: ['0.*', 'x.*']"))
    assert [parameter.requires_grad for parameter in built.net.parameters()] == [False, False, True, True]
    assert built.notes == ["spec.yaml:2:17: freeze: 'x.*' matches no parameter"]


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float8_e4m3fn"])
def test_a_dtype_is_that_of_floating_tensors_except_where_a_layer_names_its_own(dtype, spec):
    text = f"layers: [{{Linear: [2, 2]}}, {{BatchNorm1d: 2}}, {{Linear: {{in_features: 2, out_features: 2, dtype: float16}}}}]\ndtype: {dtype}"
    net = build(spec(text)).net
    expected = getattr(torch, dtype)
    assert {net[0].weight.dtype, net[0].bias.dtype, net[1].weight.dtype, net[1].running_mean.dtype} == {expected}
    assert net[1].num_batches_tracked.dtype == torch.int64
    assert net[2].weight.dtype == torch.float16


def test_a_device_and_a_dtype_of_null_are_as_good_as_none(spec):
    for arguments in ("[2, 1, true, null, null]", "{in_features: 2, out_features: 1, dtype: null}"):
        net = build(spec(f"layers: [{{Linear: {arguments}}}]\ndtype: float64")).net
        assert [(each.device.type, each.dtype) for each in net.parameters()] == [("meta", torch.float64)] * 2


def test_the_command_lines_dtype_wins_over_the_specs(spec):
    assert (
        build(spec("layers: [{Linear: [2, 2]}]\ndtype: float64"), dtype="float16").net[0].weight.dtype == torch.float16
    )


def test_layers_of_ones_own_are_cast_too(spec, write):
    write("from torch import nn\nclass Cast(nn.Linear): pass\n", "cast_layers.py")
    net = build(spec("layers: [{cast_layers.py:Cast: [2, 2]}]\ndtype: bfloat16", "cast_layers.py")).net
    assert net[0].weight.dtype == torch.bfloat16


def test_a_layer_of_ones_own_that_needs_values_is_built_all_the_same(spec, write):
    write(
        "import torch\nfrom torch import nn\n"
        "class Steps(nn.Module):\n"
        "    def __init__(self, n: int):\n"
        "        super().__init__()\n"
        "        self.weight = nn.Parameter(torch.tensor([step.item() for step in torch.linspace(0, 1, n)]))\n",
        "steps.py",
    )
    assert build(spec("layers: [{steps.py:Steps: 5}]", "steps.py")).net[0].weight.shape == (5,)


def test_what_would_not_fit_in_memory_is_refused_before_it_is_built(spec, monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 100_000)
    with pytest.raises(
        ParamctlError, match=r"would take 3\.9 MiB of memory \(4,100,096 bytes\); 97\.7 KiB are available"
    ):
        build(spec("layers: [{Repeat: {times: 999, layer: ReLU}}]"))


def test_initialisation_is_back_after_a_failure():
    with pytest.raises(RuntimeError, match="stop"), initialization(enabled=False):
        raise RuntimeError("stop")
    torch.manual_seed(0)
    assert nn.Linear(3, 3).weight.abs().max() <= 3**-0.5


def test_initialisation_can_be_let_in_again_inside():
    with initialization(enabled=False), initialization(enabled=True):
        norm = nn.BatchNorm1d(3)
    assert torch.equal(norm.weight, torch.ones(3))


def test_the_origin_of_every_module_is_known(spec):
    read = spec("layers: [{Sequential: [{Linear: [1, 1]}]}]")
    built = build(read)
    nodes = {id(module): node for module, node in built.origins}
    assert nodes[id(built.net)] is read.root
    assert nodes[id(built.net[0][0])] is read.root.children[0].children[0]
