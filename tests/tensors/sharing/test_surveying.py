"""What of a live module may share memory, held against the addresses that torch gives its elements."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from paramctl.analysis.sharing import find_groups
from paramctl.tensors.collect import take_inventory
from paramctl.tensors.sharing.surveying import find_repeated, survey


def parameter(tensor):
    return nn.Parameter(tensor, requires_grad=False)


def named(**tensors):
    net = nn.Module()
    for name, tensor in tensors.items():
        setattr(net, name, parameter(tensor))
    return net


def relations(net):
    return [(group.relation, group.names) for group in find_groups(survey(net)).groups]


def addresses(tensor):
    """Return the address of every byte, from torch's own indexing of a tensor of addresses."""
    size = tensor.element_size()
    storage = tensor.untyped_storage()
    each = torch.arange(storage.nbytes() // size) * size + storage.data_ptr()
    firsts = each.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset()).flatten().tolist()
    return {first + byte for first in firsts for byte in range(size)}


VIEWS = {
    "whole": lambda t: t,
    "transposed": lambda t: t.t(),
    "flat": lambda t: t.view(-1),
    "odd columns": lambda t: t[:, 1::2],
    "even columns": lambda t: t[:, ::2],
    "upper rows": lambda t: t[:2],
    "lower rows": lambda t: t[2:],
    "diagonal": lambda t: t.diagonal(),
    "corner": lambda t: t[1:3, 1:3].t(),
    "every fifth": lambda t: t.view(-1)[3::5],
    "expanded": lambda t: t[0].expand(3, 6),
    "windows": lambda t: t.view(-1).unfold(0, 5, 3),
    "bytes": lambda t: t.view(torch.uint8),
    "pairs": lambda t: t.view(torch.float64),
    "halves": lambda t: t.view(torch.int16)[:, 3:4],
}


@given(st.lists(st.sampled_from(list(VIEWS)), min_size=1, max_size=6), st.booleans())
def test_views_share_what_their_addresses_say(chosen, on_meta):
    whole = torch.zeros(4, 6)
    tensors = [VIEWS[name](whole) for name in chosen]
    touched = [addresses(tensor) for tensor in tensors]
    whole = whole.to("meta") if on_meta else whole
    net = nn.ParameterList([parameter(VIEWS[name](whole)) for name in chosen])
    found = find_groups(survey(net))
    same = {tuple(str(i) for i, each in enumerate(touched) if each == one) for one in touched}
    assert {group.names for group in found.groups if group.relation == "same-storage"} == {
        each for each in same if len(each) > 1
    }
    overlapping = {name for group in found.groups if group.relation == "overlap" for name in group.names}
    assert overlapping == {
        str(i) for i, one in enumerate(touched) if any(one & each and one != each for each in touched)
    } | {
        str(i)
        for i, one in enumerate(touched)
        for each in touched
        for third in touched
        if one == each and each & third and each != third
    }
    assert sum(group.nbytes for group in found.groups if group.relation == "overlap") == len(
        set().union(*(touched[int(name)] for name in overlapping))
    )
    assert found.totals.named_numel == sum(tensor.numel() for tensor in tensors)
    named_nbytes = sum(tensor.nbytes for tensor in tensors)
    assert found.totals.saved_nbytes == named_nbytes - len(set().union(*touched))


class TestElementsOfMemory:
    def test_of_one_dtype_they_are_counted_once(self):
        whole = torch.zeros(10)
        totals = find_groups(survey(named(a=whole[:6], b=whole[4:]))).totals
        assert (totals.named_numel, totals.numel, totals.saved_nbytes) == (12, 10, 8)

    def test_an_element_inside_a_larger_one_is_a_part_of_it(self):
        whole = torch.zeros(4, dtype=torch.float64)
        found = find_groups(survey(named(a=whole, b=whole.view(torch.float32)[:3])))
        assert (found.totals.named_numel, found.totals.numel) == (7, 4)
        assert found.groups[0].views == ("[4] at 0", "float32 [3] at 0")

    def test_an_expanded_tensor_takes_what_it_repeats(self):
        found = find_groups(survey(named(a=torch.zeros(5).expand(100, 5))))
        assert found.groups == ()
        assert (found.totals.named_numel, found.totals.numel, found.totals.saved_nbytes) == (500, 5, 1980)

    def test_nothing_takes_nothing(self):
        empty = torch.zeros(0)
        found = find_groups(survey(named(a=empty, b=empty[:0], c=torch.zeros(3)[:0])))
        assert (found.groups, found.totals.numel, found.totals.saved_nbytes) == ((), 0, 0)

    def test_a_sparse_tensor_takes_what_it_would_as_a_dense_one(self):
        found = find_groups(survey(named(a=torch.eye(3).to_sparse())))
        assert (found.groups, found.totals.numel, found.totals.saved_nbytes) == ((), 9, 0)


class TestRelations:
    def test_each_name_stands_in_one_group_of_each_relation(self):
        whole = torch.zeros(4, 4)
        net = named(a=whole, b=whole.t(), c=whole[0], d=torch.zeros(4))
        net.e = net.a
        assert relations(net) == [
            ("same-parameter", ("a", "e")),
            ("same-storage", ("a", "b", "e")),
            ("overlap", ("a", "b", "c", "e")),
        ]

    def test_names_are_in_model_order_also_where_another_tensor_stands_between(self):
        first, between, last = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
        between.weight, last.weight = nn.Parameter(first.weight.data), first.weight
        assert relations(nn.Sequential(first, between, last))[1] == (
            "same-storage",
            ("0.weight", "1.weight", "2.weight"),
        )

    def test_what_is_connected_through_a_third_is_one_overlap(self):
        whole = torch.zeros(10)
        assert relations(named(a=whole[:4], b=whole[6:], c=whole[3:7])) == [("overlap", ("a", "b", "c"))]

    def test_neighbours_and_interleaved_columns_share_nothing(self):
        whole = torch.zeros(4, 6)
        found = find_groups(survey(named(a=whole[:, ::2], b=whole[:, 1::2])))
        assert found.groups == ()
        assert [(each.names, each.parts, each.nbytes, each.used_nbytes) for each in found.storages] == [
            (("a", "b"), 2, 96, 96)
        ]

    def test_storages_that_meet_in_an_array_of_another_library_are_one(self):
        array = np.zeros(10, dtype=np.float32)
        net = named(a=torch.from_numpy(array[:6]), b=torch.from_numpy(array[4:]), c=torch.from_numpy(array[4:]))
        assert relations(net) == [("overlap", ("a", "b", "c")), ("same-storage", ("b", "c"))]

    def test_an_array_cut_into_neighbours_is_no_memory_that_meets(self):
        array = np.zeros(10, dtype=np.float32)
        net = named(a=torch.from_numpy(array[6:]), b=torch.from_numpy(array[:6]))
        assert survey(net).records == []

    def test_a_long_array_that_others_lie_in_meets_them_all(self):
        array = np.zeros(30, dtype=np.float32)
        parts = {f"p{i}": torch.from_numpy(array[i * 10 : i * 10 + 5]) for i in range(3)}
        assert relations(named(**parts, whole=torch.from_numpy(array))) == [("overlap", ("p0", "p1", "p2", "whole"))]

    def test_layers_on_meta_are_not_taken_for_one_memory(self):
        assert relations(nn.Sequential(*[nn.Linear(2, 2, device="meta") for _ in range(50)])) == []


class TestBesideTheGroups:
    def test_a_buffer_in_the_memory_of_a_parameter_is_noted_and_in_no_group(self):
        net = named(a=torch.zeros(4))
        net.register_buffer("view", net.a.data[1:3])
        found = find_groups(survey(net))
        assert (found.groups, found.totals.numel) == ((), 4)
        assert found.notes == ("the buffer view has elements in common with the parameter a",)

    def test_a_buffer_beside_a_parameter_uses_the_storage_too(self):
        whole = torch.zeros(6)
        net = named(a=whole[:4])
        net.register_buffer("rest", whole[4:])
        (storage,) = find_groups(survey(net)).storages
        assert (storage.names, storage.parts, storage.used_nbytes) == (("a", "rest"), 2, 24)

    def test_a_storage_that_is_used_in_part_is_told(self):
        found = find_groups(survey(named(a=torch.zeros(100)[:1])))
        assert found.notes == ("396 bytes of the storages that parameters lie in belong to none of them",)

    def test_strides_that_have_nothing_in_common_are_said_not_to_have_been_compared(self):
        whole = torch.empty(10**12, device="meta")
        found = find_groups(survey(named(a=whole[::999_983], b=whole[::1_000_003])))
        assert found.groups == ()
        assert "whether a and b overlap was not worked out" in found.notes[0]


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Transformer(8, 2, 1, 1, 16, batch_first=True),
        lambda: nn.Sequential(*[nn.Linear(2, 2)] * 3, nn.BatchNorm1d(2)),
        lambda: nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 2)),
        lambda: torch.jit.script(nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2))),
    ],
)
def test_the_records_of_every_parameter_are_those_of_a_listing(make):
    net = make()
    assert [record._replace(span=None) for record in survey(net, every=True).records] == list(
        take_inventory(net).parameters
    )


def test_a_model_that_shares_nothing_leaves_no_record():
    found = survey(nn.Transformer(8, 2, 1, 1, 16, batch_first=True))
    assert found.records == []
    assert found.alone_numel == sum(
        each.numel() for each in nn.Transformer(8, 2, 1, 1, 16, batch_first=True).parameters()
    )


def test_parameters_with_several_names_are_found_by_id_alone():
    linear = nn.Linear(2, 2, bias=False)
    net = nn.Sequential(linear, nn.Linear(2, 2), linear)
    places = find_repeated(net)
    assert [(path, attribute) for path, attribute, _ in places[id(linear.weight)]] == [
        ("0", "weight"),
        ("2", "weight"),
    ]
    assert len(places) == 1
    assert find_repeated(nn.Linear(2, 2)) == {}
