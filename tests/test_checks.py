"""What callers of the Python API get for an argument that is wrong."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import nn

import paramctl


@pytest.fixture
def net():
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))


def refusal(call, *args, **options):
    with pytest.raises(paramctl.ParamctlError) as caught:
        call(*args, **options)
    return str(caught.value)


class TestWords:
    def test_a_misspelt_loss_is_refused_with_the_nearest_one(self, net):
        message = refusal(paramctl.gradients, net, torch.rand(2, 4), loss="meen")
        assert message == "loss: there is no loss 'meen'\n  hint: did you mean 'mean'?"

    @pytest.mark.parametrize("loss", [b"sum", 3, "hinge"])
    def test_what_is_no_loss_is_refused_with_all_of_them(self, loss, net):
        message = refusal(paramctl.gradients, net, torch.rand(2, 4), loss=loss)
        assert "'sum', 'mean', 'mse', 'cross_entropy' or a function from the output to a scalar" in message

    @pytest.mark.parametrize("sort", ["size", "Name", 1])
    def test_an_unknown_sort_key_is_refused(self, sort, net):
        assert f"there is no sort {sort!r}" in refusal(paramctl.list_parameters, net, sort=sort)

    @pytest.mark.parametrize("layer", [0, ["0"]])
    def test_a_layer_is_a_path(self, layer, net):
        assert "layer is the path of a module" in refusal(paramctl.list_parameters, net, layer=layer)


class TestNumbers:
    @pytest.mark.parametrize("seed", [np.int64(1), True, torch.tensor(1)])
    def test_equal_seeds_of_any_integer_type_give_equal_values(self, seed, net):
        expected = paramctl.initialize(net, "normal", seed=1, values=True).to_dict()
        assert paramctl.initialize(net, "normal", seed=seed, values=True).to_dict() == expected

    @pytest.mark.parametrize("seed", ["a", 1.5, None, 2.0])
    def test_a_seed_is_a_whole_number(self, seed, net):
        expected = f"seed: seed is a whole number, not {seed!r}"
        assert refusal(paramctl.initialize, net, "normal", seed=seed) == expected
        assert refusal(paramctl.gradients, net, torch.rand(2, 4), seed=seed) == expected

    @pytest.mark.parametrize("seed", [2**64, 2**70, -(2**63) - 1])
    def test_a_seed_fits_in_64_bits(self, seed, net):
        assert refusal(paramctl.initialize, net, "normal", seed=seed) == f"seed: {seed} does not fit in 64 bits"

    @pytest.mark.parametrize("seed", [2**64 - 1, -(2**63)])
    def test_the_outermost_seeds_are_taken(self, seed, net):
        assert paramctl.initialize(net, "normal", seed=seed).seed == seed

    @pytest.mark.parametrize("passes", ["2", 1.5, None])
    def test_passes_are_a_whole_number(self, passes, net):
        message = refusal(paramctl.gradients, net, torch.rand(2, 4), passes=passes)
        assert message == f"passes: passes is a whole number, not {passes!r}"

    def test_there_is_one_pass_or_more(self, net):
        message = refusal(paramctl.gradients, net, torch.rand(2, 4), passes=0)
        assert message == "passes: there must be one pass or more, not 0"

    @pytest.mark.parametrize("train", ["eval", "train", 1])
    def test_a_mode_is_not_a_text(self, train, net):
        message = refusal(paramctl.gradients, net, torch.rand(2, 4), train=train)
        assert f"train is True, False or None, not {train!r}" in message


class TestGlobs:
    def test_a_text_is_one_glob(self, net):
        only = paramctl.list_parameters(net, include="0.*")
        assert [parameter.name for parameter in only.parameters] == ["0.weight", "0.bias"]
        others = paramctl.list_parameters(net, exclude="*.bias")
        assert [parameter.name for parameter in others.parameters] == ["0.weight", "2.weight"]

    @pytest.mark.parametrize("option", ["include", "exclude"])
    @pytest.mark.parametrize("globs", [3, [0], None])
    def test_what_is_no_glob_is_refused(self, option, globs, net):
        assert f"{option} is a glob or several" in refusal(paramctl.list_parameters, net, **{option: globs})


class TestRules:
    @pytest.mark.parametrize("rules", ["*.bias=zeros", ["*.bias=zeros"]])
    def test_the_form_of_the_command_line_is_answered_with_that_of_python(self, rules, net):
        assert "hint: write {'*.bias': 'zeros'}" in refusal(paramctl.initialize, net, rules=rules)

    @pytest.mark.parametrize("rules", [3, None, "zeros", [("*.bias", "zeros", 1)], [(0, "zeros")], {0: "zeros"}])
    def test_what_holds_no_rules_is_answered_with_their_form(self, rules, net):
        assert 'such as {"*.bias": "zeros"}' in refusal(paramctl.initialize, net, rules=rules)

    def test_what_is_no_scheme_is_refused_before_anything_is_changed(self, net):
        before = net[0].weight.detach().clone()
        assert "not int 5" in refusal(paramctl.initialize, net, rules={"0.weight": "zeros", "2.bias": 5})
        assert "not Tensor" in refusal(paramctl.initialize, net, torch.zeros(1))
        assert torch.equal(net[0].weight, before)


class TestKeywords:
    @pytest.mark.parametrize("kwargs", [[("x", 1)], {1: 2}, "x"])
    def test_keyword_arguments_are_a_mapping_from_names(self, kwargs, net):
        assert re.search("kwargs maps names to arguments", refusal(paramctl.gradients, net, kwargs=kwargs))
