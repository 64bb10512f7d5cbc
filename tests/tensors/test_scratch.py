"""Memory that is used again."""

from __future__ import annotations

import torch

from paramctl.tensors.scratch import Scratch, ScratchPool, memory_of


def test_memory_is_used_again_for_the_same_purpose_and_dtype_alone():
    scratch = Scratch()
    first = scratch.vector("a", 8, torch.float32)
    assert scratch.vector("a", 8, torch.float32).data_ptr() == first.data_ptr()
    assert scratch.vector("a", 3, torch.float32).shape == (3,)
    others = [scratch.vector("b", 8, torch.float32), scratch.vector("a", 8, torch.int8)]
    assert first.data_ptr() not in [other.data_ptr() for other in others]


def test_a_longer_vector_is_given_where_the_memory_is_too_short():
    scratch = Scratch()
    scratch.vector("a", 2, torch.float32)
    assert scratch.vector("a", 9, torch.float32).shape == (9,)


def test_no_two_at_a_time_have_the_same_scratch_and_the_next_has_that_of_the_last():
    pool = ScratchPool()
    with pool.lend() as one, pool.lend() as other:
        assert one is not other
    with pool.lend() as again:
        assert again is one


def test_the_bytes_of_a_tensor_are_its_memory():
    tensor = torch.tensor([1, 2, 3], dtype=torch.int16)
    memory_of(tensor)[2:4] = b"\x07\x00"
    assert tensor.tolist() == [1, 7, 3]
    assert bytes(memory_of(tensor[:0])) == b""
