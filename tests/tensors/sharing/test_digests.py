"""What stands for the values of a tensor: equal for equal bits in logical order, and for nothing else."""

from __future__ import annotations

import math
import struct

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from paramctl.tensors.sharing.digests import BLOCK, blocks_of, digest, digests_of

LARGE = torch.arange(3 * BLOCK, dtype=torch.float32)


def digest_of(tensor):
    return digest(blocks_of(tensor))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.lists(st.integers(0, 3), min_size=1, max_size=6))
def test_digests_are_equal_where_the_elements_are(one, two):
    first, second = digest_of(torch.tensor(one)), digest_of(torch.tensor(two))
    if len(set(one)) == 1:
        assert first is None
    elif len(set(two)) > 1:
        assert (first == second) == (one == two)


@given(st.integers(0, LARGE.numel() - 1), st.integers(1, LARGE.numel()))
def test_blocks_change_nothing(changed, size):
    assert digest(torch.split(LARGE, max(size, 1000))) == digest([LARGE])
    other = LARGE.clone()
    other[changed] = -1
    assert digest_of(other) != digest_of(LARGE)


@pytest.mark.parametrize("shape", [(3, BLOCK), (BLOCK, 3), (1, 3 * BLOCK), (16, 3, BLOCK // 16), (2, 3 * BLOCK // 2)])
def test_the_order_is_the_logical_one_however_the_memory_is_laid_out(shape):
    tensor = LARGE.view(shape)
    turned = tensor.transpose(0, -1).contiguous().transpose(0, -1)
    assert torch.cat([block.flatten() for block in blocks_of(turned)]).equal(LARGE)
    assert all(block.numel() <= BLOCK for block in blocks_of(turned))
    assert digest_of(turned) == digest_of(LARGE)


def test_equal_means_equal_bits():
    nan, other_nan = (
        torch.tensor([1.0, struct.unpack("f", struct.pack("I", bits))[0]]) for bits in (0x7FC00000, 0x7FC00001)
    )
    assert math.isnan(other_nan[1])
    assert digest_of(nan) == digest_of(nan.clone())
    assert digest_of(nan) != digest_of(other_nan)
    assert digest_of(torch.tensor([1.0, 0.0])) != digest_of(torch.tensor([1.0, -0.0]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex128, torch.bool, torch.float8_e4m3fn])
def test_a_constant_tensor_of_any_dtype_has_none(dtype):
    assert digest_of(torch.ones(2 * BLOCK + 1).to(dtype)) is None
    last = torch.ones(2 * BLOCK + 1)
    last[-1] = 0
    assert digest_of(last.to(dtype)) is not None


def test_constant_blocks_of_different_values_are_no_constant():
    assert digest([torch.ones(4), torch.zeros(4)]) is not None
    assert digest([torch.ones(4), torch.ones(4)]) is None


def test_many_tensors_are_read_as_each_alone():
    tensors = {
        "a": LARGE,
        "b": LARGE.view(3, -1).t(),
        "c": torch.zeros(0),
        "d": LARGE[::2].conj(),
        "e": torch.ones(3).expand(4, 3),
    }
    several = tensors | {f"f{i}": LARGE[i:] for i in range(100)}
    found = digests_of((name, torch.split(tensor.flatten(), 1000)) for name, tensor in several.items())
    assert found == {name: digest_of(tensor) if tensor.numel() else None for name, tensor in several.items()}
    assert list(found) == list(several)


def test_a_conjugate_is_compared_by_the_values_that_it_shows():
    values = torch.tensor([1 + 2j, 3 - 1j])
    assert digest_of(values.conj()) == digest_of(values.conj().resolve_conj())
    assert digest_of(values.conj()) != digest_of(values)
