from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from paramctl.errors import ParamctlError
from paramctl.references import parse_reference
from paramctl.spec.given import parse_given
from paramctl.tensors import memory
from paramctl.tensors.building.python_model import build_python

HEAD = "import torch\nfrom torch import nn\n"
NET = (
    HEAD + "class Net(nn.Module):\n"
    "    def __init__(self, width=3, bias=True):\n"
    "        super().__init__()\n"
    "        self.layer = nn.Linear(width, 2)\n"
    "        self.scale = nn.Parameter(torch.randn(width))\n"
    "        self.register_buffer('steps', torch.zeros(2))\n"
    "        with torch.no_grad():\n"
    "            self.layer.bias.fill_(0.5)\n"
)


@pytest.fixture
def built(write):
    """Write a file of the test's own and build what it names."""

    def call(text, name="Net", *arguments, seed=None, dtype=None):
        files = len(list(Path().glob("model_*.py"))) if Path("model_0.py").exists() else 0
        path = write(text, f"model_{files}.py")
        reference = parse_reference(f"{path}:{name}", Path())
        return build_python(reference, parse_given(arguments), seed=seed, dtype=dtype)

    return call


class TestWhereItIsBuilt:
    def test_without_values_on_the_meta_device(self, built):
        net = built(NET).net
        assert {name: (tuple(each.shape), each.is_meta) for name, each in net.named_parameters()} == {
            "scale": ((3,), True),
            "layer.weight": ((2, 3), True),
            "layer.bias": ((2,), True),
        }

    @pytest.mark.parametrize(
        "line",
        [
            "torch.ones(1).item()",
            "torch.ones(2).numpy()",
            "list(map(float, torch.linspace(0, 1, 3)))",
            "raise KeyError",
        ],
    )
    def test_on_the_cpu_where_the_meta_device_fails_for_whatever_reason(self, line, built):
        if line == "raise KeyError":
            line = "if torch.ones(1).is_meta: raise KeyError"
        net = built(NET + f"        {line}\n").net
        assert not any(each.is_meta for each in net.parameters())

    def test_with_values_on_the_cpu(self, built):
        model = built(NET, seed=0)
        assert not any(each.is_meta for each in (*model.net.parameters(), *model.net.buffers()))
        assert model.net.layer.bias.tolist() == [0.5, 0.5]

    def test_layers_initialise_themselves_again_after_a_meta_build(self, built):
        built(NET)
        assert nn.BatchNorm1d(2).weight.tolist() == [1, 1]
        assert built(NET, seed=0).net.layer.weight.abs().max() > 0


class TestValues:
    def test_they_are_those_of_a_script_that_seeds_first(self, built):
        net = built(NET, "Net", "width=4", seed=7).net
        torch.manual_seed(7)
        expected = nn.Linear(4, 2).weight, torch.randn(4)
        assert torch.equal(net.layer.weight, expected[0])
        assert torch.equal(net.scale, expected[1])

    def test_what_is_drawn_in_the_import_depends_on_the_seed_and_reaches_no_constructor(self, built):
        drawing = NET + "instance = Net()\n"
        torch.manual_seed(7)
        expected = nn.Linear(3, 2).weight
        assert torch.equal(built(drawing, "instance", seed=7).net.layer.weight, expected)
        assert torch.equal(built(drawing, seed=7).net.layer.weight, expected)

    @pytest.mark.parametrize(
        "draw",
        ["random.random()", "float(numpy.random.rand())", "torch.rand(1).item()"],
    )
    def test_every_generator_is_seeded_and_left_as_it_was(self, draw, built):
        text = f"import random, numpy\n{HEAD}def make():\n    layer = nn.Linear(1, 1)\n    nn.init.constant_(layer.bias, {draw})\n    return layer\n"
        before = torch.get_rng_state()
        drawn = [built(text, "make", seed=seed).net.bias.item() for seed in (1, 1, 2)]
        assert drawn[0] == drawn[1] != drawn[2]
        assert torch.equal(torch.get_rng_state(), before)

    @pytest.mark.parametrize("seed", [-1, 2**63, 2**64 - 1, -(2**63)])
    def test_every_seed_of_torch_is_one(self, seed, built):
        assert built("import numpy\n" + NET, seed=seed).net is not None

    def test_an_instance_is_taken_as_it_is(self, built):
        text = (
            NET
            + "instance = Net()\ninstance.layer.weight.grad = torch.ones(2, 3)\ninstance.scale.requires_grad_(False)\n"
        )
        net = built(text, "instance", seed=0).net
        assert net.layer.weight.grad.sum() == 6
        assert not net.scale.requires_grad

    def test_a_dtype_casts_what_is_floating_with_its_gradients(self, built):
        text = NET + (
            "        self.index = nn.Parameter(torch.arange(2), requires_grad=False)\n"
            "        self.phase = nn.Parameter(torch.ones(2, dtype=torch.complex64))\n"
            "        self.layer.weight.grad = torch.ones_like(self.layer.weight)\n"
        )
        net = built(text, seed=0, dtype="float64").net
        found = {name: each.dtype for name, each in (*net.named_parameters(), *net.named_buffers())}
        assert {found.pop("index"), found.pop("phase")} == {torch.int64, torch.complex64}
        assert set(found.values()) == {torch.float64}
        assert net.layer.weight.grad.dtype == torch.float64
        assert built(text, dtype="float16").net.layer.weight.dtype == torch.float16


class TestWhatIsNamed:
    @pytest.mark.parametrize(
        "name",
        ["Net", "make", "instance", "Outer.Net", "partial", "Maker", "maker"],
    )
    def test_an_instance_a_class_and_whatever_returns_a_module(self, name, built):
        text = NET + (
            "import functools\n"
            "def make(): return Net()\n"
            "instance = Net()\n"
            "class Outer:\n    Net = Net\n"
            "partial = functools.partial(Net, width=3)\n"
            "class Maker:\n    def __new__(cls): return Net()\n    \n"
            "class _Called:\n    def __call__(self): return Net()\n"
            "maker = _Called()\n"
        )
        assert [name for name, _ in built(text, name).net.named_parameters()] == ["scale", "layer.weight", "layer.bias"]

    def test_arguments_are_those_of_the_signature(self, built):
        assert built(NET, "Net", "width=5").net.layer.in_features == 5
        text = HEAD + "def make(*, sizes: list[int], **more):\n    return nn.Linear(*sizes, bias=more['bias'])\n"
        layer = built(text, "make", "sizes=[4, 2]", "bias=false").net
        assert (layer.weight.shape, layer.bias) == ((2, 4), None)

    def test_an_annotation_that_cannot_be_evaluated_declares_nothing(self, built):
        text = HEAD + "def make(width: 'torch.Nothing', more: 'x y' = 3):\n    return nn.Linear(width, more)\n"
        assert built(text, "make", "width=2").net.weight.shape == (3, 2)
        text = (
            HEAD
            + "class Net(nn.Linear):\n    def __init__(self, width: 'torch.Nothing'):\n        super().__init__(width, 1)\n"
        )
        assert built(text, "Net", "width=2").net.weight.shape == (1, 2)

    def test_a_dtype_is_an_argument_by_its_name(self, built):
        text = HEAD + "def make(dtype: torch.dtype = torch.float32):\n    return nn.Linear(1, 1, dtype=dtype)\n"
        assert built(text, "make", "dtype=float64").net.weight.dtype == torch.float64

    @pytest.mark.parametrize(
        ("code", "arguments", "where", "message", "hint"),
        [
            ("x = 3", (), "MODEL", "model_0.py:x is an int, from which no model can be made", "name a model, its class, or"),
            ("x = {'a': torch.ones(1)}", (), "MODEL", "model_0.py:x is a dict", None),
            ("def x(): pass", (), "MODEL", "model_0.py:x returns None, not a torch.nn.Module", None),
            ("def x(): return nn.Linear", (), "MODEL", "returns the class Linear, not", "call it, as in return Linear(...)"),
            ("def x(): return nn.ReLU(), 3", (), "MODEL", "returns a tuple", "a model among others"),
            ("def x(): return nn.Linear(1, 1).state_dict()", (), "MODEL", "returns an OrderedDict", "a state_dict holds"),
            ("x = nn.ReLU()", ("a=1",), "--arg", "model_0.py:x is a model already, and takes no arguments", None),
            ("def x(width): pass", (), "MODEL", "x needs width", "add --arg width=…; it is x(width)"),
            ("def x(width): pass", ("widht=1",), "--arg", "x has no argument 'widht'", "did you mean 'width'?"),
            ("def x(): pass", ("width=1",), "--arg", "x has no argument 'width'", "it takes none"),
            ("def x(): return nn.LazyLinear(3)", (), "MODEL", "weight has no shape yet, and 1 more have none", "run the model"),
            ("def make_net(): pass\nclass Net(nn.Module): pass", (), "MODEL", "has no 'x'", "it defines make_net, Net"),
            ("y = 1\ndef xx(): pass", (), "MODEL", "has no 'x'", "did you mean 'xx'?"),
        ],
    )  # fmt: skip
    def test_what_gives_no_model_is_answered(self, code, arguments, where, message, hint, built):
        with pytest.raises(ParamctlError) as caught:
            built(f"{HEAD}{code}\n", "x", *arguments)
        (problem,) = caught.value.problems
        assert problem.where == where
        assert message in problem.message
        assert hint is None or hint in problem.hint

    def test_a_model_on_the_meta_device_has_no_values(self, built):
        text = HEAD + "def make():\n    return nn.Linear(1, 1, device='meta')\n"
        assert built(text, "make").net.weight.is_meta
        with pytest.raises(ParamctlError, match="weight is on the meta device"):
            built(text, "make", seed=0)


class TestFailures:
    def test_code_that_fails_is_answered_with_its_own_frames_innermost_last(self, built):
        text = (
            HEAD
            + "def breaks(sizes):\n    return nn.Linear(*sizes)\ndef make():\n    return nn.Sequential(breaks([1]))\n"
        )
        with pytest.raises(ParamctlError) as caught:
            built(text, "make")
        (problem,) = caught.value.problems
        assert problem.where == "MODEL"
        assert problem.message.startswith(
            "building model_0.py:make failed: TypeError: Linear.__init__() missing 1 required"
        )
        assert problem.hint == "raised at model_0.py:6 in make, model_0.py:4 in breaks"

    def test_code_that_fails_in_the_import_is_named_with_its_file(self, built):
        with pytest.raises(
            ParamctlError, match=r"(?s)importing model_0.py failed: ZeroDivisionError.*raised at model_0.py:1 in"
        ):
            built("1 / 0\n")

    def test_what_calls_itself_without_an_end_is_shown_in_short(self, built):
        with pytest.raises(ParamctlError) as caught:
            built("def make(): return make()\n", "make")
        (problem,) = caught.value.problems
        assert "RecursionError" in problem.message
        assert len(problem.hint.split(", ")) == 13
        assert " more, " in problem.hint

    @pytest.mark.parametrize("raised", ["SystemExit(3)", "KeyError('x')", "Silent()", "GeneratorExit()"])
    def test_an_exit_and_whatever_is_raised_is_a_failure(self, raised, built):
        text = "class Silent(Exception):\n    def __str__(self): raise KeyError\n"
        with pytest.raises(ParamctlError, match=raised.partition("(")[0]):
            built(f"{text}def make(): raise {raised}\n", "make")

    def test_attributes_that_fail_are_not_asked_for(self, built):
        text = NET + (
            "    def __getattr__(self, name):\n"
            "        if name.startswith('reset'): raise RuntimeError\n"
            "        return super().__getattr__(name)\n"
        )
        assert built(text, seed=0).net.layer.bias.tolist() == [0.5, 0.5]

    def test_an_interrupt_passes_through(self, built):
        with pytest.raises(KeyboardInterrupt):
            built("def make(): raise KeyboardInterrupt\n", "make")

    def test_a_module_beside_the_file_may_be_imported_late(self, built, write):
        write("WIDTH = 3\n", "late_helper.py")
        text = HEAD + "def make():\n    import late_helper\n    return nn.Linear(late_helper.WIDTH, 1)\n"
        assert built(text, "make", seed=0).net.in_features == 3

    def test_what_does_not_fit_in_memory_is_refused_before_it_is_filled(self, built, monkeypatch):
        monkeypatch.setattr(memory, "available_bytes", lambda: 2**20)
        text = HEAD + "def make():\n    return nn.Linear(2**14, 2**12)\n"
        with pytest.raises(
            ParamctlError, match=r"tensors up to one of \[4096, 16384\] would take 256 MiB .*1.0 MiB are av"
        ):
            built(text, "make", seed=0)
        assert built(text, "make").net.weight.is_meta
