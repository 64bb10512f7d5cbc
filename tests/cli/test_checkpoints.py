"""Checkpoints at the command line: what is listed, what is loaded with --weights, and how mistakes read."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file, save_model
from torch import nn

SPEC = "layers: {body: {Linear: [4, 3]}, norm: {BatchNorm1d: 3}, head: {Linear: [3, 2]}}\ninput: {shape: [5, 4]}\ninit: [{match: '*', scheme: zeros}]\n"


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.norm, self.head = nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)


@pytest.fixture
def net(write):
    write(SPEC)
    torch.manual_seed(0)
    return Net()


class TestListing:
    @pytest.fixture(autouse=True)
    def _files(self, write):
        write("")
        blocks = {f"h.{i}.{name}": torch.full((2, 3), float(i)) for i in range(12) for name in ("up", "down")}
        save_file(blocks | {"wte": torch.ones(5, dtype=torch.float16)}, "x.safetensors")

    def test_rows_have_the_fields_of_every_listing(self, report):
        told = report("list", "x.safetensors", "--include", "h.2.up")
        assert told["parameters"] == [
            {
                "name": "h.2.up", "module": "h.2", "module_type": None, "kind": "tensor", "shape": [2, 3],
                "dtype": "float32", "numel": 6, "nbytes": 24, "requires_grad": None, "aliases": [],
            }
        ]  # fmt: skip
        assert told["totals"] == {"tensors": 1, "numel": 6, "trainable": 0, "frozen": 0, "nbytes": 24}

    def test_a_tree_folds_equal_blocks_and_names_no_types(self, paramctl, report):
        shown = paramctl("list", "x.safetensors", "--tree").out
        assert "h.[0-11]" in shown
        assert "12 ×" in shown
        assert report("list", "x.safetensors", "--tree")["tree"]["type"] is None

    def test_a_layer_is_listed_alone_and_measured_under_its_own_name(self, report):
        rows = report("list", "x.safetensors", "--layer", "h.7", "--stats")["parameters"]
        assert [(each["name"], each["stats"]["mean"]) for each in rows] == [("down", 7.0), ("up", 7.0)]

    def test_rows_are_sorted_and_filtered(self, report):
        rows = report("list", "x.safetensors", "--exclude", "h.1*", "--sort", "numel")["parameters"]
        assert (len(rows), rows[-1]["name"]) == (19, "wte")

    def test_histograms_come_from_the_same_pass(self, report, write):
        torch.manual_seed(0)
        save_file({"w": torch.randn(100_000)}, "w.safetensors")
        write("layers: [{Linear: [1, 1]}]")
        (row,) = report("list", "w.safetensors", "--hist")["parameters"]
        assert sum(row["histogram"]["counts"]) == 100_000

    def test_values_are_shown(self, report):
        assert report("list", "x.safetensors", "--include", "wte", "--values")["parameters"][0]["values"] == [1.0] * 5

    def test_a_name_of_endless_depth_has_no_tree(self, paramctl):
        save_file({".".join("a" * 500): torch.ones(1)}, "deep.safetensors")
        result = paramctl("list", "deep.safetensors", "--tree")
        assert (result.code, "more than 200 parts" in result.err) == (2, True)
        assert paramctl("list", "deep.safetensors").code == 0

    def test_more_modules_than_a_tree_shows_are_refused(self, paramctl):
        deep = "." + ".".join("a" * 190) + ".w"
        save_file({f"{i}{deep}": torch.ones(0) for i in range(5300)}, "wide.safetensors")
        result = paramctl("list", "wide.safetensors", "--tree")
        assert (result.code, "more than 1,000,000 parts that hold others" in result.err) == (2, True)
        assert paramctl("list", "wide.safetensors").code == 0

    def test_of_many_ties_a_tree_shows_the_first(self, paramctl):
        save_file({"a": torch.ones(1)}, "ties.safetensors", {f"k{i}": "a" for i in range(1000)})
        shown = paramctl("list", "ties.safetensors", "--tree").out
        assert "= … 992 more names" in shown

    def test_a_tie_is_shown_and_shared(self, report):
        tied = nn.ModuleDict({"embed": nn.Embedding(3, 2), "head": nn.Linear(2, 3, bias=False)})
        tied["head"].weight = tied["embed"].weight
        save_model(tied, "tied.safetensors")
        (row,) = report("list", "tied.safetensors")["parameters"]
        (group,) = report("shared", "tied.safetensors")["groups"]
        assert sorted([row["name"], *row["aliases"]]) == sorted(group["names"]) == ["embed.weight", "head.weight"]

    def test_what_has_no_statistics_is_named_with_its_reason(self, report, paramctl):
        lazy = torch.ones(2, dtype=torch.complex64).conj()
        state = {
            "a.sparse": torch.eye(3).to_sparse(),
            "a.lazy": lazy,
            "a.negative": torch._neg_view(torch.ones(2)),
            "b": torch.ones(1),
        }
        torch.save(state, "odd.pt")
        for words, name in ((["--stats"], "a."), (["--hist", "--layer", "a"], "")):
            result = paramctl("list", "odd.pt", *words)
            assert result.code == 0
            assert result.err.splitlines() == [
                f"note: {name}sparse: no statistics, since it is sparse",
                f"note: {name}lazy: no statistics, since its file holds its conjugate: it was a lazy view as it was saved",
                f"note: {name}negative: no statistics, since its file holds its negative: it was a lazy view as it was saved",
            ]

    @pytest.mark.parametrize("new_form", [True, False])
    def test_views_of_one_storage_share_what_they_share(self, report, new_form):
        held = torch.ones(4, 6)
        state = {"a": held, "b": held, "t": held.T, "top": held[:2], "low": held[2:], "own": torch.ones(2)}
        torch.save(state, "views.pt", _use_new_zipfile_serialization=new_form)
        groups = report("shared", "views.pt")["groups"]
        assert [(each["relation"], each["names"]) for each in groups] == [
            ("same-storage", ["a", "b", "t"]),
            ("overlap", ["a", "b", "t", "top", "low"]),
        ]

    @pytest.mark.parametrize(
        ("model", "hint"),
        [
            ("x.safetensor", "did you mean 'x.safetensors'?"),
            ("x", "did you mean 'x.safetensors'?"),
            ("y.safetensors", "did you mean 'x.safetensors'?"),
            ("other.PT", "the suffix '.PT' tells no kind of model: did you mean '.pt'?"),
        ],
    )
    def test_a_misspelt_name_is_answered_with_the_right_one(self, model, hint, paramctl):
        result = paramctl("list", model)
        assert (result.code, hint in result.err) == (2, True), result.err

    def test_a_directory_of_directories_with_checkpoints_names_them(self, paramctl, write):
        for name in ("checkpoint-1/model.safetensors", "checkpoint-2/model.safetensors", "logs/events"):
            write("", f"runs/{name}")
        assert "below it are runs/checkpoint-1, runs/checkpoint-2: name one" in paramctl("list", "runs").err

    def test_a_file_of_torch_save_may_be_called_a_tar(self, report):
        torch.save({"w": torch.ones(2)}, "model_best.pth.tar")
        assert report("list", "model_best.pth.tar")["totals"]["tensors"] == 1

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["list", "x.safetensors", "--dtype", "float16"], "--dtype: a checkpoint is not cast"),
            (["init", "x.safetensors"], "no model can be built from it alone"),
            (["grad", "x.safetensors"], "no model can be built from it alone"),
            (["list", "x.safetensors", "--key", "g"], "--key: no name in x.safetensors begins with 'g.'"),
            (["list", "example:mlp", "--key", "g"], "--key: example:mlp has no parts"),
            (["list", "."], "holds no checkpoint"),
        ],
    )
    def test_what_a_checkpoint_cannot_do_is_told(self, words, message, paramctl, tmp_path):
        if words[1] == ".":
            (tmp_path / "x.safetensors").unlink()
        result = paramctl(*words)
        assert result.code == 2
        assert message in result.err


class TestWeights:
    def test_list_shows_the_values_that_were_loaded(self, net, report):
        torch.save({"model": net.state_dict(), "epoch": 1}, "w.pt")
        rows = report("list", "spec.yaml", "--weights", "w.pt", "--values", "--buffers")["parameters"]
        state = net.state_dict()
        assert [each["name"] for each in rows if each["name"] in state] == [
            *dict(net.named_parameters()), *dict(net.named_buffers())
        ]  # fmt: skip
        assert all(torch.equal(torch.tensor(each["values"]), state[each["name"]]) for each in rows)

    def test_rules_change_what_was_loaded_and_nothing_else_does(self, net, report):
        save_model(net, "w.safetensors")
        rows = report("init", "spec.yaml", "--weights", "w.safetensors", "--rule", "head.bias=ones", "--values")
        values = {each["name"]: torch.tensor(each["values"]) for each in rows["parameters"]}
        expected = dict(net.named_parameters()) | {"head.bias": torch.ones(2)}
        assert all(torch.equal(values[name], each) for name, each in expected.items())

    def test_what_was_loaded_is_kept_under_the_generator_of_a_script_too(self, net, report, paramctl):
        torch.save(net.state_dict(), "w.pt")
        words = ("init", "spec.yaml", "--weights", "w.pt", "--rng", "torch", "--rule", "head.*=normal", "--values")
        values = {each["name"]: torch.tensor(each["values"]) for each in report(*words)["parameters"]}
        assert torch.equal(values["body.weight"], net.body.weight)
        assert not torch.equal(values["head.weight"], net.head.weight)
        assert "loaded " in paramctl(*words).out

    @pytest.mark.parametrize("rng", ["streams", "torch"])
    def test_the_report_says_what_was_loaded_and_what_was_not(self, rng, net, report):
        state = net.state_dict()
        del state["body.bias"]
        torch.save(state, "w.pt")
        words = ("--no-strict", "--rng", rng, "--rule", "head.weight=add:value=1", "--rule", "head.bias=ones")
        rows = report("init", "spec.yaml", "--weights", "w.pt", *words)["parameters"]
        assert {row["name"]: row["origin"] for row in rows} == {
            "body.weight": "loaded",
            "body.bias": "as found",
            "norm.weight": "loaded",
            "norm.bias": "loaded",
            "head.weight": "loaded → rule 1: add(value=1)",
            "head.bias": "rule 2: ones",
        }

    def test_gradients_are_those_of_the_loaded_model(self, net, report):
        torch.save(net.state_dict(), "w.pt")
        told = report("grad", "spec.yaml", "--weights", "w.pt", "--mode", "eval", "--fill", "ones", "--values")
        nn.Sequential(net.body, net.norm, net.head).eval()(torch.ones(5, 4)).sum().backward()
        values = {each["name"]: torch.tensor(each["values"]) for each in told["parameters"]}
        assert all(torch.allclose(values[name], each.grad) for name, each in net.named_parameters())

    def test_a_module_that_was_pickled_whole_gives_its_state(self, net, report):
        torch.save(net, "whole.pt")
        rows = report("list", "spec.yaml", "--weights", "whole.pt", "--values", "--include", "body.bias")
        assert torch.equal(torch.tensor(rows["parameters"][0]["values"]), net.body.bias)

    def test_values_are_cast_to_the_dtype_of_the_model(self, net, paramctl):
        torch.save({name: each.double() for name, each in net.state_dict().items()}, "w.pt")
        result = paramctl("list", "spec.yaml", "--weights", "w.pt", "--stats")
        assert "note: values cast from float64 to float32, the dtype of the model" in result.err

    def test_every_difference_is_told_beside_what_may_be_meant(self, net, paramctl):
        state = net.state_dict()
        state["haed.weight"] = state.pop("head.weight")
        state["body.bias"] = torch.ones(7)
        state["extra"] = torch.ones(2)
        torch.save(state, "w.pt")
        for words in (["--stats"], []):
            result = paramctl("list", "spec.yaml", "--weights", "w.pt", *words)
            assert result.code == 2
            assert result.err.splitlines() == [
                "error: --weights: w.pt does not fit the model: 1 missing, 2 unexpected, 1 of another shape",
                "error: w.pt: body.bias: [3] in the model, [7] in the checkpoint",
                "error: w.pt: head.weight: [2, 3] in the model, missing in the checkpoint; unexpected there, of the same shape: haed.weight",
                "error: w.pt: extra: [2] in the checkpoint, unexpected: the model has no such name",
            ]

    @pytest.mark.parametrize("suffix", ["pt", "safetensors"])
    def test_names_behind_a_prefix_are_answered_with_the_key_that_fits(self, net, paramctl, suffix):
        state = {f"module.{name}": each for name, each in net.state_dict().items()}
        (torch.save if suffix == "pt" else save_file)(state, f"ddp.{suffix}")
        refused = paramctl("list", "spec.yaml", "--weights", f"ddp.{suffix}", "--stats")
        assert refused.err.splitlines() == [
            f"error: --weights: ddp.{suffix} does not fit the model: {len(state)} missing, {len(state)} unexpected",
            "  hint: all names of the model stand there behind 'module': add --key module",
        ]
        assert paramctl("list", "spec.yaml", "--weights", f"ddp.{suffix}", "--stats", "--key", "module").code == 0

    def test_a_prefix_inside_a_part_is_answered_with_a_key_that_fits_too(self, net, paramctl):
        wrapped = {f"module._orig_mod.{name}": each for name, each in net.state_dict().items()}
        torch.save({"model": wrapped, "ema": wrapped, "step": 3}, "w.pt")
        words = ("list", "spec.yaml", "--weights", "w.pt", "--stats")
        assert "'module._orig_mod': add --key module._orig_mod\n" in paramctl(*words).err
        assert paramctl(*words, "--key", "module._orig_mod").code == 0
        assert "'module._orig_mod': add --key ema.module._orig_mod\n" in paramctl(*words, "--key", "ema").err
        assert paramctl(*words, "--key", "ema.module._orig_mod").code == 0

    def test_a_prefix_that_the_model_alone_has_is_named(self, net, paramctl, write):
        write("import torch\ndef make(): return torch.nn.DataParallel(torch.nn.Linear(4, 3))\n", "wrapped.py")
        torch.save(net.body.state_dict(), "w.pt")
        result = paramctl("list", "wrapped.py:make", "--weights", "w.pt")
        assert (result.code, result.out) == (2, "")
        assert "without the 'module' of the model: name the module that this wraps" in result.err

    def test_what_differs_by_more_than_a_prefix_is_paired_by_the_end_of_its_name(self, net, paramctl):
        state = {f"a.very.long.prefix.{name}": each for name, each in net.state_dict().items()}
        del state["a.very.long.prefix.body.weight"]
        torch.save(state, "w.pt")
        result = paramctl("list", "spec.yaml", "--weights", "w.pt")
        for name in state:
            short = name.removeprefix("a.very.long.prefix.")
            assert any(
                f"w.pt: {short}: " in line and line.endswith(f"shape: {name}") for line in result.err.splitlines()
            )

    def test_not_strictly_what_is_there_is_loaded_and_the_rest_keeps_its_own_values(self, net, report, paramctl):
        state = net.state_dict() | {"extra": torch.ones(2)}
        del state["body.weight"]
        torch.save(state, "w.pt")
        for words in ((), ("--stats",)):
            strict = paramctl("list", "spec.yaml", "--weights", "w.pt", *words)
            assert (strict.code, "hint: --no-strict loads what fits" in strict.err) == (2, True)
            assert paramctl("list", "spec.yaml", "--weights", "w.pt", "--no-strict", *words).err == (
                "note: w.pt: 1 name of the model is not in it, and keeps its own values: body.weight\n"
                "note: w.pt: 1 name in it is not the model's: extra\n"
            )
        words = ("init", "spec.yaml", "--values", "--seed", "5")
        own = {each["name"]: each["values"] for each in report(*words)["parameters"]}
        rows = report(*words, "--weights", "w.pt", "--no-strict")["parameters"]
        loaded = {name: each.tolist() for name, each in net.named_parameters()}
        assert {each["name"]: each["values"] for each in rows} == loaded | {"body.weight": own["body.weight"]}

    def test_not_strictly_something_has_to_fit_all_the_same(self, net, paramctl):
        torch.save({"other": torch.ones(2)}, "none.pt")
        torch.save(net.state_dict() | {"body.bias": torch.ones(7)}, "shape.pt")
        for file, counts in (("none.pt", "1 unexpected"), ("shape.pt", "1 of another shape")):
            result = paramctl("list", "spec.yaml", "--weights", file, "--no-strict")
            assert (result.code, result.out) == (2, "")
            assert counts in result.err
            assert "--no-strict loads" not in result.err
        refused = paramctl("list", "spec.yaml", "--no-strict")
        assert refused.err == "error: --no-strict: no checkpoint is loaded\n  hint: it speaks of --weights\n"

    def test_a_counter_of_batches_may_be_missing_as_for_torch(self, net, report):
        state = {name: each for name, each in net.state_dict().items() if "num_batches" not in name}
        assert len(state) < len(net.state_dict())
        save_file(state, "old.safetensors")
        rows = report("list", "spec.yaml", "--weights", "old.safetensors", "--values", "--buffers")["parameters"]
        assert [each["values"] for each in rows if "num_batches" in each["name"]] == [0]

    def test_what_a_cast_would_lose_is_refused(self, net, paramctl):
        torch.save({name: each.to(torch.complex64) for name, each in net.state_dict().items()}, "w.pt")
        result = paramctl("list", "spec.yaml", "--weights", "w.pt", "--stats")
        assert result.code == 2
        assert "is complex there, and float32 in the model: its imaginary part would be lost" in result.err

    def test_state_beside_the_tensors_of_a_module_is_none_of_them(self, paramctl, write):
        write(
            "import torch\nclass Net(torch.nn.Linear):\n    def __init__(self):\n        super().__init__(2, 1)\n"
            "    def get_extra_state(self): return torch.ones(3)\n    def set_extra_state(self, state): pass\n",
            "extra.py",
        )
        state = nn.Linear(2, 1).state_dict() | {"_extra_state": torch.ones(3)}
        torch.save(state, "w.pt")
        assert paramctl("list", "extra.py:Net", "--weights", "w.pt", "--stats").err == ""

    def test_a_tensor_whose_elements_are_one_in_memory_takes_no_values(self, paramctl, write):
        write(
            "import torch\nclass Net(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
            "        self.register_buffer('positions', torch.arange(5).expand(2, -1))\n",
            "expanded.py",
        )
        torch.save({"positions": torch.zeros(2, 5, dtype=torch.int64)}, "w.pt")
        result = paramctl("list", "expanded.py:Net", "--weights", "w.pt", "--stats")
        assert (result.code, result.out) == (2, "")
        assert "a tensor of [2, 5] takes no values: RuntimeError" in result.err

    def test_one_parameter_with_two_values_is_an_error(self, write, paramctl):
        write("layers: {a: {Linear: [2, 2]}, b: {Linear: [2, 2]}}\ntie: [[a.weight, b.weight]]\n")
        state = {
            f"{name}.{part}": torch.rand(2, 2) if part == "weight" else torch.ones(2)
            for name in "ab"
            for part in ("weight", "bias")
        }
        torch.save(state, "w.pt")
        result = paramctl("list", "spec.yaml", "--weights", "w.pt", "--stats")
        assert "a.weight and b.weight are one parameter of the model, and differ" in result.err
        torch.save(state | {"b.weight": state["a.weight"].clone()}, "w.pt")
        assert paramctl("list", "spec.yaml", "--weights", "w.pt", "--stats").code == 0

    @pytest.mark.parametrize(
        ("weights", "message"),
        [
            ("nothing.pt", "there is no file nothing.pt"),
            ("two", "two holds 2 checkpoints"),
            ("spec.yaml", "spec.yaml is no checkpoint"),
            (".", ". is no checkpoint"),
            ("", " is no checkpoint"),
        ],
    )
    def test_what_is_no_checkpoint_is_told(self, weights, message, net, paramctl):
        Path("two").mkdir()
        for name in ("a.safetensors", "b.safetensors"):
            save_file(net.state_dict(), f"two/{name}")
        result = paramctl("list", "spec.yaml", "--weights", weights)
        assert result.code == 2
        assert result.err.startswith(f"error: --weights: {message}")

    def test_a_checkpoint_takes_no_weights(self, net, paramctl):
        torch.save(net.state_dict(), "w.pt")
        assert paramctl("list", "w.pt", "--weights", "w.pt").code == 2
