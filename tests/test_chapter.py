"""Every example of the chapter on parameter access, initialisation and sharing, from the shell."""

from __future__ import annotations

from pathlib import Path

import pytest

MLP = "example:mlp"
CONFIGS = Path(__file__).parent.parent / "configs"


class TestAccess:
    def test_parameters_are_named_with_the_index_of_their_layer(self, report):
        rows = report("list", MLP)["parameters"]
        assert [(row["name"], row["shape"]) for row in rows] == [
            ("0.weight", [3, 4]),
            ("0.bias", [3]),
            ("2.weight", [1, 3]),
            ("2.bias", [1]),
        ]

    def test_one_layer_alone_has_the_names_without_the_index(self, report):
        rows = report("list", MLP, "--layer", "0")["parameters"]
        assert [(row["name"], row["shape"]) for row in rows] == [("weight", [3, 4]), ("bias", [3])]

    def test_the_input_gives_one_output_for_each_of_its_two_rows(self, report):
        assert report("grad", MLP)["output_shape"] == [2, 1]

    def test_a_plain_tensor_that_is_an_attribute_is_no_parameter(self, report, write):
        write(
            "import torch\nfrom torch import nn\n"
            "class MyLinear(nn.Module):\n"
            "    def __init__(self):\n"
            "        super().__init__()\n"
            "        self.scale = torch.rand(3)\n"
            "        self.weight = nn.Parameter(torch.rand(3))\n"
            "    def forward(self, x):\n"
            "        return x * self.weight * self.scale\n",
            "my_linear.py",
        )
        spec = write("layers: [my_linear.py:MyLinear]")
        answer = report("list", spec, "--allow", "my_linear.py")
        assert [row["name"] for row in answer["parameters"]] == ["0.weight"]
        assert [(each["name"], each["shape"]) for each in answer["not_registered"]] == [("0.scale", [3])]

    def test_a_constant_of_a_model_of_ones_own_is_no_parameter_and_gets_no_gradient(self, report, paramctl):
        model = "example:fixed_hidden.py:FixedHiddenMLP"
        answer = report("list", model)
        assert [row["name"] for row in answer["parameters"]] == ["linear.weight", "linear.bias"]
        (constant,) = answer["not_registered"]
        assert (constant["name"], constant["shape"]) == ("rand_weight", [20, 20])
        assert constant["fix"] == "nn.Parameter or register_buffer"
        assert "rand_weight      FixedHiddenMLP  tensor [20, 20]" in paramctl("list", model).out
        rows = report("grad", model, "--input-shape", "2,20")["parameters"]
        assert [row["name"] for row in rows if row["grad"]] == ["linear.weight", "linear.bias"]

    def test_values_are_shown(self, report):
        bias = report("list", MLP, "--include", "2.bias", "--values")["parameters"][0]
        assert len(bias["values"]) == 1
        assert abs(bias["values"][0]) <= 3**-0.5

    def test_a_gradient_is_none_before_backward_and_a_tensor_after_it(self, report):
        rows = report("grad", MLP, "--values")["parameters"]
        assert all(row["before"] is None for row in rows)
        assert [row["values"] for row in rows if row["name"] == "2.bias"] == [[2.0]]


class TestInitialisation:
    def test_normal_gives_weights_of_std_001_and_biases_of_zero(self, report, write):
        spec = write("layers: [{Linear: [300, 200]}, ReLU, {Linear: [200, 100]}]")
        for row in report("init", spec, "--scheme", "normal")["parameters"]:
            if row["name"].endswith("weight"):
                assert row["stats"]["mean"] == pytest.approx(0, abs=3e-4)
                assert row["stats"]["std"] == pytest.approx(0.01, rel=0.02)
                assert row["expected"] == {"mean": 0, "std": 0.01}
            else:
                assert (row["stats"]["min"], row["stats"]["max"]) == (0, 0)

    def test_constant_gives_one_value(self, report):
        rows = report("init", MLP, "--scheme", "constant:val=1", "--values")["parameters"]
        assert rows[0]["values"] == [[1.0] * 4] * 3
        assert rows[1]["values"] == [0.0] * 3

    def test_two_layers_can_have_two_schemes(self, report):
        rules = ("--rule", "0.weight=xavier_uniform", "--rule", "2.weight=constant:val=42")
        rows = report("init", MLP, *rules, "--values")["parameters"]
        assert rows[0]["rules"] == [{"scheme": "xavier_uniform", "args": {"gain": 1.0}}]
        assert rows[2]["values"] == [[42.0] * 3]

    def test_a_function_of_ones_own_leaves_half_the_weights_zero_and_the_rest_beyond_five(self, report, write):
        spec = write("layers: [{Linear: [100, 100]}]")
        scheme = f"{CONFIGS / 'my_init.py'}:init_weight_"
        weight, _ = report("init", spec, "--scheme", scheme, "--values")["parameters"]
        values = [value for row in weight["values"] for value in row]
        others = [value for value in values if value]
        assert len(others) == pytest.approx(len(values) / 2, rel=0.05)
        assert all(5 <= abs(value) <= 10 for value in others)
        assert sum(value > 0 for value in others) == pytest.approx(len(others) / 2, rel=0.1)

    def test_one_can_be_added_to_what_is_there(self, report):
        before = report("init", MLP, "--values")["parameters"]
        after = report("init", MLP, "--rule", "*.bias=add:value=1", "--values")["parameters"]
        for old, new in zip(before, after, strict=True):
            if old["name"].endswith("bias"):
                assert new["values"] == pytest.approx([value + 1 for value in old["values"]])
            else:
                assert new["values"] == old["values"]


class TestSharing:
    SHARED = "example:shared"

    def test_a_layer_used_twice_is_one_parameter_with_two_names(self, report):
        (row,) = report("list", self.SHARED)["parameters"]
        assert (row["name"], row["aliases"]) == ("0.weight", ["1.weight"])
        (group,) = report("shared", self.SHARED)["groups"]
        assert (group["relation"], group["names"]) == ("same-module", ["0.weight", "1.weight"])

    def test_the_table_shows_one_id_for_both_names(self, paramctl):
        lines = paramctl("shared", self.SHARED).out.splitlines()
        assert lines[2].split()[:2] == ["same-module", "0.weight"]
        word, identity, other_name = lines[3].split()
        assert (word, other_name) == ("id", "1.weight")
        assert identity.isdigit()

    def test_the_weight_is_three(self, report):
        (row,) = report("list", self.SHARED, "--values")["parameters"]
        assert row["values"] == [[3.0]]

    def test_the_output_is_nine_and_the_gradient_six(self, report):
        answer = report("grad", self.SHARED, "--values")
        assert answer["loss"] == 9.0
        assert answer["parameters"][0]["values"] == [[6.0]]
