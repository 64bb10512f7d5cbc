"""What operations do to ties, held against the same operations on the model itself."""

from __future__ import annotations

import copy
import sys

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import paramctl
from paramctl.reports.shared import RELATIONS
from paramctl.tensors.sharing.survival import OPERATIONS


def same_module():
    linear = nn.Linear(3, 3, bias=False)
    return nn.Sequential(linear, linear)


def same_parameter():
    net = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    net[1].weight = net[0].weight
    return net


def same_storage():
    net = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    net[1].weight = nn.Parameter(net[0].weight.data)
    return net


def overlap():
    whole = torch.zeros(5, 3)
    net = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    net[0].weight, net[1].weight = nn.Parameter(whole[:3]), nn.Parameter(whole[2:])
    return net


TIES = {"same-module": same_module, "same-parameter": same_parameter, "same-storage": same_storage, "overlap": overlap}


def outcomes(net):
    (tie,) = paramctl.find_shared(net, survival=True).survival
    return {trial.operation: trial.outcome for trial in tie.trials}


def meets(net):
    """Tell whether a value that is written to the first parameter's last element is read in the second."""
    first, second = net[0].weight, net[1].weight
    with torch.no_grad():
        first.zero_()
        second.zero_()
        first[-1, -1] = 7
    return bool((second == 7).any())


@pytest.mark.parametrize("relation", TIES)
class TestOnTheModelItself:
    @pytest.mark.parametrize(
        ("operation", "change"),
        [
            ("deepcopy", copy.deepcopy),
            ("to(dtype)", lambda net: net.to(torch.float64)),
            ("meta, to_empty(device)", lambda net: net),
        ],
    )
    def test_a_tie_is_kept_where_the_elements_are_still_the_same(self, relation, operation, change):
        net = TIES[relation]()
        if operation.startswith("meta"):
            with torch.device("meta"):
                net = TIES[relation]()
            net.to_empty(device="cpu")
        outcome = outcomes(TIES[relation]())[operation]
        assert (outcome != "broken") == meets(change(net))

    def test_an_optimizer_steps_each_element_as_often_as_it_says(self, relation):
        net = TIES[relation]()
        for parameter in net.parameters():
            nn.init.zeros_(parameter)
            parameter.grad = torch.ones_like(parameter)
        torch.optim.SGD(net.parameters(), lr=1.0).step()
        times = {-1.0: "once", -2.0: "twice"}[min(parameter.min().item() for parameter in net.parameters())]
        assert outcomes(TIES[relation]())["optimizer.step"] == times

    def test_safetensors_refuses_what_it_says(self, relation, tmp_path):
        assert outcomes(TIES[relation]())["safetensors.save_file"] == "refused"
        with pytest.raises(RuntimeError, match="Some tensors share memory"):
            save_file(TIES[relation]().state_dict(), tmp_path / "x.safetensors")


EXPECTED = {
    "optimizer.step": ("once", "once", "twice", "twice"),
    "state_dict": ("kept", "kept", "kept", "kept"),
    "torch.save, torch.load": ("kept", "kept", "kept", "kept"),
    "safetensors.save_file": ("refused", "refused", "refused", "refused"),
    "safetensors.save_model": ("kept", "kept", "kept", "refused"),
    "load_state_dict(assign=True)": ("kept", "same-storage", "kept", "kept"),
    "deepcopy": ("kept", "kept", "broken", "broken"),
    "pickle": ("kept", "kept", "broken", "broken"),
    "to(dtype)": ("kept", "kept", "broken", "broken"),
    "meta, to_empty(device)": ("kept", "broken", "broken", "broken"),
    "fully_shard": ("kept", "kept", "broken", "broken"),
}


def test_each_operation_does_to_each_tie_what_is_known_of_it():
    found = [outcomes(make()) for make in TIES.values()]
    assert {name: tuple(each[name] for each in found) for name in EXPECTED} == EXPECTED
    assert list(TIES) == [each for each in RELATIONS if each != "same-values"]
    assert list(found[0]) == list(OPERATIONS)


def test_another_device_is_tried_where_there_is_one():
    (tie,) = paramctl.find_shared(same_parameter(), survival=True).survival
    (trial,) = [trial for trial in tie.trials if trial.operation == "to(device)"]
    if torch.accelerator.is_available():
        assert trial.outcome == "kept"
    else:
        assert (trial.outcome, trial.reason) == (None, "there is no device here but the CPU")


def test_a_tie_is_not_blamed_for_another_one():
    net = nn.Sequential(*same_parameter(), nn.Linear(3, 4, bias=False), nn.Linear(4, 3, bias=False))
    net[3].weight = nn.Parameter(net[2].weight.data.t())
    first, second = paramctl.find_shared(net, survival=True).survival
    refused = [{trial.operation for trial in tie.trials if trial.outcome == "refused"} for tie in (first, second)]
    assert refused == [{"safetensors.save_file"}, {"safetensors.save_file", "safetensors.save_model", "fully_shard"}]


def test_a_refusal_is_told_in_whole_sentences_that_no_process_tells_otherwise():
    values = torch.rand(4, 3)
    net = nn.ParameterList([nn.Parameter(values[:3]), nn.Parameter(values[1:])])
    (tie,) = paramctl.find_shared(net, survival=True).survival
    reasons = {trial.operation: trial.reason for trial in tie.trials}
    assert "when loading them again: the names of the tie. A potential way" in reasons["safetensors.save_file"]
    assert "to keep for saving amongst: the names of the tie. None is covering" in reasons["safetensors.save_model"]


def test_methods_of_the_models_own_are_called():
    class Retied(nn.Sequential):
        def _apply(self, fn, recurse=True):
            super()._apply(fn, recurse)
            self[1].weight = self[0].weight
            return self

    assert outcomes(Retied(*same_parameter()))["meta, to_empty(device)"] == "kept"


def test_the_model_and_the_process_are_left_as_they_were():
    net, hook, state = same_parameter(), sys.excepthook, torch.get_rng_state()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    weight = net[0].weight
    outcomes(net)
    assert net[0].weight is weight is net[1].weight
    assert weight.grad is None
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert sys.excepthook is hook
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.distributed.is_initialized()


def test_what_cannot_be_tried_says_why():
    net = same_parameter()
    net.generator = (each for each in ())
    (tie,) = paramctl.find_shared(net, survival=True).survival
    assert {trial.outcome for trial in tie.trials} == {None}
    assert {trial.reason for trial in tie.trials} == {
        "the model cannot be copied: TypeError: cannot pickle 'generator' object"
    }


def test_whole_numbers_have_no_optimizer():
    values = torch.arange(4)
    net = nn.ParameterList([nn.Parameter(values, requires_grad=False), nn.Parameter(values, requires_grad=False)])
    (tie,) = paramctl.find_shared(net, survival=True).survival
    assert (tie.trials[0].outcome, tie.trials[0].reason) == (
        None,
        "its elements are not all floating numbers of one dtype",
    )


def test_without_ties_nothing_is_tried():
    answer = paramctl.find_shared(nn.Linear(2, 2), survival=True)
    assert answer.survival == ()
    assert repr(answer).splitlines()[-1].rstrip() == "There is no tie to try."
