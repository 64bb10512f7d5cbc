"""What is returned, shown in a terminal, in a notebook and as a string."""

from __future__ import annotations

import io
import re

import pytest
import torch
from rich.console import Console
from torch import nn

import paramctl


@pytest.fixture
def net():
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))


@pytest.fixture
def paramctl_command(request):
    """The fixture `paramctl`, under a name that leaves the package its own."""
    return request.getfixturevalue("paramctl")


@pytest.fixture(params=["list", "init", "shared", "grad"])
def answer(request, net):
    net.append(net[2])
    return {
        "list": lambda: paramctl.list_parameters(net),
        "init": lambda: paramctl.initialize(net, "normal"),
        "shared": lambda: paramctl.find_shared(net),
        "grad": lambda: paramctl.gradients(net[:3], torch.rand(2, 4)),
    }[request.param]()


def test_an_answer_prints_as_its_table(answer):
    lines = repr(answer).splitlines()
    assert any(set(line) == {"─"} for line in lines)
    names = {"0.weight", "0.bias", "2.weight", "2.bias"} if answer.command != "shared" else {"2.weight", "2.bias"}
    assert names <= {line.split()[0] for line in lines} | {line.split()[1] for line in lines if " " in line}
    assert str(answer) == repr(answer)


def test_a_listing_prints_as_on_the_command_line(net, paramctl_command):
    shown = [line.rstrip() for line in repr(paramctl.list_parameters(net)).splitlines()]
    assert shown == paramctl_command("list", "example:mlp").out.splitlines()


def test_notes_stand_behind_the_table(net):
    answer = paramctl.initialize(net, "normal", rules={"3.*": "zeros", "\x1b[2J*": "ones"})
    notes = ["note: rules: '3.*' matches no parameter", "note: rules: '\\x1b[2J*' matches no parameter"]
    assert repr(answer).splitlines()[-2:] == notes
    console = Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=100, _environ={})
    console.print(answer)
    assert "\x1b[33mnote:\x1b[0m rules: '3.*' matches no parameter" in console.file.getvalue()
    assert ">note:</span> rules: &#x27;3.*&#x27; matches no parameter" in answer._repr_html_()


def test_rich_shows_it_with_styles(answer):
    console = Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=100, _environ={})
    console.print(answer)
    shown = console.file.getvalue()
    assert "\x1b[1m" in shown
    assert [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()] == [
        line.rstrip() for line in str(answer).splitlines()
    ]


def test_a_notebook_shows_it_as_html(answer):
    page = answer._repr_html_()
    assert page.startswith("<pre>")
    assert "0.weight" in page or "2.weight" in page


def test_a_long_answer_is_shown_by_its_ends():
    net = nn.Sequential(*[nn.Linear(1, 1) for _ in range(1000)])
    text = str(paramctl.list_parameters(net))
    assert "… 1,800 more" in text
    assert "999.bias" in text


IN_A_NOTEBOOK = """
import builtins, sys, types

class ZMQInteractiveShell:
    pass

builtins.get_ipython = ZMQInteractiveShell
sys.modules["IPython"] = types.ModuleType("IPython")
sys.modules["IPython.display"] = display = types.ModuleType("IPython.display")
display.display = lambda *shown, **_: print("DISPLAYED")

import paramctl, torch
answer = paramctl.list_parameters(torch.nn.Linear(2, 3))
html, text = answer._repr_html_(), repr(answer)
print("weight" in html, "weight" in text)
"""


def test_a_notebook_is_given_an_answer_and_nothing_is_displayed_besides(process):
    result = process(code=IN_A_NOTEBOOK)
    assert (result.out, result.code) == ("True True\n", 0), result.err
