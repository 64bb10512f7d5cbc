from __future__ import annotations

import copy
from collections import deque

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from paramctl.tensors.building.unregistered import find_unregistered


class Empty(nn.Module):
    """Gets its attributes from the test."""


def with_attribute(value, name="x"):
    module = Empty()
    setattr(module, name, value)
    return module


def found(module):
    return [
        (each.name, each.holder, each.modules, each.tensors, each.numel, each.fix) for each in find_unregistered(module)
    ]


@pytest.mark.parametrize("device", ["cpu", "meta"])
class TestWhatIsNamed:
    @pytest.mark.parametrize(
        ("make", "expected"),
        [
            (lambda: torch.rand(3, 2), ("tensor", 0, 1, 6, "nn.Parameter or register_buffer")),
            (lambda: torch.arange(3), ("tensor", 0, 1, 3, "register_buffer")),
            (lambda: torch.ones(3, dtype=torch.bool), ("tensor", 0, 1, 3, "register_buffer")),
            (lambda: [nn.Linear(2, 2), nn.Linear(2, 1)], ("list", 2, 4, 9, "nn.ModuleList")),
            (lambda: (nn.Linear(2, 2), nn.ReLU()), ("tuple", 1, 2, 6, "nn.ModuleList")),
            (lambda: {"a": nn.Linear(2, 2)}, ("dict", 1, 2, 6, "nn.ModuleDict")),
            (lambda: {"a": [nn.BatchNorm1d(2)]}, ("dict", 1, 5, 9, "nn.ModuleDict")),
            (lambda: [nn.Parameter(torch.rand(2)), nn.Parameter(torch.rand(3))], ("list", 0, 2, 5, "nn.ParameterList")),
            (lambda: {"a": nn.Parameter(torch.rand(2))}, ("dict", 0, 1, 2, "nn.ParameterDict")),
            (lambda: [torch.rand(2)], ("list", 0, 1, 2, "nn.ParameterList or register_buffer")),
            (lambda: deque([[(torch.rand(2),)]]), ("deque", 0, 1, 2, "nn.ParameterList or register_buffer")),
        ],
    )
    def test_what_a_module_holds_without_registering_it(self, device, make, expected):
        with torch.device(device):
            inner = with_attribute(make())
        assert found(nn.Sequential(nn.ReLU(), inner)) == [("1.x", *expected)]

    def test_a_private_attribute_with_modules_or_parameters(self, device):
        with torch.device(device):
            assert found(with_attribute([nn.Linear(2, 2)], "_layers")) == [
                ("_layers", "list", 1, 2, 6, "nn.ModuleList")
            ]
            parameters = [nn.Parameter(torch.rand(2))]
        assert found(with_attribute(parameters, "_own")) == [("_own", "list", 0, 1, 2, "nn.ParameterList")]

    def test_an_attribute_of_the_class(self, device):
        with torch.device(device):

            class Net(nn.Module):
                weight = nn.Parameter(torch.rand(2))
                layer = nn.Linear(2, 1)
                scale = torch.rand(3)

        fix = "assign it to self in __init__"
        assert found(Net()) == [
            ("weight", "tensor", 0, 1, 2, fix),
            ("layer", "module", 1, 2, 3, fix),
            ("scale", "tensor", 0, 1, 3, "nn.Parameter or register_buffer"),
        ]

    def test_only_what_is_not_registered_of_a_list_counts(self, device):
        with torch.device(device):
            module = with_attribute(nn.Linear(2, 2), "layer")
            module.all = [module.layer, nn.Linear(3, 3)]
        assert found(module) == [("all", "list", 1, 2, 12, "nn.ModuleList")]


def test_shape_and_dtype_are_told():
    (record,) = find_unregistered(with_attribute(torch.rand(3, 2, dtype=torch.float64)))
    assert (record.module, record.module_type, record.shape, record.dtype) == ("", "Empty", (3, 2), "float64")
    (record,) = find_unregistered(with_attribute([torch.rand(3), torch.arange(2)]))
    assert (record.shape, record.dtype) == (None, None)


def test_a_module_at_two_places_is_named_once():
    shared = with_attribute(torch.rand(2))
    assert [each.name for each in find_unregistered(nn.Sequential(shared, shared))] == ["0.x"]


def test_lazy_modules_in_a_list_have_no_elements_yet():
    (record,) = find_unregistered(with_attribute([nn.LazyLinear(2)]))
    assert (record.tensors, record.numel) == (2, 0)


def registered_list():
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    module.both = [*module]
    module.by_name = dict(module.named_parameters())
    return module


def view_of_a_buffer():
    module = nn.BatchNorm1d(4)
    module.half = module.running_mean[:2]
    return module


def result_of_a_computation():
    module = nn.Linear(2, 2)
    module.scaled = module.weight * 2
    return module


def hidden_on_purpose():
    module = Empty()
    vars(module)["teacher"] = nn.Linear(2, 2)
    return module


def pruned_rnn():
    module = nn.LSTM(2, 2)
    return prune.l1_unstructured(module, "weight_hh_l0", 0.5)


class Metric(nn.Module):
    """Moves its states itself, as the metrics of torchmetrics do."""

    def __init__(self):
        super().__init__()
        self.total = torch.zeros(())

    def _apply(self, fn, recurse=True):
        self.total = fn(self.total)
        return super()._apply(fn, recurse)


@pytest.mark.parametrize(
    "make",
    [
        registered_list,
        view_of_a_buffer,
        result_of_a_computation,
        hidden_on_purpose,
        lambda: with_attribute(torch.rand(2), "_cache"),
        lambda: with_attribute([1, "text", None, torch.float32, torch.Size([2])]),
        lambda: with_attribute([nn.ReLU(), nn.Dropout(0.5)]),
        lambda: with_attribute(lambda: torch.rand(2)),
        Metric,
        pruned_rnn,
        lambda: copy.deepcopy(nn.LSTM(2, 2)),
        lambda: nn.GRU(2, 2).half(),
        lambda: weight_norm(nn.LSTM(2, 2), "weight_hh_l0"),
        lambda: parametrizations.weight_norm(nn.LSTM(2, 2), "weight_hh_l0"),
        lambda: nn.DataParallel(nn.Linear(2, 2)),
        lambda: torch.compile(nn.Linear(2, 2), backend="eager"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated:FutureWarning")
def test_what_nobody_could_mean_to_register_is_left_out(make):
    assert find_unregistered(nn.ModuleList([make()])) == ()


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize(
    "wrap",
    [
        weight_norm,
        spectral_norm,
        lambda module: prune.l1_unstructured(module, "weight", 0.5),
        parametrizations.weight_norm,
        parametrizations.spectral_norm,
        parametrizations.orthogonal,
    ],
)
@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated:FutureWarning")
def test_what_a_norm_or_pruning_computes_is_left_out(wrap, frozen):
    module = wrap(nn.Linear(3, 3).requires_grad_(not frozen))
    assert find_unregistered(module) == ()
    with torch.no_grad():
        module(torch.rand(1, 3))
    assert find_unregistered(module) == ()


def test_containers_inside_themselves_end():
    value = [torch.rand(2)]
    value += [value] * 50
    assert [each.tensors for each in find_unregistered(with_attribute(value))] == [1]
