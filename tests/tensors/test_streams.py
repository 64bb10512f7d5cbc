from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from paramctl.tensors.streams import generator, global_stream


def test_equal_addresses_give_equal_draws_and_others_independent_ones():
    first = torch.randn(10_000, generator=generator(0, "0.weight", 0))
    again = torch.randn(10_000, generator=generator(0, "0.weight", 0))
    others = [generator(0, "0.weight", 1), generator(0, "1.weight", 0), generator(1, "0.weight", 0)]
    assert torch.equal(first, again)
    for other in others:
        correlation = torch.corrcoef(torch.stack([first, torch.randn(10_000, generator=other)]))[0, 1]
        assert abs(correlation) < 0.05


def test_an_address_is_not_the_text_of_its_parts():
    assert not torch.equal(
        torch.rand(4, generator=generator(0, "a", "b")), torch.rand(4, generator=generator(0, "a', 'b"))
    )


def test_seeds_that_share_their_low_32_bits_are_told_apart():
    low, high = generator(1, "w"), generator(1 + 2**32, "w")
    assert not torch.equal(torch.rand(4, generator=low), torch.rand(4, generator=high))


def test_thousands_of_streams_begin_differently():
    state = {bytes(generator(0, f"{i}.weight").get_state()[24:32].tolist()) for i in range(2000)}
    assert len(state) == 2000


def test_a_stream_is_uniform():
    values = torch.rand(100_000, generator=generator(7, "w")).double()
    assert abs(values.mean() - 0.5) < 0.005
    assert abs(values.var() - 1 / 12) < 0.002


def test_the_global_generators_are_set_for_a_while_and_restored():
    def draw():
        return torch.rand(1).item(), random.random(), np.random.rand()

    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)
    expected = draw()
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)
    with global_stream(0, "0.weight"):
        first = draw()
    with global_stream(0, "0.weight"):
        assert draw() == first
    assert draw() == expected
    assert first != expected


def test_the_global_generators_are_restored_after_a_failure():
    before = torch.get_rng_state()
    with pytest.raises(KeyError), global_stream(0, "x"):
        torch.rand(5)
        raise KeyError
    assert torch.equal(torch.get_rng_state(), before)


def test_equal_integers_are_equal_seeds():
    import numpy as np

    draws = [torch.rand(3, generator=generator(seed, "x")) for seed in (1, True, np.int64(1))]
    assert torch.equal(draws[0], draws[1])
    assert torch.equal(draws[0], draws[2])
