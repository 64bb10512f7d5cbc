"""Where numbers stop being finite, and what lets no gradient through."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

import pytest
import torch
from torch import nn

import paramctl


@pytest.fixture(autouse=True)
def _same_values_in_every_run():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


class Apply(nn.Module):
    """Applies a function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def health(net, *inputs, **options):
    report = paramctl.gradients(net, *inputs, health=True, **options)
    return {each.check: each for each in report.health.findings}


def dead_relu():
    layer = nn.Linear(4, 4)
    with torch.no_grad():
        layer.bias.fill_(-1e4)
    return layer, nn.ReLU()


def test_a_sound_model_has_no_finding():
    assert health(nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1)), torch.rand(5, 4)) == {}


def test_the_first_module_whose_output_is_not_finite_is_named():
    net = nn.Sequential(nn.Linear(4, 4), Apply(lambda x: (x - x) / (x - x)), nn.Tanh(), nn.Linear(4, 1))
    found = health(net, torch.rand(2, 4))["nan"]
    assert found.parameters == ("0.weight", "0.bias", "3.weight")
    assert found.detail.startswith("the loss is NaN; first in forward: the output of 1; first in backward: ")


def test_what_becomes_nan_between_modules_is_of_the_module_that_calls_them():
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            return self.second(self.first(x) * math.nan)

    assert "first in forward: the output of 0;" in health(nn.Sequential(Outer()), torch.rand(2, 4))["nan"].detail


def test_the_operation_whose_backward_first_is_not_finite_is_named():
    net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), Apply(lambda x: (x * 0).sqrt()), nn.Linear(4, 1))
    found = health(net, torch.rand(2, 4))["nan"]
    assert found.detail == "first in backward: sqrt in 2"
    assert found.parameters == ("0.weight", "0.bias")


def test_a_relu_that_is_always_off_is_named_for_the_layers_on_both_sides():
    net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), *dead_relu(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1))
    found = health(net, torch.rand(5, 4))["dead"]
    assert found.parameters == ("0.weight", "0.bias", "2.weight", "2.bias", "4.weight")
    assert found.detail == "nothing comes through relu in 3"


def test_a_weight_of_zeros_lets_nothing_through_either():
    net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1))
    nn.init.zeros_(net[2].weight)
    found = health(net, torch.rand(5, 4))["dead"]
    assert (found.parameters, found.detail) == (("0.weight", "0.bias"), "nothing comes through linear in 2")


def test_vanishing_and_exploding_gradients_are_told_by_their_limits():
    net = nn.Sequential(nn.Linear(4, 4), Apply(lambda x: 1e-9 * x), nn.Linear(4, 4), Apply(lambda x: 1e6 * x))
    found = health(net, torch.rand(2, 4))
    assert found["exploding"].parameters == ("2.bias",)
    assert "vanishing" not in found
    assert health(net, torch.rand(2, 4), vanishing=1.0)["vanishing"].parameters[:2] == ("0.weight", "0.bias")
    assert "exploding" not in health(net, torch.rand(2, 4), exploding=math.inf)


def test_the_ratio_is_that_of_weights_alone():
    net = nn.Sequential(nn.Linear(2, 1))
    nn.init.constant_(net[0].weight, 0.01)
    nn.init.constant_(net[0].bias, 0.001)
    report = paramctl.gradients(net, torch.ones(3, 2), health=True)
    assert report.parameters[0].ratio == pytest.approx(300)
    assert [(each.check, each.parameters) for each in report.health.findings] == [("ratio", ("0.weight",))]
    assert health(net, torch.ones(3, 2), max_ratio=301) == {}


def test_unused_and_frozen_parameters_are_found():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[0].weight.requires_grad_(False)
    net[1].register_parameter("spare", nn.Parameter(torch.ones(1)))
    found = health(net, torch.rand(1, 2))
    assert {check: each.parameters for check, each in found.items()} == {
        "frozen": ("0.weight",),
        "unused": ("1.spare",),
    }


def test_masks_of_infinity_are_no_finding():
    layer = nn.TransformerEncoderLayer(8, 2, 16)
    mask = nn.Transformer.generate_square_subsequent_mask(3)
    net = nn.Sequential(layer)
    assert "nan" not in health(layer, torch.rand(3, 2, 8), kwargs={"src_mask": mask})
    assert not any(each._backward_hooks for each in net.parameters())


def test_a_gradient_that_is_not_finite_has_no_ratio_and_no_flow():
    answer = paramctl.gradients(nn.Linear(2, 2), torch.full((1, 2), torch.inf), health=True, flow=True)
    weight, bias = answer.to_dict()["parameters"]
    assert weight["grad"]["inf"] == 4
    assert (weight["ratio"], bias["ratio"] is None) == (None, False)
    assert answer.to_dict()["flow"] == [{"module": "", "norm": None}]


def test_what_a_model_computes_on_meta_is_not_looked_at():
    class Sizes(nn.Linear):
        def forward(self, x):
            return super().forward(x) * nn.Identity()(x.to("meta")).shape[0]

    answer = paramctl.gradients(Sizes(2, 2), torch.ones(3, 2), health=True)
    assert answer.parameters[1].grad.max == 9


class InThread(nn.Module):
    """Runs a module in a thread."""

    def __init__(self, module):
        super().__init__()
        self.before = nn.Sequential(*(layer for _ in range(10) for layer in (nn.Linear(4, 4), nn.Tanh())))
        self.inside, self.after = module, nn.Linear(4, 1)

    def forward(self, x):
        given, returned = self.before(x), []
        thread = threading.Thread(target=lambda: returned.append(self.inside(given)))
        thread.start()
        thread.join()
        return self.after(returned[0])


@pytest.mark.parametrize(
    ("function", "check", "detail"),
    [
        (
            lambda x: (x * 0).sqrt(),
            "nan",
            "first in backward: Sqrt, it is not known where: forward computes in threads",
        ),
        (lambda x: (x - 99).relu(), "dead", "Relu, it is not known where: forward computes in threads"),
    ],
)
def test_what_a_thread_of_forward_computed_is_not_said_to_be_of_a_module(function, check, detail):
    found = health(InThread(Apply(function)), torch.rand(5, 4))[check]
    assert detail in found.detail
    assert "linear in before" not in found.detail


def test_a_module_that_runs_in_a_thread_is_named_where_its_output_is_not_finite():
    net = InThread(nn.Sequential(nn.Linear(4, 4), Apply(lambda x: x * math.nan), nn.Tanh()))
    assert "first in forward: the output of inside.1;" in health(net, torch.rand(5, 4))["nan"].detail


def test_nan_in_a_keyword_argument_comes_from_the_module_that_gives_it():
    class Takes(nn.Linear):
        def forward(self, *, x):
            return super().forward(x)

    class Gives(nn.Module):
        def __init__(self):
            super().__init__()
            self.takes = Takes(4, 1)

        def forward(self, x):
            return self.takes(x=x * math.nan)

    found = health(nn.Sequential(nn.Linear(4, 4), Gives()), torch.rand(2, 4))["nan"]
    assert "first in forward: the output of 1;" in found.detail


def test_nan_in_the_input_is_of_no_module():
    found = health(nn.Sequential(nn.Linear(4, 1)), torch.full((2, 4), math.nan))["nan"]
    assert found.detail.startswith("the loss is NaN; first in forward: the input; first in backward: linear in 0")


@dataclass
class Returned:
    """What a model of the user's own returns."""

    hidden: torch.Tensor


def first_that_is_nan(x):
    return Returned(x * math.nan)


@pytest.mark.parametrize(
    ("gives", "takes"),
    [(first_that_is_nan, lambda each: each.hidden), (lambda x: x * (math.nan + 0j), lambda x: x.real)],
    ids=["dataclass", "complex"],
)
def test_whatever_a_module_returns_is_looked_at(gives, takes):
    net = nn.Sequential(nn.Linear(4, 4), Apply(gives), Apply(takes), nn.Linear(4, 1))
    assert "first in forward: the output of 1;" in health(net, torch.rand(2, 4))["nan"].detail


class Mapped(nn.Sequential):
    """Maps its modules over the rows of its input."""

    def forward(self, x):
        return torch.vmap(super().forward)(x)


def as_nested(x):
    return torch.nested.as_nested_tensor(list(x))


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize(
    "net",
    [
        nn.Sequential(nn.Linear(4, 4), Apply(lambda x: x.to(torch.float8_e4m3fn)), Apply(torch.Tensor.float)),
        nn.Sequential(nn.Linear(4, 4), Apply(as_nested), Apply(lambda x: x.to_padded_tensor(0.0))),
        nn.Sequential(nn.Linear(4, 4), Apply(lambda x: x[:0])),
        nn.Sequential(nn.Linear(4, 4), Apply(torch.Tensor.to_sparse), Apply(torch.Tensor.to_dense)),
        Mapped(nn.Linear(4, 4), nn.Tanh()),
    ],
    ids=["float8", "nested", "empty", "sparse", "vmap"],
)
def test_looking_on_fails_at_no_kind_of_tensor(net):
    assert not {"nan", "exploding"} & health(net, torch.rand(5, 4)).keys()


def test_a_sparse_gradient_on_its_way_is_passed_by():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.rand(5, 3))

        def forward(self, x):
            return nn.functional.embedding(x, self.weight * 1.0, sparse=True)

    assert health(Scaled(), torch.tensor([0, 1])) == {}


def test_what_is_mapped_over_is_looked_at():
    net = Mapped(nn.Linear(4, 4), Apply(lambda x: x * math.nan), nn.Tanh())
    assert "first in forward: the output of 1;" in health(net, torch.rand(5, 4))["nan"].detail
