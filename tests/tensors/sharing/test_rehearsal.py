"""Small copies share memory as their models do, whatever the views."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from paramctl.analysis.sharing import find_groups
from paramctl.tensors.sharing import rehearsal
from paramctl.tensors.sharing.rehearsal import NotTriedError, small_copy
from paramctl.tensors.sharing.surveying import survey

VIEWS = {
    "whole": lambda t: t,
    "turned": lambda t: t.permute(2, 0, 1),
    "reshaped": lambda t: t.view(-1, 3),
    "rows": lambda t: t[1:],
    "columns": lambda t: t[..., ::2],
    "bytes": lambda t: t.view(torch.uint8),
    "with a dimension of one": lambda t: t.unsqueeze(1),
}


def copy_of(net, device="cpu"):
    surveyed = survey(net)
    return small_copy(net, surveyed.records, surveyed.identities, device)


def relations(net):
    return {(group.relation, group.names) for group in find_groups(survey(net)).groups}


@given(st.lists(st.sampled_from(list(VIEWS)), min_size=1, max_size=4), st.sampled_from(["cpu", "meta"]))
def test_a_copy_shares_what_its_model_shares(chosen, device):
    whole = torch.zeros(4, 5, 3)
    linear = nn.Linear(3, 3)
    views = [nn.Parameter(VIEWS[name](whole), requires_grad=False) for name in chosen]
    net = nn.ModuleList([nn.ParameterList([*views, views[0]]), linear, linear, nn.Linear(3, 3)])
    copied = copy_of(net, device)
    assert relations(copied) == relations(net)
    assert all(each.device.type == device for each in copied.parameters())
    assert copied is not net
    assert all(each is not other for each, other in zip(copied.parameters(), net.parameters(), strict=True))


def test_a_tie_of_any_size_is_copied_small():
    net = nn.ModuleList([nn.Linear(10**6, 10**6, bias=False, device="meta") for _ in range(3)])
    net[1].weight = net[0].weight
    net[2].weight = nn.Parameter(net[0].weight.data.t())
    copied = copy_of(net)
    assert relations(copied) == relations(net)
    assert [tuple(each.shape) for each in copied.parameters()] == [(2, 2), (2, 2)]
    assert not copied[2].weight.is_contiguous()
    assert isinstance(copied[0], nn.Linear)


def test_what_cannot_be_made_small_is_not_copied_where_it_is_large(monkeypatch):
    monkeypatch.setattr(rehearsal, "MOST_BYTES", 100)
    whole = torch.zeros(30)
    with pytest.raises(NotTriedError, match=r"the storage of 0 and 1 is large \(120 bytes\)"):
        copy_of(nn.ParameterList([nn.Parameter(whole[:20]), nn.Parameter(whole[10:])]))


def test_a_module_that_cannot_be_copied_is_not_tried():
    net = nn.Linear(2, 2)
    net.generator = (each for each in ())
    with pytest.raises(NotTriedError, match="the model cannot be copied: TypeError: cannot pickle 'generator'"):
        copy_of(net)
