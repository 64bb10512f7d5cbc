"""`paramctl shared` on checkpoints: the memory that a pickle tells of, and values that are compared in the files."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import save_file, save_model
from torch import nn

MODEL = """
import torch
from torch import nn

def counted(*shape):
    return nn.Parameter(torch.arange(float(torch.Size(shape).numel())).view(shape))

class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(6, 4)
        self.embed.weight = counted(6, 4)
        self.head = nn.Linear(4, 6, bias=False)
        self.head.weight = self.embed.weight
        self.encoder = counted(5, 3)
        self.first = nn.Parameter(self.encoder.data[0])
        self.decoder = nn.Parameter(self.encoder.data.t())
        window = torch.rand(48)
        self.low, self.high = nn.Parameter(window[:32]), nn.Parameter(window[16:])
        fused = torch.rand(12, 4)
        self.query, self.key = nn.Parameter(fused[:6]), nn.Parameter(fused[6:])
        pairs = torch.rand(7, 2)
        self.even, self.odd = nn.Parameter(pairs[:, 0]), nn.Parameter(pairs[:, 1])
        self.piece = nn.Parameter(torch.rand(100)[10:20])
        self.copy = nn.Parameter(self.encoder.data.clone())
        self.turned = nn.Parameter(self.encoder.data.t().contiguous().t())
        self.other = nn.Parameter(self.encoder.data.t().clone())
        self.ones, self.more_ones = nn.Parameter(torch.ones(9)), nn.Parameter(torch.ones(9))
"""


@pytest.fixture
def tied(write):
    """The model of `model.py`, as live as in the command."""
    write(MODEL, "model.py")
    held: dict[str, type[nn.Module]] = {}
    exec(MODEL, held)
    return held["Tied"]()


def told(report):
    """Return what a report says of memory; a checkpoint has no Parameters, and a live one's tie is one memory there."""
    names = {"same-parameter": "same-storage", "same-module": "same-storage"}
    groups = [{**each, "relation": names.get(each["relation"], each["relation"])} for each in report["groups"]]
    return groups, report["totals"], report["storages"]


@pytest.mark.parametrize("new_form", [True, False])
@pytest.mark.parametrize("options", [(), ("--by-value",)])
def test_a_state_dict_shares_what_the_live_model_does(new_form, options, tied, report):
    torch.save(tied.state_dict(), "x.pt", _use_new_zipfile_serialization=new_form)
    live, saved = (report("shared", model, *options) for model in ("model.py:Tied", "x.pt"))
    assert told(saved) == told(live)
    found = [(each["relation"], each["names"]) for each in saved["groups"]]
    assert ("same-storage", ["encoder", "decoder"]) in found
    assert ("overlap", ["encoder", "first", "decoder"]) in found
    assert ("overlap", ["low", "high"]) in found
    by_value = [names for relation, names in found if relation == "same-values"]
    assert by_value == ([["encoder", "copy", "turned"], ["decoder", "other"]] if options else [])


def test_names_are_in_the_order_of_the_file_where_a_tie_is_one_row(tied, report):
    base = torch.arange(12.0).view(3, 4)
    torch.save({"a": base, "b": base.t(), "c": base}, "x.pt")
    assert [row["aliases"] for row in report("list", "x.pt")["parameters"]] == [["c"], []]
    assert report("shared", "x.pt")["groups"] == [
        {"relation": "same-storage", "names": ["a", "b", "c"], "shape": None, "numel": 12, "nbytes": 48, "saved_nbytes": 96, "views": [None, "transposed", None]},
    ]  # fmt: skip


def test_slices_and_unused_bytes_of_one_storage_are_told(write, paramctl):
    write("")
    base = torch.rand(1000)
    torch.save({"q": base[:10], "k": base[10:20]}, "x.pt")
    shown = paramctl("shared", "x.pt")
    assert "q and k are slices of one storage, 2 parts without an element in common" in shown.err
    assert "3,920 bytes of the storages that parameters lie in belong to none of them" in shown.err


def test_a_part_of_a_nested_checkpoint_is_looked_at_alone(tied, report):
    state = tied.state_dict()
    torch.save({"model": state, "ema": {name: each.clone() for name, each in state.items()}, "step": 3}, "x.pt")
    assert told(report("shared", "x.pt")) == told(report("shared", "model.py:Tied"))
    groups = report("shared", "x.pt", "--key", "ema", "--by-value")["groups"]
    assert ("same-values", ["embed.weight", "head.weight"]) in [(each["relation"], each["names"]) for each in groups]
    torch.save({f"net.{name}": each for name, each in state.items()} | {"step": torch.ones(1)}, "flat.pt")
    assert told(report("shared", "flat.pt", "--key", "net")) == told(report("shared", "model.py:Tied"))


def indexed(shards, ending, save):
    """Write shards and their index."""
    for file, state in shards.items():
        save(state, file)
    weight_map = {name: file for file, state in shards.items() for name in state}
    path = f"model.{ending}.index.json"
    Path(path).write_text(json.dumps({"weight_map": weight_map}))
    return path


class TestShards:
    def test_duplicates_in_different_shards_are_found(self, write, report):
        write("")
        torch.manual_seed(0)
        weight = torch.randn(300, 400)
        shards = {
            "1.safetensors": {"a": weight, "b": torch.randn(300, 400)},
            "2.safetensors": {"c": weight.clone(), "d": weight.t().contiguous()},
            "3.safetensors": {"e": weight.half()},
        }
        index = indexed(shards, "safetensors", save_file)
        assert report("shared", index)["groups"] == []
        answer = report("shared", index, "--by-value")
        assert [(each["relation"], each["names"]) for each in answer["groups"]] == [("same-values", ["a", "c"])]
        assert answer["duplicate_nbytes"] == 480_000

    def test_the_storages_of_two_files_are_never_one(self, write, report):
        write("")
        first, second = torch.rand(4, 4), torch.rand(4, 4)
        shards = {
            "1.bin": {"a": first, "b": first.t()},
            "2.bin": {"c": second, "d": second[1], "e": first.clone()},
        }
        index = indexed(shards, "bin", torch.save)
        groups = report("shared", index, "--by-value")["groups"]
        assert [(each["relation"], each["names"]) for each in groups] == [
            ("same-storage", ["a", "b"]),
            ("same-values", ["a", "e"]),
            ("overlap", ["c", "d"]),
        ]

    def test_names_behind_a_prefix_keep_their_memory(self, write, report):
        write("")
        base = torch.rand(4, 4)
        shards = {"1.bin": {"net.a": base, "net.b": base.t(), "step": base[0]}, "2.bin": {"net.c": torch.rand(4, 4)}}
        groups = report("shared", indexed(shards, "bin", torch.save), "--key", "net")["groups"]
        assert [(each["relation"], each["names"]) for each in groups] == [("same-storage", ["a", "b"])]


def test_a_tie_of_save_model_is_one_tensor_and_a_broken_one_equal_values(write, report):
    write("")
    net = nn.ModuleDict({"embed": nn.Embedding(30, 20), "head": nn.Linear(20, 30, bias=False)})
    net["head"].weight = net["embed"].weight
    save_model(net, "tied.safetensors")
    (group,) = report("shared", "tied.safetensors", "--by-value")["groups"]
    assert (group["relation"], sorted(group["names"])) == ("same-storage", ["embed.weight", "head.weight"])
    save_file({name: each.clone() for name, each in net.state_dict().items()}, "broken.safetensors")
    (group,) = report("shared", "broken.safetensors", "--by-value")["groups"]
    assert (group["relation"], sorted(group["names"])) == ("same-values", ["embed.weight", "head.weight"])


def test_a_distributed_checkpoint_is_compared_by_value(write, report):
    write("")
    weight = torch.rand(30, 20)
    state = {"a": weight, "b": weight.clone(), "c": torch.rand(30, 20)}
    with warnings.catch_warnings(action="ignore"):
        dcp.save(state, checkpoint_id="saved", no_dist=True)
    assert [each["names"] for each in report("shared", "saved", "--by-value")["groups"]] == [["a", "b"]]


class TestExpectations:
    @pytest.fixture(autouse=True)
    def _file(self, tied):
        torch.save(tied.state_dict(), "x.pt")

    def test_a_tie_in_the_file_exits_with_0(self, paramctl):
        done = paramctl(
            "shared", "x.pt", "--expect", "head.weight=embed.weight", "--expect", "encoder=decoder", "--format", "json"
        )
        assert [(each["found"], each["met"]) for each in done.json["expectations"]] == [("same-storage", True)] * 2

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--expect", "low=high"], "expected low = high: they have some elements in common, not all"),
            (["--expect", "query=key"], "expected query = key: they share nothing"),
            (
                ["--by-value", "--expect", "encoder=copy"],
                "expected encoder = copy: they are equal values in different memory",
            ),
            (["--expect-none"], "expected nothing to be shared: 4 groups are, "),
        ],
    )
    def test_what_is_not_as_expected_exits_with_1(self, words, message, paramctl):
        done = paramctl("shared", "x.pt", *words)
        assert (done.code, message in done.err) == (1, True)

    def test_a_name_that_is_not_there_is_an_error(self, paramctl):
        done = paramctl("shared", "x.pt", "--expect", "encoder=decodr")
        assert done.code == 2
        assert "did you mean 'decoder'?" in done.err


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (["--survival"], ["x.pt is a checkpoint: no model can be built", "name the spec or the Python code"]),
        (["--dtype", "float16"], ["--dtype: a checkpoint is not cast"]),
    ],
)
def test_what_needs_a_model_says_what_to_name_instead(words, messages, tied, paramctl):
    torch.save(tied.state_dict(), "x.pt")
    done = paramctl("shared", "x.pt", *words)
    assert (done.code, done.out) == (2, "")
    assert all(message in done.err for message in messages)


def test_what_cannot_be_compared_is_named(write, paramctl):
    write("")
    sparse, other = torch.eye(3).to_sparse(), torch.ones(3, 3).to_sparse()
    torch.save({"s": sparse, "tied": sparse, "other": other, "a": torch.eye(3), "b": torch.eye(3)}, "x.pt")
    done = paramctl("shared", "x.pt", "--by-value", "--format", "json")
    assert [(each["relation"], each["names"]) for each in done.json["groups"]] == [
        ("same-storage", ["s", "tied"]),
        ("same-values", ["a", "b"]),
    ]
    assert done.err == "note: not compared by value: s and other: it is sparse\n"


def test_relations_are_told_without_torch(tied, process):
    torch.save(tied.state_dict(), "x.pt")
    code = "import sys; from paramctl.cli.main import run; run(['shared', 'x.pt']); sys.exit('torch' in sys.modules)"
    assert process(code=code).code == 0
