from __future__ import annotations

import json
import math

import pytest
import torch

from paramctl.tensors.values import TensorValues


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_floating_values_round_trip_exactly_through_json(dtype):
    tensor = torch.empty(5, 7).normal_(generator=torch.Generator().manual_seed(0)).to(dtype)
    again = torch.tensor(json.loads(json.dumps(TensorValues(tensor).nested())), dtype=torch.float64).to(dtype)
    assert torch.equal(again.double(), tensor.double())


def test_values_are_nested_like_the_shape_and_a_scalar_is_a_number():
    assert TensorValues(torch.arange(6).reshape(1, 3, 2)).nested() == [[[0, 1], [2, 3], [4, 5]]]
    assert TensorValues(torch.tensor(1.5)).nested() == 1.5
    assert TensorValues(torch.empty(2, 0)).nested() == [[], []]
    assert TensorValues(torch.tensor([True])).nested() == [True]


def test_what_is_not_finite_is_none():
    assert TensorValues(torch.tensor([math.nan, math.inf, 1.0])).nested() == [None, None, 1.0]


def test_complex_values_have_two_parts():
    assert TensorValues(torch.tensor([1 + 2j])).nested() == [{"real": 1.0, "imag": 2.0}]


def test_the_text_is_torchs_own():
    tensor = torch.nn.Parameter(torch.rand(3, 2))
    assert TensorValues(tensor).text() == str(tensor.detach())
    assert "..." in TensorValues(torch.rand(2000)).text()
