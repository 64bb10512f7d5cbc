"""The four answers on a live module."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import paramctl


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))


class TestListing:
    def test_the_answer_has_the_reports_fields(self, net):
        answer = paramctl.list_parameters(net, stats=True, values=True)
        assert [parameter.name for parameter in answer.parameters] == ["0.weight", "0.bias", "2.weight", "2.bias"]
        assert answer.totals.numel == 19
        assert answer.model == "Sequential"
        assert answer.parameters[0].stats.norm == pytest.approx(net[0].weight.norm().item())
        assert torch.equal(torch.tensor(answer.parameters[0].values.nested()), net[0].weight)

    def test_options_are_those_of_the_command(self, net):
        net.add_module("norm", nn.BatchNorm1d(1))
        answer = paramctl.list_parameters(net, layer="norm", buffers=True, include=["running_*"], sort="name")
        assert [record.name for record in answer.parameters] == ["running_mean", "running_var"]
        assert paramctl.list_parameters(net, tree=True).tree.numel == 21

    def test_messages_name_the_arguments_of_the_call(self, net):
        with pytest.raises(paramctl.ParamctlError) as caught:
            paramctl.list_parameters(net, layer="7")
        assert str(caught.value) == "layer: the model has no layer '7'\n  hint: the outermost are 0, 1, 2"
        answer = paramctl.list_parameters(net, include="7.*")
        assert list(answer.notes) == ["include '7.*' matches no parameter; globs match whole dotted names"]

    def test_a_model_on_meta_is_listed(self):
        with torch.device("meta"):
            net = nn.Linear(100_000, 100_000)
        assert paramctl.list_parameters(net).totals.nbytes == 4 * (10**10 + 10**5)

    def test_it_converts_to_the_json_of_the_command(self, net):
        assert paramctl.list_parameters(net).to_dict()["totals"] == {
            "tensors": 4, "numel": 19, "trainable": 19, "frozen": 0, "nbytes": 76,
        }  # fmt: skip

    def test_values_are_those_of_the_call(self, net):
        answer = paramctl.list_parameters(net, values=True)
        before, shown = answer.parameters[1].values.nested(), answer.parameters[1].values.text()
        with torch.no_grad():
            net[0].bias.fill_(7)
        assert answer.parameters[1].values.nested() == before
        assert answer.parameters[1].values.text() == shown

    def test_a_histogram_is_that_of_the_tensor(self, net):
        (row, *_) = paramctl.list_parameters(net, hist=True).parameters
        edges, counts = torch.tensor(row.histogram.edges), torch.tensor(row.histogram.counts)
        expected, _ = torch.histogram(net[0].weight.detach(), edges)
        assert torch.equal(counts, expected.long())
        assert row.stats == paramctl.list_parameters(net, hist=True, values=True).parameters[0].stats

    def test_what_torch_does_not_compute_with_has_no_statistics_and_is_named(self, net):
        net.register_buffer("packed", torch.zeros(3, dtype=torch.uint8).view(torch.float4_e2m1fn_x2))
        answer = paramctl.list_parameters(net, hist=True, buffers=True)
        assert (answer.parameters[-1].stats, answer.to_dict()["parameters"][-1]["histogram"]) == (None, None)
        assert answer.notes == ("packed: no statistics, since torch does not compute with float4_e2m1fn_x2",)
        assert repr(answer).splitlines()[6].split()[:5] == ["packed", "buffer", "float4_e2m1fn_x2", "3", "–"]

    def test_an_unknown_layer_is_a_paramctl_error(self, net):
        with pytest.raises(paramctl.ParamctlError, match="no layer '7'"):
            paramctl.list_parameters(net, layer="7")


class TestInitialising:
    def test_the_module_is_changed_in_place(self, net):
        weight = net[0].weight
        answer = paramctl.initialize(net, "constant:val=2", rules={"*.bias": "ones"})
        assert net[0].weight is weight
        assert weight.requires_grad
        assert weight.grad_fn is None
        assert weight.tolist() == [[2.0] * 4] * 3
        assert net[0].bias.tolist() == [1.0] * 3
        assert [str(rule) for rule in answer.parameters[1].rules] == ["zeros", "ones"]

    def test_values_are_those_that_the_command_gives_a_spec(self, net, report, write):
        paramctl.initialize(net, "kaiming_normal", seed=5)
        rows = report("init", "example:mlp", "--scheme", "kaiming_normal", "--seed", "5", "--values")["parameters"]
        for row, parameter in zip(rows, net.parameters(), strict=True):
            assert torch.equal(torch.tensor(row["values"]), parameter)

    def test_a_histogram_is_of_the_values_that_are_given(self, net):
        rows = paramctl.initialize(net, "uniform", hist=True).parameters
        assert [sum(row.histogram.counts) for row in rows] == [12, 3, 3, 1]
        assert rows[0].histogram.edges[-1] <= 1
        assert rows[1].histogram.edges == (0.0, 0.0)

    def test_what_torch_does_not_compute_with_is_kept_and_named(self, net):
        packed = torch.arange(3, dtype=torch.uint8)
        net.packed = nn.Parameter(packed.view(torch.bits8), requires_grad=False)
        answer = paramctl.initialize(net, "normal")
        assert net.packed.view(torch.uint8).tolist() == [0, 1, 2]
        assert (answer.parameters[0].name, answer.parameters[0].stats) == ("packed", None)
        assert answer.notes == ("packed: no statistics, since torch does not compute with bits8",)
        with pytest.raises(paramctl.ParamctlError, match="normal does not fit packed"):
            paramctl.initialize(net, rules={"packed": "normal"})

    def test_what_no_rule_reaches_keeps_its_values(self, net):
        before = net[2].weight.detach().clone()
        answer = paramctl.initialize(net, rules=[("0.*", "zeros")])
        assert torch.equal(net[2].weight, before)
        assert answer.parameters[2].expected is None
        assert answer.parameters[2].rules == ()

    def test_where_values_were_found_is_not_known(self, net):
        rules = {"0.weight": "zeros", "0.bias": "add:value=1", "2.weight": "default"}
        answer = paramctl.initialize(net, rules=rules)
        assert [row.origin for row in answer.parameters] == [
            "rule 1: zeros", "as found → rule 2: add(value=1)", "rule 3: default", "as found",
        ]  # fmt: skip

    def test_default_draws_the_layers_own_values_anew(self, net, report):
        nn.init.ones_(net[0].weight)
        paramctl.initialize(net, rules={"*": "default"})
        rows = report("init", "example:mlp", "--values")["parameters"]
        assert torch.equal(torch.tensor(rows[0]["values"]), net[0].weight)

    def test_values_are_those_of_the_call(self, net):
        answer = paramctl.initialize(net, "constant:val=2", values=True)
        paramctl.initialize(net, "constant:val=3")
        assert answer.parameters[2].values.nested() == [[2.0] * 3]

    def test_an_exact_rule_that_does_not_fit_leaves_the_module_as_it_is(self, net):
        before = [parameter.detach().clone() for parameter in net.parameters()]
        with pytest.raises(paramctl.ParamctlError, match=r"xavier_normal does not fit 2\.bias"):
            paramctl.initialize(net, "zeros", rules={"0.*": "ones", "2.*": "xavier_normal"})
        assert all(map(torch.equal, net.parameters(), before))

    @pytest.mark.parametrize("text", ["def other(): pass", "1 / 0", "init_ = 3"])
    def test_a_function_that_cannot_be_loaded_leaves_the_module_as_it_is(self, text, net, write):
        before = [parameter.detach().clone() for parameter in net.parameters()]
        path = write(text, f"not_loaded_{len(text)}.py")
        with pytest.raises(paramctl.ParamctlError):
            paramctl.initialize(net, "zeros", rules={"2.bias": f"{path}:init_"})
        assert all(map(torch.equal, net.parameters(), before))

    def test_a_function_that_raises_leaves_what_was_done_before_it(self, net):
        def fails_(tensor):
            raise ValueError("no")

        before = net[2].bias.tolist()
        with pytest.raises(paramctl.ParamctlError, match=r"fails_ on 2\.weight failed: ValueError: no"):
            paramctl.initialize(net, rules={"0.*": nn.init.ones_, "2.weight": fails_, "2.bias": nn.init.ones_})
        assert net[0].bias.tolist() == [1.0] * 3
        assert net[2].bias.tolist() == before

    def test_a_module_made_in_inference_mode_is_initialised_there(self):
        with torch.inference_mode():
            net = nn.Sequential(*[nn.Linear(2, 2) for _ in range(9)])
            paramctl.initialize(net, "constant:val=3")
        assert {each.weight.sum().item() for each in net} == {12.0}

    def test_a_function_is_a_scheme(self, net):
        def halves_(tensor):
            tensor.fill_(0.5)

        answer = paramctl.initialize(net, halves_)
        assert net[0].weight.tolist() == [[0.5] * 4] * 3
        assert answer.parameters[0].rules[0].scheme.endswith("halves_")

    def test_a_tied_parameter_changes_once(self):
        first, second = nn.Linear(2, 2), nn.Linear(2, 2)
        second.weight = first.weight
        paramctl.initialize(nn.Sequential(first, second), rules=[("*.weight", "zeros"), ("*.weight", "add:value=1")])
        assert first.weight.tolist() == [[1.0] * 2] * 2

    def test_a_parameter_that_is_not_contiguous_gets_the_same_values(self):
        plain, turned = nn.Linear(4, 3, bias=False), nn.Linear(4, 3, bias=False)
        turned.weight = nn.Parameter(torch.empty(4, 3).t())
        paramctl.initialize(plain, "normal")
        paramctl.initialize(turned, "normal")
        assert torch.equal(plain.weight, turned.weight)
        assert not turned.weight.is_contiguous()

    def test_a_parameter_whose_elements_are_one_in_memory_is_kept_and_reached_by_no_rule(self):
        net = nn.Module()
        net.first = nn.Parameter(torch.zeros(2, 2))
        net.expanded = nn.Parameter(torch.ones(3, 1).expand(3, 4))
        net.sliding = nn.Parameter(torch.arange(5.0).unfold(0, 3, 1))
        (row, *others) = paramctl.initialize(net, "ones").parameters
        assert (row.stats.mean, *(each.start for each in others)) == (1, "as found", "as found")
        assert net.sliding.tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
        for name in ("expanded", "sliding"):
            with pytest.raises(
                paramctl.ParamctlError, match=f"normal does not fit {name}: several of its elements are"
            ):
                paramctl.initialize(net, rules={"first": "zeros", name: "normal"})
        assert net.first.tolist() == [[1, 1], [1, 1]]

    def test_random_generators_are_left_as_they_were(self, net):
        torch.manual_seed(1)
        expected = torch.rand(1)
        torch.manual_seed(1)
        paramctl.initialize(net, "normal", rules={"*.bias": lambda tensor: tensor.normal_()})
        assert torch.equal(torch.rand(1), expected)

    @pytest.mark.parametrize("scheme", ["norml", "normal:std=-1", "constant"])
    def test_a_wrong_scheme_is_a_paramctl_error(self, scheme, net):
        with pytest.raises(paramctl.ParamctlError):
            paramctl.initialize(net, scheme)

    def test_a_model_on_meta_has_no_memory_to_change(self):
        with pytest.raises(paramctl.ParamctlError, match="weight is on the meta device"):
            paramctl.initialize(nn.Linear(2, 2, device="meta"), "normal")


class TestSharing:
    def test_groups_are_by_id(self, net):
        net[2] = net[0]
        answer = paramctl.find_shared(net)
        assert [(group.relation, group.names, group.identity) for group in answer.groups] == [
            ("same-module", ("0.weight", "2.weight"), id(net[0].weight)),
            ("same-module", ("0.bias", "2.bias"), id(net[0].bias)),
        ]

    def test_the_same_memory_under_another_parameter_is_found(self, net):
        net[2] = nn.Linear(3, 4, bias=False)
        net[2].weight = nn.Parameter(net[0].weight.data.t())
        answer = paramctl.find_shared(net)
        assert [(group.relation, group.names, group.shape) for group in answer.groups] == [
            ("same-storage", ("0.weight", "2.weight"), None)
        ]
        assert [line.rstrip() for line in repr(answer).splitlines()[2:]] == [
            "same-storage  0.weight             –            12   48 B",
            "              2.weight transposed",
            "1 group · 27 elements under their names, 15 counted once · 48 B saved",
        ]

    def test_ties_are_expected_as_on_the_command_line(self, net):
        net.append(nn.Linear(4, 3))
        net[3].weight = net[0].weight
        tie = "3.weight=0.weight"
        answer = paramctl.find_shared(net, expect=tie, expect_none=True)
        assert answer.meets_expectations
        assert [(each.names, each.met) for each in answer.expectations] == [
            (("3.weight", "0.weight"), True),
            ((), True),
        ]
        assert repr(answer).splitlines()[-1] == "as expected: nothing else is shared"
        assert not paramctl.find_shared(net, expect_none=True).meets_expectations
        answer = paramctl.find_shared(net, expect=[tie, "0.bias=3.bias"])
        assert not answer.meets_expectations
        assert "note: expected 0.bias = 3.bias: they share nothing" in repr(answer)

    @pytest.mark.parametrize(
        ("expect", "message"),
        [
            ("0.weight", "expect: '0.weight' names no tie of two parameters or more"),
            ("0.weight=2.wieght", "expect: the model has no parameter '2.wieght'\n  hint: did you mean '2.weight'"),
            ([("0.weight", "2.weight")], "expect: expect is a tie or several, not"),
            (3, "expect: expect is a tie or several, not 3"),
        ],
    )
    def test_what_is_no_tie_is_answered(self, expect, message, net):
        with pytest.raises(paramctl.ParamctlError) as caught:
            paramctl.find_shared(net, expect=expect)
        assert str(caught.value).startswith(message)

    def test_what_was_found_besides_is_a_note(self):
        whole = torch.zeros(10)
        net = nn.ParameterList([nn.Parameter(whole[:4]), nn.Parameter(whole[4:8])])
        assert repr(paramctl.find_shared(net)).splitlines() == [
            "No parameter is shared: 8 elements, each under one name.",
            "note: 0 and 1 are slices of one storage, 2 parts without an element in common",
            "note: 8 bytes of the storages that parameters lie in belong to none of them",
        ]


class TestGradients:
    def test_gradients_are_reported_and_the_module_is_left_as_it_was(self, net):
        net.insert(0, nn.BatchNorm1d(4))
        net.insert(1, nn.Dropout(0.5))
        net[2].weight.grad = torch.ones(3, 4)
        net[1].eval()
        state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        torch.manual_seed(2)
        expected = torch.rand(1)
        torch.manual_seed(2)
        answer = paramctl.gradients(net, torch.rand(5, 4, generator=torch.Generator().manual_seed(0)), train=True)
        assert answer.output_shape == (5, 1)
        assert answer.parameters[2].before.mean == 1.0
        assert answer.parameters[2].grad.mean != 1.0
        assert answer.parameters[3].before is None
        assert torch.equal(net[2].weight.grad, torch.ones(3, 4))
        assert net[2].bias.grad is None
        assert [module.training for module in net] == [True, False, True, True, True]
        assert all(torch.equal(net.state_dict()[name], tensor) for name, tensor in state.items())
        assert torch.equal(torch.rand(1), expected)

    def test_the_module_is_left_as_it_was_after_a_failure_too(self, net):
        net.eval()
        with pytest.raises(paramctl.ParamctlError, match=r"0 \(Linear\) failed in forward on an input of \[2, 5\]"):
            paramctl.gradients(net, torch.rand(2, 5), train=True)
        assert not net.training
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())

    def test_a_histogram_is_of_the_gradient_after_the_passes(self, net):
        rows = paramctl.gradients(net, torch.ones(2, 4), passes=3, hist=True).parameters
        assert rows[-1].histogram.edges == (6.0, 6.0)
        assert rows[-1].histogram.counts == (1,)
        assert paramctl.gradients(net, torch.ones(2, 4)).parameters[-1].histogram is None

    def test_a_loss_can_be_a_function(self, net):
        given = torch.rand(2, 4)
        answer = paramctl.gradients(net, given, loss=lambda output: 3 * output.sum(), values=True)
        assert answer.parameters[-1].values.nested() == [6.0]
        assert answer.loss == pytest.approx(3 * net(given).sum().item())

    def test_a_loss_of_ones_own_takes_all_that_the_module_returns(self):
        class Two(nn.Linear):
            def forward(self, x):
                return super().forward(x), 2 * super().forward(x)

        answer = paramctl.gradients(
            Two(2, 1), torch.ones(1, 2), loss=lambda both: (both[0] + both[1]).sum(), values=True
        )
        assert answer.parameters[1].values.nested() == [3.0]

    def test_values_are_those_of_the_call(self, net):
        kept = []
        handle = net[2].bias.register_post_accumulate_grad_hook(lambda parameter: kept.append(parameter.grad))
        answer = paramctl.gradients(net, torch.rand(2, 4), values=True)
        handle.remove()
        kept[0].zero_()
        assert answer.parameters[3].values.nested() == [2.0]

    def test_passes_accumulate(self, net):
        assert paramctl.gradients(net, torch.rand(2, 4), passes=4).parameters[-1].grad.mean == 8.0
        with pytest.raises(paramctl.ParamctlError, match="one pass or more"):
            paramctl.gradients(net, torch.rand(2, 4), passes=0)

    @pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
    def test_grad_mode_of_the_caller_does_not_matter(self, mode, net):
        given = torch.rand(2, 4)
        with mode():
            assert paramctl.gradients(net, given).parameters[-1].grad.mean == 2.0

    def test_forward_takes_keyword_arguments(self):
        class Scaled(nn.Linear):
            def forward(self, x, *, scale):
                return scale * super().forward(x)

        net, given = Scaled(4, 3), torch.rand(2, 4)
        answer = paramctl.gradients(net, given, kwargs={"scale": 3}, values=True)
        assert answer.parameters[1].values.nested() == [6.0] * 3
        answer = paramctl.gradients(net, kwargs={"x": given, "scale": torch.tensor(2.0)}, values=True)
        assert answer.parameters[1].values.nested() == [4.0] * 3
        with pytest.raises(paramctl.ParamctlError, match=r"failed in forward on an input of \[2, 5\]"):
            paramctl.gradients(net, kwargs={"x": torch.rand(2, 5), "scale": 1})


def test_every_name_of_the_package_is_there_and_is_completed():
    assert set(paramctl.__all__) <= set(dir(paramctl))
    assert all(getattr(paramctl, name) is not None for name in paramctl.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = paramctl.nothing


def test_completion_imports_no_torch(process):
    code = "import sys, paramctl; print('gradients' in dir(paramctl), 'torch' in sys.modules)"
    assert process(code=code).out.split() == ["True", "False"]


def test_what_is_not_registered_is_named():
    net = nn.Sequential(nn.Linear(2, 1))
    assert paramctl.list_parameters(net).to_dict()["not_registered"] == []
    net.constant = torch.ones(3)
    report = paramctl.list_parameters(net)
    assert [(each["name"], each["shape"]) for each in report.to_dict()["not_registered"]] == [("constant", [3])]
    assert "not a parameter" in repr(report)


def test_the_loss_that_a_module_returns_is_its_loss_unless_one_is_named():
    class Net(nn.Linear):
        def forward(self, x):
            logits = super().forward(x)
            return {"logits": logits, "loss": logits.mean()}

    assert paramctl.gradients(Net(2, 2), torch.ones(1, 2)).output_path == "output['loss']"
    assert paramctl.gradients(Net(2, 2), torch.ones(1, 2), loss="sum").output_path == "output['logits']"
