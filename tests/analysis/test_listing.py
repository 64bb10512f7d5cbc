from __future__ import annotations

import pytest
from torch import nn

from paramctl.analysis.listing import ListOptions, make_list_report
from paramctl.errors import ParamctlError
from paramctl.records import Inventory, ModuleRecord, ParameterRecord
from paramctl.tensors.collect import take_inventory


def parameter(name, shape, *, module_type="Linear", aliases=(), kind="parameter", grad=True, dtype="float32"):
    module = name.rpartition(".")[0]
    return ParameterRecord(name, module, module_type, kind, shape, dtype, grad, aliases)


HELD = Inventory(
    (
        parameter("a.weight", (10, 4), aliases=("b.c.weight",)),
        parameter("a.bias", (10,), grad=False),
        parameter("b.c.scale", (3,), module_type="Scale", dtype="float64"),
    ),
    (parameter("b.running", (2,), kind="buffer", grad=False),),
    (
        ModuleRecord("", "Sequential"),
        ModuleRecord("a", "Linear"),
        ModuleRecord("b", "Sequential"),
        ModuleRecord("b.c", "Scale"),
        ModuleRecord("d", "ReLU"),
    ),
)


def listed(**options):
    return make_list_report("m", HELD, ListOptions(**options), None)


def names(**options):
    return [record.name for record in listed(**options).parameters]


def test_totals_count_each_row_once():
    totals = listed().totals
    assert (totals.tensors, totals.numel, totals.trainable, totals.frozen, totals.nbytes) == (3, 53, 43, 10, 224)


def test_a_buffer_is_neither_trainable_nor_frozen():
    totals = listed(buffers=True).totals
    assert (totals.tensors, totals.numel, totals.trainable, totals.frozen) == (4, 55, 43, 10)


def test_the_totals_are_those_of_the_rows_that_are_shown():
    report = listed(include=["*.bias"])
    assert report.totals.numel == sum(record.numel for record in report.parameters) == 10


def test_filters_look_at_every_name():
    assert names(include=["b.*"]) == ["a.weight", "b.c.scale"]
    assert names(exclude=["b.*"]) == ["a.bias"]
    assert names(include=["*.weight"], exclude=["b.*"]) == []


def test_a_layer_is_shown_with_the_names_that_it_has_by_itself():
    (weight, scale) = listed(layer="b").parameters
    assert (weight.name, weight.module, weight.module_type, weight.aliases) == ("c.weight", "c", "Scale", ())
    assert (scale.name, scale.module, scale.module_type) == ("c.scale", "c", "Scale")
    (own,) = listed(layer="a", include=["weight"]).parameters
    assert (own.name, own.module, own.module_type) == ("weight", "", "Linear")


def test_a_layer_without_parameters_is_an_empty_list():
    assert names(layer="d") == []


def test_an_unknown_layer_is_an_error_that_names_others():
    with pytest.raises(ParamctlError, match="the outermost are a, b, d"):
        listed(layer="xyz")


def test_sizes_are_sorted_largest_first_and_names_from_a():
    assert names(sort="numel") == ["a.weight", "a.bias", "b.c.scale"]
    assert names(sort="nbytes", buffers=True) == ["a.weight", "a.bias", "b.c.scale", "b.running"]
    assert names(sort="name") == ["a.bias", "a.weight", "b.c.scale"]
    assert names(sort=None) == ["a.weight", "a.bias", "b.c.scale"]


def test_what_is_measured_is_asked_for_by_the_name_in_the_model():
    asked = []

    def measure(name):
        asked.append(name)
        return None, None

    make_list_report("m", HELD, ListOptions(layer="b", stats=True), measure)
    assert asked == ["b.c.weight", "b.c.scale"]


@pytest.mark.parametrize(
    ("options", "note"),
    [
        ({"include": ["*", "9"]}, "--include '9' matches no parameter; globs match whole dotted names"),
        ({"include": ["c"]}, "--include 'c' matches no parameter; globs match whole dotted names: did you mean '*c*'?"),
        ({"include": [""]}, "--include '' matches no parameter; globs match whole dotted names"),
        (
            {"exclude": ["weight"]},
            "--exclude 'weight' matches no parameter; globs match whole dotted names: did you mean '*.weight'?",
        ),
        (
            {"exclude": ["a"], "include": ["a.*"]},
            "--exclude 'a' matches no parameter; globs match whole dotted names: did you mean 'a.*'?",
        ),
        (
            {"include": ["b.c.scale"], "layer": "b"},
            "--include 'b.c.scale' matches no parameter; globs match whole dotted names inside b: did you mean 'c.scale'?",
        ),
    ],
)
def test_a_glob_that_matches_nothing_is_noted_with_one_that_would(options, note):
    assert listed(**options).notes == (note,)


def test_a_glob_that_matches_is_not_noted_whatever_others_leave_of_it():
    assert listed(include=["*.weight", "b.*"], exclude=["*"]).notes == ()


class TestTheTreeOfALayer:
    def tree(self, net, layer):
        report = make_list_report("m", take_inventory(net), ListOptions(layer=layer, tree=True), None)
        assert report.tree.numel == report.totals.numel
        return report.tree

    def test_counts_what_the_layer_holds_also_where_its_first_name_lies_outside(self):
        net = nn.ModuleDict({"wte": nn.Embedding(5, 3), "head": nn.Linear(3, 5, bias=False)})
        net["head"].weight = net["wte"].weight
        tree = self.tree(net, "head")
        assert (tree.path, tree.numel, tree.tied) == ("", 15, ())
        assert [tensor.name for tensor in tree.tensors] == ["weight"]

    def test_of_a_module_that_was_met_outside_the_first_place_inside_counts(self):
        linear = nn.Linear(2, 2)
        net = nn.ModuleDict({"a": linear, "b": nn.Sequential(nn.ReLU(), linear, linear)})
        _, first, second = self.tree(net, "b").children
        assert (first.path, first.same_as, first.numel) == ("1", None, 6)
        assert (second.path, second.same_as, second.numel) == ("2", "1", 0)

    def test_a_layer_that_is_a_module_met_before_is_whole(self):
        block = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
        tree = self.tree(nn.Sequential(block, block), "1")
        assert (tree.same_as, tree.numel) == (None, 6)
        assert [(child.path, child.same_as) for child in tree.children] == [("0", None), ("1", None)]

    def test_a_tie_to_a_tensor_inside_is_told_by_its_name_inside(self):
        net = nn.Sequential(nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)))
        net[0][1].weight = net[0][0].weight
        assert self.tree(net, "0").children[1].tied == ("0.weight",)

    def test_filters_are_applied_to_the_names_inside(self):
        net = nn.Sequential(nn.Sequential(nn.Linear(2, 2)), nn.Linear(3, 3))
        report = make_list_report(
            "m", take_inventory(net), ListOptions(layer="0", include=["0.bias"], tree=True, sort="numel"), None
        )
        assert report.tree.numel == report.totals.numel == 2
