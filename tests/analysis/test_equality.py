"""Which tensors are compared by value, and which are equal in different memory."""

from __future__ import annotations

import torch
from torch import nn

import paramctl
from paramctl.analysis.equality import comparable, same_values
from paramctl.analysis.sharing import MemorySurvey
from paramctl.records import ParameterRecord, StorageSpan
from paramctl.tensors.sharing.surveying import survey


def net_of(*tensors):
    return nn.ParameterList([nn.Parameter(tensor) for tensor in tensors])


def groups_of(*tensors):
    return [(group.relation, group.names) for group in paramctl.find_shared(net_of(*tensors), by_value=True).groups]


def test_equal_values_in_different_memory_are_a_group():
    one, other = torch.arange(6.0), torch.arange(6.0)
    answer = paramctl.find_shared(net_of(one, torch.rand(6), other, other.clone()), by_value=True)
    (group,) = answer.groups
    assert (group.relation, group.names, group.shape, group.nbytes, group.saved_nbytes) == (
        "same-values",
        ("0", "2", "3"),
        (6,),
        24,
        0,
    )
    assert (answer.totals.groups, answer.totals.saved_nbytes, answer.duplicate_nbytes) == (1, 0, 48)


def test_names_of_one_memory_stand_together_in_a_group_with_another():
    values = torch.arange(4.0)
    assert groups_of(values, values, values.clone()) == [("same-storage", ("0", "1")), ("same-values", ("0", "1", "2"))]


def test_one_memory_is_no_equality_of_values():
    values = torch.arange(4.0)
    assert groups_of(values, values) == [("same-storage", ("0", "1"))]


def test_constants_other_shapes_and_other_dtypes_are_not_equal():
    values = torch.arange(4.0)
    assert groups_of(torch.ones(4), torch.ones(4), torch.tensor([3.0]), torch.tensor([3.0])) == []
    assert groups_of(values, values.view(2, 2).clone(), values.double()) == []


def test_a_transpose_is_compared_in_its_own_order():
    values = torch.arange(9.0).view(3, 3)
    assert groups_of(values, values.t().clone()) == []
    assert groups_of(values, values.t().clone().t()) == [("same-values", ("0", "1"))]


def test_only_what_may_be_equal_is_looked_at():
    net = net_of(torch.rand(2, 3), torch.rand(3, 2), torch.rand(5), torch.rand(5), torch.rand(1), torch.rand(1))
    assert [record.name for record in comparable(survey(net, every=True).records)] == ["2", "3"]


def test_a_sparse_parameter_is_left_out():
    assert groups_of(torch.eye(3).to_sparse(), torch.eye(3).to_sparse()) == []


def test_entries_of_a_checkpoint_are_grouped_alike():
    def entry(name, span=None, aliases=()):
        return ParameterRecord(name, "", None, "tensor", (4,), "float32", None, aliases, span=span)

    whole = StorageSpan(0, 0, (1,), 4)
    surveyed = MemorySurvey(records=[entry("a", whole, ("b",)), entry("c", whole._replace(storage=1)), entry("d")])
    digests = {"a": b"1", "c": b"1", "d": b"2"}
    assert [(group.relation, group.names) for group in same_values(surveyed, digests)] == [
        ("same-values", ("a", "b", "c"))
    ]
