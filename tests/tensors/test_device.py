from __future__ import annotations

import pytest
import torch

from paramctl.errors import ParamctlError
from paramctl.tensors.device import check_device


def test_the_cpu_is_a_device():
    assert check_device("cpu") == "cpu"


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "meta", ""])
def test_what_is_no_device_here_is_refused_with_those_that_are(name):
    with pytest.raises(ParamctlError) as caught:
        check_device(name)
    assert caught.value.problems[0].hint.startswith("here there is cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
def test_a_cuda_device_is_a_device():
    assert check_device("cuda") == "cuda"
