"""The slots of modules: what stands in each, where it is, and what stands in several."""

from __future__ import annotations

import torch
from torch import nn

from paramctl.tensors.collect import places_of_modules
from paramctl.tensors.sharing.slots import Slots, find_slots, numbers_of


def slots_of(net: nn.Module) -> Slots:
    return find_slots(*places_of_modules(net), "_parameters")


def model() -> nn.Module:
    """Return layers with and without a bias, one of them twice, between modules that hold nothing themselves."""
    linear, plain = nn.Linear(2, 2), nn.Linear(2, 2, bias=False)
    return nn.Sequential(nn.ReLU(), linear, nn.Sequential(plain, nn.ReLU()), plain, nn.Linear(2, 2), nn.ReLU())


def test_every_slot_is_where_its_tensor_stands():
    net = model()
    slots = slots_of(net)
    assert len(slots.tensors) == 8
    for number, tensor in enumerate(slots.tensors):
        path, attribute, module = slots.place(number)
        assert net.get_submodule(path) is module
        assert getattr(module, attribute) is tensor


def test_each_tensor_is_distinct_once_and_in_model_order():
    net = model()
    keys, tensors = slots_of(net).distinct
    assert keys == [id(parameter) for parameter in net.parameters()]
    assert [id(tensor) for tensor in tensors] == keys


def test_what_stands_in_several_slots_is_found_and_what_stands_in_none_is_not():
    net = model()
    slots = slots_of(net)
    assert slots.repeated == {id(net[3].weight): [2, 4]}
    assert [slots.tensors[number] for number in slots.empty] == [None, None]
    net.register_parameter("absent", None)
    assert list(slots_of(net).empty) == [0, 4, 6]


def test_the_numbers_of_slots_are_in_model_order_of_their_tensors():
    net = model()
    wanted = {id(net[4].bias), id(net[3].weight)}
    assert list(numbers_of(wanted, slots_of(net).keys).items()) == [(id(net[3].weight), [2, 4]), (id(net[4].bias), [7])]


def test_buffers_have_slots_of_their_own():
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, affine=False))
    slots = find_slots(*places_of_modules(net), "_buffers")
    assert [slots.place(number)[:2] for number in range(len(slots.keys))] == [
        ("1", "running_mean"),
        ("1", "running_var"),
        ("1", "num_batches_tracked"),
    ]
    assert all(isinstance(tensor, torch.Tensor) for tensor in slots.distinct.tensors)
