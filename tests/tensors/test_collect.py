from __future__ import annotations

import pytest
import torch
from torch import nn

from paramctl.records import FLOATING_DTYPES, ITEM_SIZES
from paramctl.tensors.collect import dtype_name, take_inventory


def tied_net():
    linear = nn.Linear(2, 2)
    net = nn.Sequential(linear, nn.Sequential(linear, nn.BatchNorm1d(2)), nn.Linear(2, 2))
    net[2].weight = linear.weight
    return net


@pytest.mark.parametrize(
    "net",
    [nn.Transformer(8, 2, 1, 1, 16, batch_first=True), nn.LSTM(3, 4, 2, bidirectional=True), tied_net(), nn.Identity()],
)
def test_names_order_and_aliases_are_those_of_torch(net):
    held = take_inventory(net)
    assert [record.name for record in held.parameters] == [name for name, _ in net.named_parameters()]
    assert [record.name for record in held.buffers] == [name for name, _ in net.named_buffers()]
    every = {name for name, _ in net.named_parameters(remove_duplicate=False)}
    assert {name for record in held.parameters for name in record.names} == every
    assert [module.path for module in held.modules] == [name for name, _ in net.named_modules(remove_duplicate=False)]
    for record in held.parameters:
        parameter = net.get_parameter(record.name)
        assert record.shape == tuple(parameter.shape)
        assert record.nbytes == parameter.numel() * parameter.element_size()
        assert record.module_type == type(net.get_submodule(record.module)).__name__


def test_owners_count_modules_and_attributes():
    shared, first, second = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)
    second.weight = first.weight
    held = take_inventory(nn.Sequential(shared, shared, first, second))
    owners = {record.name: record.owners for record in held.parameters}
    assert owners == {"0.weight": 1, "0.bias": 1, "2.weight": 2, "2.bias": 1, "3.bias": 1}


def test_every_dtype_of_torch_has_its_size():
    dtypes = [value for value in vars(torch).values() if isinstance(value, torch.dtype)]
    assert {dtype_name(dtype): dtype.itemsize for dtype in dtypes} == dict(ITEM_SIZES)


@pytest.mark.parametrize("name", FLOATING_DTYPES)
def test_the_epsilon_is_the_step_above_one(name):
    dtype = getattr(torch, name)
    epsilon = FLOATING_DTYPES[name].epsilon
    assert (torch.tensor(1 + epsilon, dtype=torch.float64).to(dtype).double() - 1).item() == epsilon
    assert (torch.tensor(1 + epsilon / 4, dtype=torch.float64).to(dtype).double() - 1).item() == 0


@pytest.mark.parametrize("name", FLOATING_DTYPES)
def test_the_smallest_number_is_the_step_above_zero(name):
    dtype = getattr(torch, name)
    smallest = FLOATING_DTYPES[name].smallest
    assert torch.tensor(smallest, dtype=torch.float64).to(dtype).double().item() == smallest
    assert torch.tensor(smallest / 4, dtype=torch.float64).to(dtype).double().item() == 0
