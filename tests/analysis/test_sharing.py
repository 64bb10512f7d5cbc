from __future__ import annotations

from torch import nn

from paramctl.analysis.sharing import MemorySurvey, find_groups
from paramctl.records import ParameterRecord, StorageSpan
from paramctl.tensors.sharing.surveying import survey


def groups_of(net):
    found = find_groups(survey(net))
    return found.groups, found.totals


def test_one_module_used_several_times_is_told_from_one_parameter_in_several_modules():
    linear, first, second = nn.Linear(2, 2), nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    groups, totals = groups_of(nn.Sequential(linear, first, linear, second))
    assert [(group.relation, group.names) for group in groups] == [
        ("same-module", ("0.weight", "2.weight")),
        ("same-module", ("0.bias", "2.bias")),
        ("same-parameter", ("1.weight", "3.weight")),
    ]
    assert (totals.groups, totals.named_numel, totals.numel, totals.saved_nbytes) == (3, 36, 21, 60)


def test_a_module_used_twice_whose_parameter_another_module_has_too_is_no_longer_one_module():
    linear, other = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    other.weight = linear.weight
    groups, _ = groups_of(nn.Sequential(linear, linear, other))
    assert [(group.relation, group.names) for group in groups] == [
        ("same-parameter", ("0.weight", "1.weight", "2.weight"))
    ]


def test_one_parameter_under_two_attributes_of_one_module_is_one_parameter():
    module = nn.Linear(2, 2, bias=False)
    module.alias = module.weight
    groups, _ = groups_of(nn.Sequential(module))
    assert [(group.relation, group.names) for group in groups] == [("same-parameter", ("0.weight", "0.alias"))]


def test_the_id_is_that_of_the_parameter():
    linear = nn.Linear(2, 2, bias=False)
    groups, _ = groups_of(nn.Sequential(linear, linear))
    assert groups[0].identity == id(linear.weight)


def test_without_sharing_there_are_no_groups_and_nothing_is_saved():
    groups, totals = groups_of(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))
    assert groups == ()
    assert (totals.named_numel, totals.numel, totals.saved_nbytes) == (12, 12, 0)


def entry(name, storage, shape=(2, 3), strides=(3, 1), aliases=()):
    return ParameterRecord(
        name, "", None, "tensor", shape, "float32", None, aliases, span=StorageSpan(storage, 0, strides, 4)
    )


def test_entries_of_a_checkpoint_share_memory_and_no_parameter():
    records = [
        entry("a", 0, aliases=("b",)),
        entry("c", 0, (3, 2), (1, 3)),
        entry("d", 1),
        entry("e", 2, aliases=("f",)),
    ]
    found = find_groups(MemorySurvey(records=records))
    assert [(group.relation, group.names, group.views) for group in found.groups] == [
        ("same-storage", ("a", "b", "c"), (None, None, "transposed")),
        ("same-storage", ("e", "f"), ()),
    ]
    assert (found.totals.named_numel, found.totals.numel, found.totals.saved_nbytes) == (36, 18, 72)


def test_entries_without_a_storage_are_their_own_memory():
    records = [entry("a", 0, aliases=("b",))._replace(span=None), entry("c", 0)._replace(span=None)]
    found = find_groups(MemorySurvey(records=records))
    assert [(group.relation, group.names) for group in found.groups] == [("same-storage", ("a", "b"))]
    assert (found.totals.named_numel, found.totals.numel) == (18, 12)


def test_irregular_strides_that_touch_the_same_bytes_are_the_same_elements():
    records = [entry("a", 0, (3, 3), (2, 3)), entry("b", 0, (3, 3), (3, 2)), entry("c", 0, (2, 3, 2), (2, 3, 2))]
    (group,) = find_groups(MemorySurvey(records=records)).groups
    assert (group.relation, group.names) == ("same-storage", ("a", "b", "c"))
    assert (group.numel, group.nbytes) == (9, 36)


def at(name, offset, shape, strides):
    record = entry(name, 0, shape, strides)
    return record._replace(span=record.span._replace(offset=offset, itemsize=1))


def test_tens_of_thousands_of_irregular_views_are_told_apart_by_their_extents():
    windows = [at(f"{i:05}", i, (3, 3), (2, 3)) for i in range(20_000)]
    found = find_groups(MemorySurvey(records=windows))
    assert [group.relation for group in found.groups] == ["overlap"]
    assert found.totals.numel == 20_010


def test_irregular_views_of_one_extent_are_compared_only_so_often_and_a_note_says_so():
    span = 600
    strides = [(a, b, span - a - b) for a in range(1, 150) for b in range(a + 1, 150)]
    views = [at(f"{i:05}", 0, (2, 2, 2, 2), (*each, each[0] + each[1])) for i, each in enumerate(strides)]
    found = find_groups(MemorySurvey(records=views))
    assert [group.relation for group in found.groups] == ["overlap"] * len(found.groups)
    assert "strides that have nothing to do with each other take too long to follow" in " ".join(found.notes)


def test_what_one_storage_has_spent_keeps_easy_ones_from_nothing():
    primes = [at("a", 0, (10**9,), (999_983,)), at("b", 0, (10**9,), (1_000_003,))]
    easy = [entry("c", 1), entry("d", 1, (3, 2), (1, 3)), entry("e", 1, (2, 2), (3, 1))]
    found = find_groups(MemorySurvey(records=[*primes, *easy]))
    assert [(group.relation, group.names) for group in found.groups] == [
        ("same-storage", ("c", "d")),
        ("overlap", ("c", "d", "e")),
    ]
    assert "whether a and b overlap was not worked out" in found.notes[0]
