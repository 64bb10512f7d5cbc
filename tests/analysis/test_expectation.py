from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from paramctl.analysis.expectation import Step, deviates, expected_moments
from paramctl.records import ParameterRecord
from paramctl.scheme_declaration import Moments
from paramctl.schemes import SCHEMES
from paramctl.tensors import streams
from paramctl.tensors.statistics import measure


def record(shape, dtype="float32"):
    return ParameterRecord("0.weight", "0", "Linear", "parameter", shape, dtype, True)


def test_each_scheme_acts_on_what_the_one_before_left():
    steps = [Step(SCHEMES["ones"], {}), Step(SCHEMES["add"], {"value": 2.0}), Step(SCHEMES["mul"], {"value": -3.0})]
    assert expected_moments((4,), steps, None) == Moments(-9.0, 0.0)


def test_what_no_formula_describes_promises_nothing_until_it_is_overwritten():
    assert expected_moments((4,), [None, Step(SCHEMES["add"], {"value": 2.0})], None) is None
    assert expected_moments((4,), [None, Step(SCHEMES["zeros"], {})], None) == Moments(0.0, 0.0)


def test_a_tensor_without_elements_promises_nothing():
    assert expected_moments((0, 3), [Step(SCHEMES["xavier_uniform"], {"gain": 1.0})], None) is None


def test_an_embeddings_padding_row_counts_as_zeros():
    moments = expected_moments((10, 4), [Step(SCHEMES["constant"], {"val": 2.0})], 3)
    values = torch.full((10, 4), 2.0)
    values[3] = 0
    assert moments.mean == pytest.approx(values.mean().item())
    assert moments.std == pytest.approx(values.std(correction=0).item())


@pytest.mark.parametrize("scheme", ["normal", "uniform", "orthogonal", "kaiming_uniform"])
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (64, 32), (500, 300)])
def test_a_right_sample_does_not_deviate(scheme, shape):
    from paramctl.tensors.initializing.kernels import fill

    options = {option.name: option.default for option in SCHEMES[scheme].options.values()}
    moments = expected_moments(shape, [Step(SCHEMES[scheme], options)], None)
    for seed in range(20):
        tensor = torch.empty(shape)
        fill(tensor, scheme, options, partial(streams.generator, seed))
        assert not deviates(record(shape), measure(tensor), moments)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda sample: sample * 1.1,
        lambda sample: sample * 0.9,
        lambda sample: sample + 0.0005,
        lambda sample: sample.masked_fill(sample > 0.03, math.nan),
        lambda sample: sample.masked_fill(sample > 0.03, math.inf),
        torch.zeros_like,
    ],
)
def test_a_wrong_scale_shift_or_value_deviates(wrong):
    sample = torch.empty(200, 200).normal_(0, 0.01, generator=torch.Generator().manual_seed(0))
    assert deviates(record((200, 200)), measure(wrong(sample)), Moments(0.0, 0.01))


def test_what_the_dtype_rounds_is_no_deviation():
    constant = torch.full((1000,), 0.3, dtype=torch.bfloat16)
    assert not deviates(record((1000,), "bfloat16"), measure(constant), Moments(0.3, 0.0))
    assert deviates(record((1000,), "float32"), measure(constant), Moments(0.3, 0.0))


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("size", [1, 50, 1000, 60_000, 1_000_000])
def test_a_constant_never_deviates(size, dtype):
    tensor = torch.full((size,), 0.1, dtype=getattr(torch, dtype))
    assert not deviates(record((size,), dtype), measure(tensor), Moments(0.1, 0.0))


def test_numbers_below_the_smallest_of_the_dtype_are_no_deviation():
    tiny = torch.full((1000,), 3e-4).to(torch.float8_e4m3fn)
    assert not deviates(record((1000,), "float8_e4m3fn"), measure(tiny), Moments(3e-4, 0.0))


def test_a_promise_that_is_not_finite_is_not_held_against_the_values():
    assert not deviates(record((3,)), measure(torch.full((3,), math.nan)), Moments(math.nan, 0.0))
