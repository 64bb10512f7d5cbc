"""What callers of the Python API get for a module that cannot be served."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import paramctl

CALLS = {
    "list": paramctl.list_parameters,
    "init": lambda module: paramctl.initialize(module, "normal"),
    "shared": paramctl.find_shared,
    "grad": lambda module: paramctl.gradients(module, torch.rand(2, 4)),
}


def refusal(call, *args, **options):
    with pytest.raises(paramctl.ParamctlError) as caught:
        call(*args, **options)
    return str(caught.value)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
class TestEveryAnswer:
    def test_what_is_no_module_is_named_by_its_type(self, call):
        assert refusal(call, 3) == "module: expected a torch.nn.Module, not int"
        assert "not generator" in refusal(call, nn.Linear(2, 2).parameters())
        assert refusal(call, nn.Linear(2, 2).state_dict()) == (
            "module: expected a torch.nn.Module, not OrderedDict\n"
            "  hint: a state_dict holds tensors alone; load it into its module and give that"
        )
        assert refusal(call, nn.Linear).endswith("not the class Linear\n  hint: make a module of it: Linear(...)")

    def test_a_lazy_layer_that_has_not_run_is_named(self, call):
        message = refusal(call, nn.Sequential(nn.Linear(4, 3), nn.LazyLinear(2)))
        assert message.startswith(
            "module: 1.weight has no shape yet, and 1 more have none\n  hint: run the model on an"
        )

    def test_a_lazy_buffer_is_named(self, call):
        assert "0.running_mean has no shape yet" in refusal(call, nn.Sequential(nn.LazyBatchNorm1d(affine=False)))


def test_gradients_do_not_give_a_lazy_layer_its_shape():
    net = nn.LazyLinear(2)
    refusal(paramctl.gradients, net, torch.rand(2, 4))
    assert net.has_uninitialized_params()


def test_a_lazy_layer_that_has_run_is_a_layer_as_any_other():
    net = nn.LazyLinear(2)
    net(torch.rand(3, 4))
    assert paramctl.list_parameters(net).totals.numel == 10


class TestMeta:
    @pytest.mark.parametrize("option", ["stats", "values"])
    def test_values_on_meta_cannot_be_listed(self, option):
        message = refusal(paramctl.list_parameters, nn.Linear(2, 2, device="meta"), **{option: True})
        assert message.startswith("weight is on the meta device\n  hint: give the module memory first")

    def test_what_is_not_shown_may_be_on_meta(self):
        net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, device="meta"))
        assert paramctl.list_parameters(net, include="0.*", stats=True).totals.tensors == 2

    def test_gradients_need_memory_for_parameters_and_buffers(self):
        given = torch.rand(2, 4)
        assert "weight is on the meta device" in refusal(paramctl.gradients, nn.Linear(4, 2, device="meta"), given)
        net = nn.BatchNorm1d(4, affine=False, device="meta")
        assert "running_mean is on the meta device" in refusal(paramctl.gradients, net, given)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
class TestTorchScript:
    def test_a_compiled_module_is_listed_but_neither_initialised_nor_differentiated(self):
        net = torch.jit.script(nn.Sequential(nn.Linear(4, 3)))
        assert paramctl.list_parameters(net, stats=True).totals.numel == 15
        assert paramctl.find_shared(net).totals.numel == 15
        assert refusal(paramctl.initialize, net, "normal").startswith("module: the module is compiled by TorchScript")
        assert "compiled by TorchScript" in refusal(paramctl.gradients, net, torch.rand(2, 4))
        outer = nn.Sequential(nn.ReLU(), net)
        assert "1 is compiled by TorchScript" in refusal(paramctl.gradients, outer, torch.rand(2, 4))

    @pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
    def test_a_traced_module_is_initialised_and_differentiated(self):
        given = torch.rand(2, 4)
        net = torch.jit.trace(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), given)
        before = {name: buffer.clone() for name, buffer in net.named_buffers()}
        paramctl.initialize(net, "constant:val=2")
        assert dict(net.named_parameters())["0.weight"].tolist() == [[2.0] * 4] * 3
        assert paramctl.gradients(net, given).parameters[3].grad.mean == 2.0
        assert all(torch.equal(buffer, before[name]) for name, buffer in net.named_buffers())
