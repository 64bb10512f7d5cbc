from __future__ import annotations

import math
import sys
import warnings

import pytest
import torch
from torch import nn

from paramctl.tensors.building.meta import on_meta


def gpt(width=4):
    """Fill parameters in every way that models do."""
    net = nn.Module()
    net.a = nn.Parameter(torch.randn(3, width) / math.sqrt(width))
    net.b = nn.Parameter(0.02 * torch.randn((2, width), dtype=torch.float64) + 1)
    net.c = nn.Parameter(torch.empty(3, 3))
    nn.init.trunc_normal_(net.c, std=0.02)
    nn.init.xavier_normal_(net.c)
    nn.init.kaiming_uniform_(net.c)
    nn.init.normal_(net.a, std=0.02)
    net.a.data.mul_(2).clamp_(-1, 1)
    net.d = nn.Parameter(torch.rand(2, 2) * 2 - 1)
    net.e = nn.Linear(2, 2)
    with torch.no_grad():
        net.e.bias.normal_()
    return net


def described(net):
    return {name: (each.shape, each.dtype, each.requires_grad) for name, each in net.named_parameters()}


def test_what_is_made_on_meta_is_described_as_what_is_made_on_the_cpu():
    with on_meta():
        net = gpt()
    assert all(each.is_meta for each in net.parameters())
    assert described(net) == described(gpt())


def test_filling_imports_nothing(process):
    code = (
        "import sys, torch, tests.tensors.building.test_meta as test\nfrom paramctl.tensors.building.meta import on_meta\n"
        "before = len(sys.modules)\nwith on_meta(): test.gpt()\nprint(len(sys.modules) - before)"
    )
    assert int(process(code=code, PYTHONPATH=":".join([*sys.path[:1], "."])).out) < 10


@pytest.mark.parametrize("words", [("net.py:Net",), ("spec.yaml", "--allow", "net.py")], ids=["code", "spec"])
def test_a_listing_of_code_that_fills_its_parameters_imports_no_more_than_torch_does(words, process, write):
    write(
        "import torch\nclass Net(torch.nn.Linear):\n    def __init__(self):\n        super().__init__(2, 1)\n"
        "        torch.nn.init.normal_(self.weight, std=0.02)\n",
        "net.py",
    )
    write("layers: [net.py:Net]")
    code = "import sys\nfrom paramctl.cli.main import run\nrun(sys.argv[1:])\nprint('sympy' in sys.modules)"
    assert process("list", *words, code=code).out.splitlines()[-1] == "False"


@pytest.mark.parametrize(
    "compute",
    [
        lambda: nn.Linear(2, 2).weight.mul_(2),
        lambda: nn.Linear(2, 2).weight.normal_(0, 1),
        lambda: torch.ones(2).mul_(torch.ones(3)),
        lambda: torch.ones(2) * torch.ones(3),
        lambda: torch.ones(2).sum().item(),
    ],
)
def test_what_cannot_be_done_is_refused_as_ever(compute):
    with on_meta(), pytest.raises(RuntimeError):
        compute()


@pytest.mark.parametrize(
    "compute",
    [
        lambda: torch.ones(2, dtype=torch.int64) * 0.5,
        lambda: torch.ones(2, dtype=torch.int64) / 2,
        lambda: torch.ones(2) * 2j,
        lambda: torch.ones(2, dtype=torch.float16) * 2,
        lambda: torch.ones(2) * torch.ones(3, 1),
        lambda: 2 - torch.ones(2),
        lambda: torch.add(torch.ones(2), 1, alpha=2),
        lambda: torch.randn(2, dtype=torch.float64),
        lambda: torch.randn((2, 3), requires_grad=True) * 2,
        lambda: torch.randn(size=(2, 3)),
        lambda: torch.ones(2, 3).t() * 2,
    ],
)
def test_shapes_and_dtypes_are_those_of_torch(compute):
    with on_meta():
        ours = compute()
    theirs = compute()
    assert (ours.shape, ours.dtype, ours.requires_grad) == (theirs.shape, theirs.dtype, theirs.requires_grad)


def test_what_names_a_device_has_values():
    with on_meta():
        assert not torch.randn(2, device="cpu").is_meta
        assert torch.full((2,), 3.0, device="cpu").mul_(2).tolist() == [6, 6]


def test_loading_a_state_is_no_reason_to_warn():
    state = nn.Linear(2, 2).state_dict()
    with warnings.catch_warnings(), on_meta():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*copying from a non-meta parameter")
        nn.Linear(2, 2).load_state_dict(state)
