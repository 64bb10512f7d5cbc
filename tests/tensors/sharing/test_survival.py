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
from paramctl.tensors.sharing.operations import OPERATIONS


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
    "fully_shard each layer": ("kept", "broken", "broken", "broken"),
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
    everything = {"safetensors.save_file", "safetensors.save_model", "fully_shard", "fully_shard each layer"}
    assert refused == [{"safetensors.save_file"}, everything]


def test_one_of_many_ties_is_not_blamed_for_the_others():
    net = nn.Sequential(
        *(same_parameter() for _ in range(40)), nn.Linear(3, 4, bias=False), nn.Linear(4, 3, bias=False)
    )
    net[41].weight = nn.Parameter(net[40].weight.data.t())
    *others, last = paramctl.find_shared(net, survival=True).survival
    saved = [trial.outcome for tie in others for trial in tie.trials if trial.operation == "safetensors.save_model"]
    assert saved == ["kept"] * 40
    assert "refused" in {trial.outcome for trial in last.trials if trial.operation == "safetensors.save_model"}


def test_so_many_refused_ties_that_not_all_are_tried_alone_are_not_called_refused():
    net = nn.Sequential()
    for i in range(100):
        net.append(nn.Linear(3, 4, bias=False)).append(nn.Linear(4, 3, bias=False))
        net[2 * i + 1].weight = nn.Parameter(net[2 * i].weight.data.t())
    ties = paramctl.find_shared(net, survival=True).survival
    saved = [trial for tie in ties for trial in tie.trials if trial.operation == "safetensors.save_model"]
    assert {trial.outcome for trial in saved} == {"refused", None}
    assert all("refused together with other ties" in trial.reason for trial in saved if trial.outcome is None)


def test_a_tie_that_a_copy_loses_does_not_keep_the_others_from_being_tried():
    class Unties(nn.Sequential):
        def __deepcopy__(self, memo):
            copied = nn.Sequential(*(copy.deepcopy(each, memo) for each in self))
            copied[1].weight = nn.Parameter(copied[1].weight.detach().clone())
            return copied

    lost, other = paramctl.find_shared(Unties(*same_parameter(), *same_storage()), survival=True).survival
    assert {trial.reason for trial in lost.trials} == {"a copy of the model is not tied as the model is"}
    assert {trial.outcome for trial in other.trials if trial.operation != "to(device)"} >= {"kept", "broken", "twice"}


def test_what_refuses_the_model_without_a_tie_is_said_of_each_tie():
    net = nn.ModuleList([same_parameter() for _ in range(3)])
    ties = paramctl.find_shared(net, survival=True).survival
    reasons = {trial.reason for tie in ties for trial in tie.trials if trial.operation == "fully_shard"}
    (reason,) = reasons
    assert reason.startswith("ValueError: fully_shard does not support containers that do not implement forward")
    assert len(reason) < 300


def test_an_optimizer_steps_only_what_is_trained():
    net = same_storage()
    net[1].weight.requires_grad_(False)
    assert outcomes(net)["optimizer.step"] == "once"
    net[0].weight.requires_grad_(False)
    (tie,) = paramctl.find_shared(net, survival=True).survival
    assert (tie.trials[0].outcome, tie.trials[0].reason) == (None, "nothing of it is trained: requires_grad is False")


@pytest.mark.parametrize("others", [[torch.float32], [torch.float32, torch.float16, torch.bfloat16]])
def test_to_another_dtype_is_tried_with_a_dtype_that_no_parameter_has(others):
    weights = [nn.Linear(3, 3, bias=False, dtype=torch.float64) for _ in range(2)]
    net = nn.Sequential(*weights, *(nn.Linear(2, 2, dtype=dtype) for dtype in others))
    net[1].weight = nn.Parameter(net[0].weight.data)
    assert outcomes(net)["to(dtype)"] == "broken"


def test_a_default_device_is_not_where_a_copy_is():
    expected = outcomes(same_parameter())
    net = same_parameter()
    with torch.device("meta"):
        assert outcomes(net) == expected


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


def test_elements_of_several_dtypes_are_not_stepped():
    values = torch.rand(4)
    net = nn.ParameterList([nn.Parameter(values), nn.Parameter(values.view(torch.bfloat16))])
    (tie,) = paramctl.find_shared(net, survival=True).survival
    assert (tie.trials[0].outcome, tie.trials[0].reason) == (
        None,
        "its elements are not all floating numbers of one dtype",
    )


def test_without_ties_nothing_is_tried():
    answer = paramctl.find_shared(nn.Linear(2, 2), survival=True)
    assert answer.survival == ()
    assert repr(answer).splitlines()[-1].rstrip() == "There is no tie to try."
