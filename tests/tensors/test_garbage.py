"""Collecting garbage is put off for a while, and is as it was afterwards."""

from __future__ import annotations

import gc

import pytest
from torch import nn

import paramctl
from paramctl.errors import ParamctlError
from paramctl.tensors.garbage import collection_put_off


@pytest.fixture(autouse=True)
def restored():
    yield
    gc.enable()


@pytest.mark.parametrize("before", [True, False])
def test_it_is_off_within_and_as_it_was_behind(before):
    (gc.enable if before else gc.disable)()
    with collection_put_off():
        assert not gc.isenabled()
    assert gc.isenabled() == before


def test_it_is_on_again_after_an_error():
    with pytest.raises(ParamctlError, match="has no shape yet"):
        paramctl.find_shared(nn.Sequential(nn.LazyLinear(2)))
    assert gc.isenabled()
