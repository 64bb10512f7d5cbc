"""Python code as MODEL, for every command."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width: int = 4, dropout: float = 0.0):
        super().__init__()
        self.mask = torch.ones(width)
        self.first = nn.Linear(width, 3)
        self.second = nn.Linear(3, 2)
        self.second.weight.data.fill_(0.25)
        with torch.no_grad():
            self.first.bias.fill_(0.5)
            self.second.bias.fill_(0.5)
        self.first.bias.grad = torch.ones(3)

    def forward(self, x, mask=None):
        return self.second(torch.relu(self.first(x * self.mask)))


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(10, 4)
        self.head = nn.Linear(4, 10)

    def forward(self, ids, labels=None):
        logits = self.head(self.embedding(ids))
        loss = None
        if labels is not None:
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        return {"hidden": ids, "logits": logits, "loss": loss}


def tied():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    return net


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, a, b):
        return (a * self.weight, b)
"""


@pytest.fixture(autouse=True)
def _net(write):
    write(NET, "net.py")


class TestList:
    def test_names_shapes_and_the_model_as_typed(self, report):
        answer = report("list", "net.py:Net", "--arg", "width=7")
        assert answer["model"] == "net.py:Net"
        assert [(row["name"], row["shape"]) for row in answer["parameters"]] == [
            ("first.weight", [3, 7]),
            ("first.bias", [3]),
            ("second.weight", [2, 3]),
            ("second.bias", [2]),
        ]
        assert answer["not_registered"] == [
            {
                "name": "mask", "module": "", "module_type": "Net", "holder": "tensor", "modules": 0, "tensors": 1,
                "shape": [7], "dtype": "float32", "numel": 7, "fix": "nn.Parameter or register_buffer",
            }
        ]  # fmt: skip

    def test_what_is_not_registered_stands_under_the_table(self, paramctl):
        lines = paramctl("list", "net.py:Net").out.splitlines()
        assert [line.split() for line in lines[-3:] if "─" not in line] == [
            ["not", "a", "parameter", "type", "holds", "elements", "instead"],
            ["mask", "Net", "tensor", "[4]", "4", "nn.Parameter", "or", "register_buffer"],
        ]
        assert not report_of_layer(paramctl)

    def test_it_is_selected_as_parameters_are(self, report):
        assert report("list", "net.py:Net", "--exclude", "ma*")["not_registered"] == []
        assert report("list", "net.py:Net", "--layer", "first")["not_registered"] == []

    def test_a_model_of_registered_layers_has_an_empty_list_and_a_spec_of_torchs_layers_none(self, report, write):
        assert report("list", "net.py:tied")["not_registered"] == []
        assert "not_registered" not in report("list", write("layers: [{Linear: [2, 1]}]"))

    @pytest.mark.parametrize("words", [(), ("--buffers",), ("--tree",), ("--stats",)])
    def test_a_spec_names_what_a_layer_of_ones_own_has_not_registered(self, words, report, write):
        spec = write("layers: [ReLU, {Repeat: {times: 2, layers: [net.py:Net]}}]")
        answer = report("list", spec, "--allow", "net.py", *words)
        assert [each["name"] for each in answer["not_registered"]] == ["1.0.0.mask", "1.1.0.mask"]
        assert [each["module"] for each in answer["not_registered"]] == ["1.0.0", "1.1.0"]

    def test_a_layer_of_it_is_shown_with_the_names_that_it_has_by_itself(self, report, write):
        answer = report("list", write("layers: [net.py:Net]"), "--allow", "net.py", "--layer", "0")
        assert [(each["name"], each["module"]) for each in answer["not_registered"]] == [("mask", "")]

    def test_a_model_without_parameters_still_says_what_is_none(self, paramctl, write):
        write("import torch\nfrom torch import nn\nclass Net(nn.Module):\n    x = [nn.Linear(1, 1)]\n", "none.py")
        lines = paramctl("list", "none.py:Net").out.splitlines()
        assert lines[0] == "There are no parameters here."
        assert lines[-1].split() == ["x", "Net", "list", "of", "1", "module", "2", "nn.ModuleList"]

    def test_values_are_those_that_the_code_sets(self, report):
        rows = report("list", "net.py:Net", "--values", "--stats")["parameters"]
        assert rows[1]["values"] == [0.5, 0.5, 0.5]
        assert rows[2]["stats"]["mean"] == 0.25

    def test_a_sparse_parameter_is_measured_and_no_scheme_fills_it(self, report, paramctl, write):
        write(
            "import torch\nclass Net(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
            "        self.w = torch.nn.Parameter(torch.eye(3).to_sparse())\n",
            "sparse.py",
        )
        (row,) = report("list", "sparse.py:Net", "--values", "--stats")["parameters"]
        assert (row["values"], row["stats"]["zeros"]) == ([[1, 0, 0], [0, 1, 0], [0, 0, 1]], 6)
        refused = paramctl("init", "sparse.py:Net", "--scheme", "normal")
        assert (refused.code, refused.err) == (2, "error: --scheme: w is sparse_coo, and schemes fill dense tensors\n")

    def test_a_class_that_hands_out_some_of_its_parameters_is_listed_with_all(self, report, write):
        write(
            "from torch import nn\nclass Net(nn.Sequential):\n    def __init__(self):\n"
            "        super().__init__(nn.Linear(2, 1), nn.Linear(1, 1))\n        self[0].requires_grad_(False)\n"
            "    def named_parameters(self, *words, **options):\n"
            "        yield from (each for each in super().named_parameters(*words, **options) if each[1].requires_grad)\n",
            "some.py",
        )
        names = ["0.weight", "0.bias", "1.weight", "1.bias"]
        for words in (
            ("list",),
            ("list", "--stats"),
            ("init", "--scheme", "ones"),
            ("init", "--rng", "torch"),
            ("grad", "--input", "3,2"),
        ):
            rows = report(words[0], "some.py:Net", *words[1:])["parameters"]
            assert [row["name"] for row in rows] == names
        assert report("shared", "some.py:Net", "--by-value")["totals"]["numel"] == 5

    @pytest.mark.parametrize("command", ["list", "shared", "init"])
    def test_a_model_that_holds_itself_is_told_where(self, command, paramctl, write):
        write(
            "from torch import nn\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
            "        self.body = nn.Sequential(nn.Linear(2, 1), nn.Sequential())\n        self.body[1].parent = self.body\n"
            "def deep(net=nn.ReLU()):\n    for _ in range(2000):\n        net = nn.Sequential(net)\n    return net\n",
            "endless.py",
        )
        result = paramctl(command, "endless.py:Net")
        assert (result.code, result.out) == (2, "")
        assert result.err.startswith("error: MODEL: body.1.parent is body, which holds it")
        assert paramctl(command, "endless.py:deep").err.startswith("error: MODEL: the modules are nested too deeply\n")

    def test_a_tree_and_a_dtype(self, report):
        answer = report("list", "net.py:Net", "--tree", "--dtype", "float16")
        assert {row["dtype"] for row in answer["parameters"]} == {"float16"}
        assert answer["tree"]["numel"] == answer["totals"]["numel"] == 23

    def test_what_the_code_prints_goes_to_stderr(self, process, write):
        write(
            "print('importing')\nfrom torch import nn\ndef make():\n    print('making')\n    return nn.ReLU()\n",
            "noisy.py",
        )
        result = process("list", "noisy.py:make")
        assert (result.code, result.out) == (0, "There are no parameters here.\n")
        assert result.err == "importing\nmaking\n"

    def test_what_a_program_or_a_library_of_it_prints_goes_to_stderr_too(self, process, write):
        write(
            "import os, sys\nfrom torch import nn\n"
            "def make():\n    os.system('echo program')\n    print('past us', file=sys.__stdout__)\n    return nn.ReLU()\n",
            "noisy.py",
        )
        result = process("list", "noisy.py:make")
        assert (result.code, result.out) == (0, "There are no parameters here.\n")
        assert result.err == "program\npast us\n"


def report_of_layer(paramctl):
    return "not a parameter" in paramctl("list", "net.py:Net", "--layer", "second").out


def test_ties_are_found_on_the_meta_device(report):
    (group,) = report("shared", "net.py:tied")["groups"]
    assert (group["relation"], group["names"]) == ("same-parameter", ["0.weight", "1.weight"])


class TestInit:
    def test_what_no_rule_reaches_keeps_the_values_of_the_code(self, report):
        rows = report("init", "net.py:Net", "--rule", "second.weight=constant:val=3", "--values")["parameters"]
        assert rows[1]["values"] == [0.5, 0.5, 0.5]
        assert rows[1]["rules"] == []
        assert rows[1]["expected"] is None
        assert rows[2]["values"] == [[3.0] * 3] * 2
        assert rows[2]["expected"] == {"mean": 3.0, "std": 0.0}

    def test_values_of_rules_are_those_of_a_spec_with_the_same_names(self, report, write):
        spec = write("layers: {first: {Linear: [4, 3]}, second: {Linear: [3, 2]}}")
        words = ("--scheme", "normal:std=0.1", "--seed", "5", "--values")
        ours = report("init", "net.py:Net", *words)["parameters"]
        assert [row["values"] for row in ours] == [row["values"] for row in report("init", spec, *words)["parameters"]]

    @pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
    def test_the_state_is_written(self, suffix, report, tmp_path):
        out = tmp_path / f"state{suffix}"
        assert report("init", "net.py:Net", "--scheme", "normal", "--out", out)["written"] == str(out)
        state = load_file(out) if suffix == ".safetensors" else torch.load(out)
        assert sorted(state) == ["first.bias", "first.weight", "second.bias", "second.weight"]
        assert state["first.bias"].tolist() == [0, 0, 0]

    def test_with_torchs_generator_the_values_are_those_of_a_script(self, report):
        rows = report("init", "net.py:Net", "--rng", "torch", "--rule", "*.weight=normal", "--seed", "3", "--values")[
            "parameters"
        ]
        torch.manual_seed(3)
        expected = [torch.empty(3, 4).normal_(0, 0.01), torch.empty(2, 3).normal_(0, 0.01)]
        assert [rows[0]["values"], rows[2]["values"]] == [each.tolist() for each in expected]
        assert rows[1]["values"] == [0.5, 0.5, 0.5]

    def test_add_acts_on_what_the_code_has_set(self, report):
        rows = report("init", "net.py:Net", "--rule", "*.bias=add:value=1", "--values")["parameters"]
        assert rows[1]["values"] == [1.5, 1.5, 1.5]

    def test_equal_calls_write_equal_bytes(self, paramctl, tmp_path):
        for name in ("a", "b"):
            assert paramctl("init", "net.py:Net", "--out", tmp_path / f"{name}.safetensors").code == 0
        assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()

    @pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
    def test_what_the_code_never_writes_is_flagged_and_zero(self, dtype, report, paramctl, write):
        write(
            "import torch\nfrom torch import nn\n"
            "class Own(nn.Module):\n"
            "    def __init__(self):\n"
            "        super().__init__()\n"
            "        self.never = nn.Parameter(torch.empty(5))\n"
            "        self.inner = nn.Linear(2, 2)\n",
            "unwritten.py",
        )
        rows = report("init", "unwritten.py:Own", "--values", "--dtype", dtype)["parameters"]
        assert [(row["origin"], row["unwritten"]) for row in rows] == [("never written", 5), *[("as found", 0)] * 2]
        assert rows[0]["values"] == [0.0] * 5
        assert "note: never: never written by the layer" in paramctl("init", "unwritten.py:Own").err

    def test_the_file_of_the_code_is_not_written_over(self, paramctl):
        result = paramctl("list", "net.py:Net", "--output", "net.py")
        assert result.code == 2
        assert result.err.startswith("error: --output: net.py is the file of MODEL too")

    def test_what_torchscript_compiled_is_listed_and_not_initialised(self, paramctl, write):
        write("import torch\nnet = torch.jit.script(torch.nn.Linear(1, 1))\n", "compiled.py")
        with pytest.warns(DeprecationWarning, match="torch.jit.script"):
            assert paramctl("list", "compiled.py:net", "--stats", "--values", "--buffers").code == 0
        for command in (("init",), ("grad", "--input-shape", "1,1")):
            result = paramctl(command[0], "compiled.py:net", *command[1:])
            assert result.code == 2
            assert result.err.startswith("error: MODEL: the module is compiled by TorchScript")


class TestGrad:
    def test_gradients_that_the_code_set_are_there_before(self, report):
        rows = report("grad", "net.py:Net", "--input-shape", "2,4", "--fill", "ones", "--values")["parameters"]
        assert [row["before"] and row["before"]["norm"] for row in rows] == [None, pytest.approx(3**0.5), None, None]
        torch.manual_seed(0)
        layer = torch.nn.Linear(4, 3)
        active = (layer.weight.sum(1) + 0.5 > 0).float()
        assert rows[1]["values"] == pytest.approx((1 + 2 * 0.5 * active).tolist())
        assert rows[3]["values"] == [2.0, 2.0]

    def test_an_input_that_is_given_by_position_is_that_of_the_shape(self, report):
        by_shape = report("grad", "net.py:Net", "--input-shape", "2,4")
        assert report("grad", "net.py:Net", "--input", "2,4") == by_shape
        assert report("grad", "net.py:Net", "--input", "2,4:float32:rand") == by_shape

    def test_the_loss_that_a_model_returns_is_its_loss(self, report):
        inputs = ("--input", "ids=2,5:int64:randint(0,10)", "--input", "labels=2,5:int64:randint(0,10)")
        answer = report("grad", "net.py:Classifier", *inputs)
        assert (answer["output"], answer["objective"], answer["output_shape"]) == (
            "output['loss']",
            "the model's own",
            [],
        )
        assert answer["loss"] > 0

    def test_without_a_loss_the_first_floating_tensor_counts(self, report):
        answer = report("grad", "net.py:Classifier", "--input", "2,5:randint(0,10)")
        assert (answer["output"], answer["objective"]) == ("output['logits']", "the sum of the output")

    def test_a_loss_that_is_named_is_computed_of_the_first_floating_tensor(self, report):
        inputs = ("--input", "ids=2,5:int64:randint(0,10)", "--input", "labels=2,5:int64:randint(0,10)")
        answer = report("grad", "net.py:Classifier", *inputs, "--loss", "mean")
        assert (answer["output"], answer["objective"]) == ("output['logits']", "the mean of the output")

    def test_several_inputs_by_position_or_by_name_each_have_their_own_values(self, report, paramctl):
        given = ("--input", "3:ones", "--input", "3:zeros")
        assert report("grad", "net.py:Two", *given, "--values")["parameters"][0]["values"] == [3.0]
        named = ("--input", "b=3:zeros", "--input", "a=3:ones")
        assert report("grad", "net.py:Two", *named, "--values")["parameters"][0]["values"] == [3.0]
        mixed = ("--input-shape", "3", "--fill", "ones", "--input", "b=3")
        assert report("grad", "net.py:Two", *mixed, "--values")["parameters"][0]["values"] == [3.0]
        assert "output [3] at output[0]" in paramctl("grad", "net.py:Two", *given).out

    def test_code_that_switches_gradients_off_in_its_import_gets_them(self, report, write):
        write("import torch\ntorch.set_grad_enabled(False)\ndef make(): return torch.nn.Linear(2, 1)\n", "off.py")
        try:
            rows = report("grad", "off.py:make", "--input", "3,2:ones", "--values")["parameters"]
        finally:
            torch.set_grad_enabled(True)
        assert [row["values"] for row in rows] == [[[3.0, 3.0]], [3.0]]

    def test_an_output_as_hugging_face_has_it_is_reduced_to_its_loss(self, report, write):
        write(
            "from collections import OrderedDict\nfrom dataclasses import dataclass\nimport torch\nfrom torch import nn\n"
            "@dataclass\nclass ModelOutput(OrderedDict):\n    loss: object = None\n    logits: object = None\n"
            "    def __post_init__(self):\n"
            "        self.update({key: value for key, value in vars(self).items() if value is not None})\n"
            "class Model(nn.Module):\n"
            "    def __init__(self):\n        super().__init__()\n        self.head = nn.Linear(2, 2)\n"
            "    def forward(self, x, labels=None):\n"
            "        logits = self.head(x)\n"
            "        return ModelOutput(None if labels is None else logits.mean(), logits)\n",
            "hf.py",
        )
        assert report("grad", "hf.py:Model", "--input", "3,2")["output"] == "output['logits']"
        answer = report("grad", "hf.py:Model", "--input", "3,2", "--input", "labels=3:int64:zeros")
        assert (answer["output"], answer["objective"]) == ("output['loss']", "the model's own")

    @pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
    def test_what_was_traced_runs_though_it_tells_no_signature(self, report, write):
        write("import torch\nnet = torch.jit.trace(torch.nn.Linear(2, 1), torch.rand(3, 2))\n", "traced.py")
        rows = report("grad", "traced.py:net", "--input", "3,2:ones", "--values")["parameters"]
        assert [row["values"] for row in rows] == [[[3.0, 3.0]], [3.0]]

    def test_a_forward_that_returns_nothing_is_answered(self, paramctl, write):
        write(
            "from torch import nn\nclass Net(nn.Linear):\n    def forward(self, x):\n        super().forward(x)\n",
            "n.py",
        )
        result = paramctl("grad", "n.py:Net", "--arg", "in_features=2", "--arg", "out_features=1", "--input", "3,2")
        assert (result.code, result.out) == (2, "")
        assert result.err.startswith(
            "error: the model returned no tensor but None\n  hint: its forward returns nothing"
        )

    def test_a_spec_takes_inputs_too(self, report, write):
        spec = write("layers: [{Linear: [4, 1]}]\ninput: {shape: [9, 4]}")
        assert report("grad", spec, "--input", "2,4:ones")["output_shape"] == [2, 1]
        assert report("grad", spec, "--input", "input=3,4:ones")["output_shape"] == [3, 1]

    @pytest.mark.parametrize(
        ("words", "message", "hint"),
        [
            (("net.py:Net",), "net.py:Net: there is no input for a forward pass", "its first layer, first (Linear), takes [N, 4]: try --input-shape 2,4"),
            (("net.py:Two",), "net.py:Two: there is no input", "its forward takes a and b: give --input a=SHAPE --input b=SHAPE"),
            (("net.py:Classifier",), "there is no input", "embedding (Embedding), takes [N, T] of indexes below 10: try --input-shape 2,8 --fill 'randint(0,10)'"),
            (("net.py:Net", "--input", "y=2,4"), "--input: Net.forward has no argument 'y'", "it takes x, mask"),
            (("net.py:Net", "--input", "msak=2,4"), "--input: Net.forward has no argument 'msak'", "did you mean 'mask'?"),
            (("net.py:Net", "--input", "2,4", "--input", "x=2,4"), "--input: the argument 'x' is given twice", None),
            (("net.py:Net", *["--input", "2,4"] * 3), "--input: Net.forward takes 2 arguments by position, not 3", "by position it takes x, mask"),
            (("net.py:tied", *["--input", "2,4"] * 2), "--input: Sequential.forward takes 1 argument by position, not 2", "takes input"),
            (("net.py:Classifier", "--input", "2,4"), "embedding (Embedding) failed in forward on an input of [2, 4]", "it takes [N, T] of indexes below 10; raised at net.py:28 in forward"),
            (("net.py:Net", "--input", "2,4", "--fill", "ones"), "--fill: --fill speaks of --input-shape", "write --input 2,4:ones"),
            (("net.py:Net", "--input-shape", "2,9"), "Net failed in forward on an input of [2, 9]: RuntimeError", "raised at net.py:18 in forward"),
            (("net.py:Two", "--input", "2"), "--input: Two.forward needs b", "add --input b=SHAPE"),
        ],
    )  # fmt: skip
    def test_what_cannot_run_is_answered(self, words, message, hint, paramctl):
        result = paramctl("grad", *words)
        assert result.code == 2
        assert message in result.err
        assert hint is None or hint in result.err


class TestFailures:
    @pytest.mark.parametrize("command", ["list", "init", "shared", "grad"])
    def test_a_failure_in_the_users_code_exits_with_2_and_shows_their_frames(self, command, paramctl, write):
        write("def make():\n    breaks()\n\n\ndef breaks():\n    raise ValueError('no way')\n", "faulty.py")
        result = paramctl(command, "faulty.py:make")
        assert (result.code, result.out) == (2, "")
        assert result.err.splitlines() == [
            "error: MODEL: building faulty.py:make failed: ValueError: no way",
            "  hint: raised at faulty.py:2 in make, faulty.py:6 in breaks",
        ]

    def test_a_file_of_a_package_is_named_as_the_package(self, paramctl, write):
        write("", "package/__init__.py")
        write("SIZE = 2\n", "package/sizes.py")
        write(
            "from torch import nn\nfrom .sizes import SIZE\ndef make(): return nn.Linear(SIZE, 1)\n", "package/nets.py"
        )
        assert "named as package.module:NAME" in paramctl("list", "package/nets.py:make").err
        assert paramctl("list", "package.nets:make").code == 0
