from __future__ import annotations

import csv
import io
import json
import math
import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from paramctl.tensors import memory

TOTALS = {
    "mlp": 19,
    "shared": 1,
    "lenet5": 61_706,
    "alexnet": 61_100_840,
    "vgg16": 138_357_544,
    "resnet18": 11_689_512,
    "gpt2": 124_439_808,
    "llama2_70b": 68_976_648_192,
}


@pytest.mark.parametrize("name", TOTALS)
def test_the_shipped_models_have_their_known_number_of_parameters(name, report):
    listed = report("list", f"example:{name}")
    assert listed["totals"]["numel"] == TOTALS[name]
    assert sum(row["numel"] for row in listed["parameters"]) == TOTALS[name]


def test_names_shapes_and_order_are_those_of_torch(report):
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))
    rows = report("list", "example:mlp")["parameters"]
    assert [(row["name"], row["shape"]) for row in rows] == [(n, list(p.shape)) for n, p in net.named_parameters()]


def test_gpt2_ties_its_head_to_its_embedding(report):
    rows = {row["name"]: row for row in report("list", "example:gpt2")["parameters"]}
    assert rows["transformer.wte.weight"]["aliases"] == ["lm_head.weight"]
    assert "lm_head.weight" not in rows
    assert {"transformer.h.11.mlp.c_proj.bias", "transformer.ln_f.weight"} <= rows.keys()


def test_a_dtype_from_the_command_line_changes_bytes_and_nothing_else(report):
    full, half = report("list", "example:alexnet"), report("list", "example:alexnet", "--dtype", "bfloat16")
    assert half["totals"]["nbytes"] == full["totals"]["nbytes"] / 2
    assert half["totals"]["numel"] == full["totals"]["numel"]
    assert {row["dtype"] for row in half["parameters"]} == {"bfloat16"}


def test_a_frozen_parameter_is_not_trainable(report, paramctl, write):
    spec = write("layers: [{Linear: [2, 2]}, {Linear: [2, 2]}]\nfreeze: ['0.*']")
    listed = report("list", spec)
    assert [row["requires_grad"] for row in listed["parameters"]] == [False, False, True, True]
    assert (listed["totals"]["trainable"], listed["totals"]["frozen"]) == (6, 6)
    page = paramctl("list", spec).out
    assert "frozen" in page
    assert "6 elements trainable, 6 frozen" in page


@pytest.mark.parametrize("glob", ["a.weight", "b.weight", "b.*ght"])
@pytest.mark.parametrize(
    "text",
    [
        "layers: {a: &a {Linear: [2, 2]}, b: *a, c: {Linear: [2, 2]}}",
        "layers: {a: {Linear: [2, 2]}, b: {Linear: [2, 2]}, c: {Linear: [2, 2]}}\ntie: [[a.weight, b.weight]]",
    ],
    ids=["alias", "tie"],
)
def test_a_freeze_matches_any_name_of_a_parameter(text, glob, paramctl, report, write):
    spec = write(f"{text}\nfreeze: ['{glob}']\ninput: {{shape: [1, 2]}}")
    frozen = [row["name"] for row in report("list", spec)["parameters"] if not row["requires_grad"]]
    assert frozen == ["a.weight"]
    assert paramctl("list", spec).err == ""
    assert [row["name"] for row in report("grad", spec)["parameters"] if row["grad"] is None] == ["a.weight"]


def test_a_freeze_that_matches_nothing_is_noted_on_stderr(paramctl, write):
    result = paramctl("list", write("layers: [ReLU]\nfreeze: ['x']"))
    assert result.code == 0
    assert result.err == "note: spec.yaml:2:10: freeze: 'x' matches no parameter\n"


def test_filters_and_order(report):
    rows = report("list", "example:alexnet", "--include", "*.weight", "--exclude", "features.*", "--sort", "numel")[
        "parameters"
    ]
    assert [row["name"] for row in rows] == ["classifier.1.weight", "classifier.4.weight", "classifier.6.weight"]


def test_buffers_stand_behind_parameters(report):
    rows = report("list", "example:resnet18", "--layer", "bn1", "--buffers")["parameters"]
    assert [(row["name"], row["kind"], row["requires_grad"], row["dtype"]) for row in rows] == [
        ("weight", "parameter", True, "float32"),
        ("bias", "parameter", True, "float32"),
        ("running_mean", "buffer", False, "float32"),
        ("running_var", "buffer", False, "float32"),
        ("num_batches_tracked", "buffer", False, "int64"),
    ]


def test_an_unknown_layer_is_an_error_with_the_nearest(paramctl):
    result = paramctl("list", "example:alexnet", "--layer", "featurs")
    assert result.code == 2
    assert result.err == "error: --layer: the model has no layer 'featurs'\n  hint: did you mean 'features'?\n"


def test_a_glob_that_matches_nothing_is_noted_on_stderr(paramctl):
    result = paramctl("list", "example:mlp", "--include", "weight")
    assert (result.code, result.out) == (0, "There are no parameters here.\n")
    assert result.err == (
        "note: --include 'weight' matches no parameter; globs match whole dotted names: did you mean '*.weight'?\n"
    )


class TestTree:
    @pytest.mark.parametrize("extra", [[], ["--values"]])
    def test_the_name_in_the_spec_is_that_of_the_root(self, extra, paramctl, report, write):
        spec = write("name: my net\nlayers: [{Linear: [2, 1]}]")
        answer = report("list", spec, "--tree", *extra)
        assert (answer["model"], answer["tree"]["name"], "title" in answer) == ("spec.yaml", "", False)
        assert paramctl("list", spec, "--tree").out.splitlines()[2].startswith("my net  Sequential")
        assert paramctl("list", spec, "--tree", "--layer", "0").out.splitlines()[2].startswith("0 ")

    def test_70_billion_parameters_fit_on_a_screen(self, paramctl):
        lines = paramctl("list", "example:llama2_70b", "--tree").out.splitlines()
        assert len(lines) < 25
        assert any("layers.[0-79]" in line and "80 × ModuleDict" in line and "99.2%" in line for line in lines)

    def test_a_run_of_transformer_layers_is_one_line(self, paramctl, write):
        spec = write("layers: {blocks: {Repeat: {times: 12, layer: {TransformerEncoderLayer: [8, 2, 16]}}}}")
        lines = paramctl("list", spec, "--tree").out.splitlines()
        assert any(line.split()[:5] == ["└", "blocks.[0-11]", "12", "×", "TransformerEncoderLayer"] for line in lines)

    def test_the_numbers_of_every_level_sum_up_to_the_level_above(self, report):
        tree = report("list", "example:gpt2", "--tree")["tree"]

        def check(node):
            if node["children"] and not node["tensors"]:
                assert sum(child["numel"] for child in node["children"]) == node["numel"]
                assert sum(child["share"] for child in node["children"]) == pytest.approx(node["share"])
            for child in node["children"]:
                check(child)

        assert (tree["numel"], tree["share"]) == (TOTALS["gpt2"], 1.0)
        check(tree)

    def test_a_module_used_twice_is_shown_at_both_places_and_counted_once(self, paramctl):
        lines = paramctl("list", "example:shared", "--tree").out.splitlines()
        assert lines[-2].split()[1:] == ["1", "=", "0"]

    def test_a_tied_module_says_where_its_tensor_is_counted(self, paramctl):
        lines = paramctl("list", "example:gpt2", "--tree").out.splitlines()
        assert lines[-3].split() == ["└", "lm_head", "Linear", "0", "0", "B", "0%"]
        assert lines[-2].split() == ["=", "transformer.wte.weight"]

    def test_names_stay_on_their_lines_and_types_give_way(self, paramctl, write, monkeypatch):
        monkeypatch.setenv("COLUMNS", "80")
        encoder = "{TransformerEncoder: {encoder_layer: {TransformerEncoderLayer: {d_model: 8, nhead: 2, batch_first: true}}, num_layers: 3}}"
        spec = write(f"layers: {{encoder_of_everything: {{Sequential: {{a_block_with_a_long_name: {encoder}}}}}}}")
        page = paramctl("list", spec, "--tree").out
        assert max(map(len, page.splitlines())) <= 80
        for name in ("└ encoder_of_everything", "└ a_block_with_a_long_name", "├ self_attn", "│ └ out_proj"):
            assert any(name in line for line in page.splitlines())
        lines = page.splitlines()
        below = lines[next(i for i, line in enumerate(lines) if "└ out_proj" in line) + 1]
        assert below.split()[0] == "│"  # the guide goes on beside the rest of the type

    def test_a_share_that_is_not_the_whole_is_not_rounded_to_it(self, paramctl, write):
        spec = write("layers: {a: {Linear: [1000, 1000]}, b: {Linear: [1, 1]}}")
        assert ">99.9%" in paramctl("list", spec, "--tree").out

    def test_the_tree_of_a_layer_counts_what_its_rows_count(self, paramctl, report):
        answer = report("list", "example:gpt2", "--layer", "lm_head", "--tree")
        assert answer["tree"]["numel"] == answer["totals"]["numel"] == 38_597_376
        lines = paramctl("list", "example:gpt2", "--layer", "lm_head", "--tree").out.splitlines()
        assert lines[2].split()[:3] == ["lm_head", "Linear", "38,597,376"]

    def test_json_holds_a_tree_beside_values_and_an_order(self, report):
        answer = report("list", "example:mlp", "--tree", "--values", "--stats", "--sort", "name")
        assert answer["tree"]["numel"] == 19
        assert {"values", "stats"} <= answer["parameters"][0].keys()

    def test_filters_prune_what_is_counted(self, report):
        tree = report("list", "example:mlp", "--tree", "--include", "*.bias")["tree"]
        assert tree["numel"] == 4


def test_a_table_says_which_columns_it_left_out(paramctl, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    assert "\nleft out for want of space: type\n" in paramctl("list", "example:alexnet").out
    assert "\nleft out for want of space: min, max\n" in paramctl("list", "example:lenet5", "--stats").out
    assert "left out" not in paramctl("list", "example:lenet5", "--format", "csv").out


@pytest.mark.parametrize("extra", [[], ["--stats"]])
def test_a_table_of_parameters_and_buffers_fits_65_columns(extra, paramctl, monkeypatch):
    monkeypatch.setenv("COLUMNS", "65")
    lines = paramctl("list", "example:resnet18", "--buffers", "--layer", "layer4", *extra).out.splitlines()
    assert max(map(len, lines)) <= 65
    assert lines[-2].endswith("dtype")


def test_counts_agree_with_their_noun(paramctl, write):
    spec = write("layers: [{Linear: {in_features: 1, out_features: 1, bias: false}}]")
    assert "1 parameter · 1 element · 4 B" in paramctl("list", spec, "--tree").out
    frozen = write("layers: [{Linear: [1, 1]}]\nfreeze: ['*.bias']")
    assert "1 element trainable, 1 frozen" in paramctl("list", frozen).out


class TestValues:
    def test_values_are_those_that_init_gives(self, report):
        listed = report("list", "example:lenet5", "--values", "--stats", "--seed", "3")["parameters"]
        initialised = report("init", "example:lenet5", "--values", "--seed", "3")["parameters"]
        for one, two in zip(listed, initialised, strict=True):
            assert (one["values"], one["stats"]) == (two["values"], two["stats"])

    def test_statistics_alone_are_those_of_the_values(self, report, write):
        spec = write(
            "layers: [{Linear: [300, 300]}, {BatchNorm1d: 300}, {Embedding: [50, 4, 3]}, {Linear: [300, 9]}]\n"
            "init: [{match: 3.weight, scheme: orthogonal}, {match: 3.bias, scheme: add, value: 1}]"
        )
        alone = report("list", spec, "--hist", "--buffers")["parameters"]
        beside = report("list", spec, "--hist", "--buffers", "--values")["parameters"]
        assert len(alone) == 10
        for one, two in zip(alone, beside, strict=True):
            assert one == {key: value for key, value in two.items() if key != "values"}

    def test_values_in_json_are_complete_and_nested_like_the_shape(self, report):
        (row,) = report("list", "example:lenet5", "--include", "conv1.weight", "--values")["parameters"]
        assert torch.tensor(row["values"]).shape == (6, 1, 5, 5)

    def test_a_table_shows_small_tensors_whole_and_shortens_large_ones_as_torch_does(self, paramctl):
        page = paramctl("list", "example:lenet5", "--values", "--include", "fc3.bias", "--include", "fc1.weight").out
        assert "..., " in page
        bias = page[page.index("\nfc3.bias\n") :]
        assert bias.count(",") == 9
        assert "..." not in bias

    def test_no_width_breaks_the_lines_that_torch_prints(self, paramctl, monkeypatch):
        words = ("list", "example:lenet5", "--values", "--include", "fc1.weight")
        wide = paramctl(*words).out
        monkeypatch.setenv("COLUMNS", "40")
        narrow = paramctl(*words).out
        printed = wide[wide.index("tensor(") :]
        assert max(map(len, printed.splitlines())) > 40
        assert narrow[narrow.index("tensor(") :] == printed

    def test_buffers_have_the_values_of_their_layer(self, report):
        rows = report("list", "example:resnet18", "--layer", "bn1", "--buffers", "--values", "--include", "running*")[
            "parameters"
        ]
        assert [row["values"] for row in rows] == [[0.0] * 64, [1.0] * 64]

    def test_statistics_of_one_layer(self, report):
        rows = report("list", "example:mlp", "--layer", "0", "--stats")["parameters"]
        assert [row["name"] for row in rows] == ["weight", "bias"]
        assert all(abs(row["stats"]["mean"]) < 0.5 for row in rows)
        assert not any(math.isnan(row["stats"]["norm"]) for row in rows)


class TestMemory:
    SPEC = (
        "layers: [{Linear: [100, 100, false]}, {Linear: [100, 100, false]}, {BatchNorm1d: 500}]\n"
        "init: [{match: 0.weight, scheme: eye}]"
    )

    @pytest.mark.parametrize(
        ("option", "needed"),
        [("--values", "82.0 KiB of memory (84,000 bytes)"), ("--stats", "39.1 KiB of memory (40,000 bytes)")],
    )
    def test_values_that_do_not_fit_are_refused(self, option, needed, paramctl, write, monkeypatch):
        monkeypatch.setattr(memory, "available_bytes", lambda: 39_999)
        result = paramctl("list", write(self.SPEC), option)
        assert (result.code, result.out) == (2, "")
        assert result.err == f"error: the values would take {needed}; 39.1 KiB are available (39,999 bytes)\n"
        assert paramctl("list", "spec.yaml").code == 0

    def test_values_that_are_not_shown_take_no_memory(self, paramctl, write, monkeypatch):
        monkeypatch.setattr(memory, "available_bytes", lambda: 39_999)
        spec = write(self.SPEC)
        for name in ("0.bias", "2.running_mean"):
            assert paramctl("list", spec, "--values", "--buffers", "--include", name).code == 0

    def test_statistics_hold_one_parameter_at_a_time(self, paramctl, write, monkeypatch):
        monkeypatch.setattr(memory, "available_bytes", lambda: 40_000)
        spec = write(self.SPEC)
        assert paramctl("list", spec, "--stats").code == 0
        assert paramctl("list", spec, "--stats", "--values").code == 2

    def test_statistics_hold_no_parameter_that_is_drawn_in_blocks(self, paramctl, write, monkeypatch):
        monkeypatch.setattr(memory, "available_bytes", lambda: 20_000)
        spec = write(self.SPEC)
        assert paramctl("list", spec, "--hist", "--include", "1.weight", "--include", "2.running_mean").code == 0
        assert paramctl("list", spec, "--stats", "--include", "1.weight", "--include", "0.weight").code == 2


class TestHistogram:
    def test_it_comes_with_statistics_and_stands_beside_them(self, report):
        for row in report("list", "example:lenet5", "--hist")["parameters"]:
            edges, counts = row["histogram"]["edges"], row["histogram"]["counts"]
            assert edges[0] <= row["stats"]["min"]
            assert row["stats"]["max"] <= edges[-1]
            assert (len(edges), sum(counts)) == (len(counts) + 1, row["numel"])
        assert "histogram" not in report("list", "example:mlp", "--stats")["parameters"][0]

    def test_the_numbers_are_columns_of_csv_and_markdown(self, paramctl):
        (row,) = csv.DictReader(
            io.StringIO(paramctl("list", "example:mlp", "--hist", "--include", "2.bias", "-f", "csv").out)
        )
        assert (json.loads(row["histogram.counts"]), len(json.loads(row["histogram.edges"]))) == ([1], 2)
        assert (
            "| histogram.edges | histogram.counts |" in paramctl("list", "example:mlp", "--hist", "-f", "markdown").out
        )

    def test_a_table_shows_it_between_min_and_max(self, paramctl, write):
        spec = write("layers: [{Linear: [300, 300]}]\ninit: [{match: '*.weight', scheme: uniform}]")
        head, _, weight, *_ = paramctl("list", spec, "--hist").out.splitlines()
        assert head.split() == ["name", "elements", "mean", "std", "min", "histogram", "max", "norm"]
        assert set(weight.split()[5]) <= {"▇", "█"}
        assert len(weight.split()[5]) == 16

    def test_it_fits_80_columns_and_gives_way_last(self, paramctl, monkeypatch):
        monkeypatch.setenv("COLUMNS", "80")
        lines = paramctl("list", "example:resnet18", "--hist", "--buffers", "--layer", "layer4").out.splitlines()
        assert max(map(len, lines)) <= 80
        assert "histogram" in lines[0]
        monkeypatch.setenv("COLUMNS", "50")
        assert "left out for want of space: min, max, histogram" in paramctl("list", "example:lenet5", "--hist").out

    def test_a_tree_does_not_show_it(self, paramctl, report):
        result = paramctl("list", "example:mlp", "--tree", "--hist")
        assert (result.code, result.err.splitlines()[0]) == (2, "error: --tree: a tree shows nothing of --hist")
        assert "histogram" in report("list", "example:mlp", "--tree", "--hist")["parameters"][0]

    @pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437"])
    def test_where_the_encoding_has_no_blocks_they_are_other_characters(self, encoding):
        words = [sys.executable, "-m", "paramctl", "list", "example:lenet5", "--hist", "--include", "fc1.weight"]
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        page = subprocess.run(words, capture_output=True, check=True, env=environment).stdout.decode(encoding)
        (line,) = [line for line in page.splitlines() if line.startswith("fc1")]
        assert set(line.split()[5]) <= set("#@")


def test_a_layer_that_is_reached_by_an_alias_has_its_values(report):
    (row,) = report("list", "example:shared", "--layer", "1", "--values")["parameters"]
    assert (row["name"], row["values"]) == ("weight", [[3.0]])


def test_a_spec_on_standard_input(process):
    result = process("list", "-", "--format", "json", stdin="layers: [{Linear: [2, 1]}]")
    listed = json.loads(result.out)
    assert (listed["model"], listed["totals"]["numel"]) == ("-", 3)


def test_closed_standard_input_is_an_error(tmp_path):
    command = f'exec "{sys.executable}" -m paramctl list - <&-'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, "error: MODEL: standard input is closed")


def test_a_mistake_on_standard_input_is_placed_there(process):
    result = process("list", "-", stdin="layers: [Liner]")
    assert (result.code, result.err.splitlines()[0]) == (
        2,
        "error: <stdin>:1:10: layers[0].Liner: torch.nn has no layer 'Liner'",
    )
