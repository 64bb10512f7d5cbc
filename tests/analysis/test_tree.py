from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from paramctl.analysis.tree import build_tree
from paramctl.tensors.collect import take_inventory


def tree_of(net):
    held = take_inventory(net)
    return build_tree(held.modules, held.parameters)


def lines(node):
    yield node.name, node.count, node.type_name, node.numel
    for child in node.children:
        yield from lines(child)


def test_a_run_of_equal_blocks_is_one_node_with_their_sum():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(2, 2))
    assert list(lines(tree_of(net))) == [
        ("", 1, "Sequential", 48),
        ("0", 1, "Linear", 6),
        ("[1-3]", 3, "Linear", 36),
        ("4", 1, "Linear", 6),
    ]


def test_runs_inside_runs_count_all_their_copies():
    blocks = [nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)) for _ in range(4)]
    assert list(lines(tree_of(nn.Sequential(*blocks)))) == [
        ("", 1, "Sequential", 16),
        ("[0-3]", 4, "Sequential", 16),
        ("[0-1]", 8, "Linear", 16),
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda net: net[1].weight.requires_grad_(requires_grad=False),
        lambda net: setattr(net[1], "bias", None),
        lambda net: net[1].double(),
        lambda net: net[1].register_buffer("extra", net[1].weight.detach().clone()),
        lambda net: net[1].add_module("inner", nn.ReLU()),
    ],
)
def test_blocks_that_differ_in_anything_are_not_folded(change):
    net = nn.Sequential(*[nn.Linear(2, 2) for _ in range(3)])
    change(net)
    held = take_inventory(net)
    tree = build_tree(held.modules, (*held.parameters, *held.buffers))
    assert [child.count for child in tree.children] == [1, 1, 1]


def test_children_with_names_of_their_own_are_not_folded():
    net = nn.ModuleDict({"k_proj": nn.Linear(2, 2), "v_proj": nn.Linear(2, 2)})
    assert [child.name for child in tree_of(net).children] == ["k_proj", "v_proj"]


def test_a_module_met_before_counts_nothing_and_says_where():
    linear = nn.Linear(2, 2)
    first, second = tree_of(nn.Sequential(linear, linear)).children
    assert (first.numel, first.same_as) == (6, None)
    assert (second.numel, second.same_as) == (0, "0")


def test_a_module_whose_tensor_is_counted_elsewhere_says_where():
    first, second = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    second.weight = first.weight
    one, two = tree_of(nn.Sequential(first, second)).children
    assert (one.numel, one.tied) == (4, ())
    assert (two.numel, two.tied, two.same_as) == (0, ("0.weight",), None)


@pytest.mark.parametrize(
    ("names", "label"),
    [
        ("0 1 2", "[0-2]"),
        ("7 8", "[7-8]"),
        ("0 2 4", "[0,2,4]"),
        ("3 2", "[3,2]"),
        ("0 2 4 6 8", "[0,2,4,6,8]"),
        ("0 2 4 6 8 10", "[0,2,…,10]"),
    ],
)
def test_a_run_is_named_as_a_range_only_where_its_names_count_on(names, label):
    net = nn.ModuleDict({name: nn.Linear(1, 1) for name in names.split()})
    assert [child.name for child in tree_of(net).children] == [label]


def test_names_that_only_look_like_numbers_are_not_folded():
    names = ["²", "³", "1" * 5000, "2" * 5000]
    net = nn.ModuleDict({name: nn.Linear(1, 1) for name in names})
    assert [child.name for child in tree_of(net).children] == names


@given(st.recursive(st.integers(1, 3), lambda inner: st.lists(inner, min_size=1, max_size=5), max_leaves=25))
def test_whatever_is_folded_the_leaves_sum_up_to_the_whole(shape):
    def build(node):
        return nn.Linear(node, 1, device="meta") if isinstance(node, int) else nn.Sequential(*map(build, node))

    net = nn.Sequential(build(shape))
    tree = tree_of(net)

    def leaves(node):
        return sum(map(leaves, node.children)) if node.children else node.numel

    assert leaves(tree) == tree.numel == sum(parameter.numel() for parameter in net.parameters())
