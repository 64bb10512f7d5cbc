"""Shards of a model's state, read back by the libraries that others use."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from torch import nn

from paramctl.errors import ParamctlError
from paramctl.tensors.writing.saving import Target, notes_on, plan_target, state_names, writing_state

LIMIT = 4000
"""Of the 1,200 + 40 + 4,000 + 400 + 1,680 bytes below it makes three shards."""


class Net(nn.Module):
    """Its head is tied to its embedding."""

    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.embed = nn.Embedding(30, 10)
        self.bias = nn.Parameter(torch.rand(10))
        self.wide = nn.Linear(10, 100)
        self.norm = nn.BatchNorm1d(10)
        self.half = nn.Linear(20, 40, dtype=torch.bfloat16)
        self.head = nn.Linear(10, 30, bias=False)
        self.head.weight = self.embed.weight


def save(path, net, limit=LIMIT):
    with writing(path, net, limit) as (target, put):
        for tensor in (*net.parameters(), *net.buffers()):
            put(id(tensor), 0, tensor)
    return target


@contextmanager
def writing(path, net, limit=LIMIT):
    tensors = {id(tensor): tensor for tensor in (*net.parameters(), *net.buffers())}
    names, _ = state_names(net)
    target = plan_target(path, tensors, names, limit)
    with writing_state(target, tensors, names, net) as put:
        yield target, put


def names_in(directory):
    return sorted(path.name for path in directory.iterdir())


def load(index):
    """Load what an index lists, each tensor from its shard."""
    weight_map = json.loads(index.read_text())["weight_map"]
    shards = {name: safetensors.torch.load_file(index.with_name(name)) for name in sorted(set(weight_map.values()))}
    assert sorted(weight_map) == sorted(name for shard in shards.values() for name in shard)
    return {name: shards[shard][name] for name, shard in weight_map.items()}


def test_every_tensor_is_where_the_index_says_with_the_bytes_that_one_file_has(tmp_path):
    save(tmp_path / "one.safetensors", Net(), None)
    target = save(tmp_path / "model.safetensors", Net())
    assert target.written == tmp_path / "model.safetensors.index.json"
    assert names_in(tmp_path) == [
        "model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors",
        "model.safetensors.index.json", "one.safetensors",
    ]  # fmt: skip
    whole, loaded = safetensors.torch.load_file(tmp_path / "one.safetensors"), load(target.written)
    assert whole.keys() == loaded.keys()
    assert all(whole[name].dtype == loaded[name].dtype for name in whole)
    assert all(torch.equal(whole[name], loaded[name]) for name in whole)
    total = json.loads(target.written.read_text())["metadata"]["total_size"]
    assert total == sum(tensor.nbytes for tensor in whole.values())


def test_a_model_that_ties_itself_takes_shard_after_shard(tmp_path):
    target = save(tmp_path / "model.safetensors", Net())
    other = Net(seed=1)
    for shard in target.shards:
        assert other.load_state_dict(safetensors.torch.load_file(shard), strict=False).unexpected_keys == []
    assert other.head.weight is other.embed.weight
    assert all(
        torch.equal(ours, theirs)
        for ours, theirs in zip(Net().state_dict().values(), other.state_dict().values(), strict=True)
    )


def test_a_tie_is_noted_in_the_index_and_in_the_shard_that_has_the_tensor(tmp_path):
    target = save(tmp_path / "model.safetensors", Net())
    assert json.loads(target.written.read_text())["metadata"]["head.weight"] == "embed.weight"
    for path in target.shards:
        with safe_open(path, "pt") as shard:
            tie = {"head.weight": "embed.weight"} if "embed.weight" in set(shard.keys()) else {}
            assert shard.metadata() == {"format": "pt"} | tie
    (note,) = notes_on(target, state_names(Net())[0])
    assert note.startswith("head.weight: stored under the first of its names; a model that ties them itself")


def test_what_fits_into_one_file_has_no_index(tmp_path):
    target = save(tmp_path / "model.safetensors", Net(), 10**6)
    assert (target.written, target.shards) == (tmp_path / "model.safetensors", {})
    assert names_in(tmp_path) == ["model.safetensors"]
    save(tmp_path / "empty.safetensors", nn.ReLU(), 1)
    assert safetensors.torch.load_file(tmp_path / "empty.safetensors") == {}


def test_equal_states_have_equal_bytes(tmp_path):
    for directory in ("a", "b"):
        (tmp_path / directory).mkdir()
        save(tmp_path / directory / "model.safetensors", Net())
    for name in names_in(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


class TestInterruptions:
    def test_nothing_has_its_name_before_all_is_written_and_nothing_is_left_after_a_failure(self, tmp_path):
        out, net = tmp_path / "model.safetensors", Net()
        with pytest.raises(KeyboardInterrupt), writing(out, net) as (_, put):
            put(id(net.wide.weight), 0, net.wide.weight)
            assert all(name.startswith(".") for name in names_in(tmp_path))
            assert names_in(tmp_path)
            raise KeyboardInterrupt
        assert names_in(tmp_path) == []

    def test_a_failure_leaves_the_model_that_was_there(self, tmp_path):
        out = tmp_path / "model.safetensors"
        save(out, Net(seed=1))
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        with pytest.raises(KeyboardInterrupt), writing(out, Net()):
            raise KeyboardInterrupt
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before

    def test_no_index_lists_a_mixture_where_renaming_fails_half_way(self, tmp_path):
        out = tmp_path / "model.safetensors"
        old = save(out, Net(seed=1))
        second = list(old.shards)[1]
        with pytest.raises(ParamctlError, match=rf"cannot write {second}"), writing(out, Net()):
            second.unlink()
            second.mkdir()
        assert not old.written.exists()
        assert not any(name.endswith(".part") for name in names_in(tmp_path))

    def test_what_the_disk_cannot_hold_together_is_refused_before_it_is_written(self, tmp_path):
        net = nn.ParameterList([torch.empty(2**47, device="meta") for _ in range(4)])
        with (
            pytest.raises(ParamctlError, match=r"the shards would take 2\.0 PiB of disk; .* are free"),
            writing(tmp_path / "x.safetensors", net, 2**50),
        ):
            pass
        assert names_in(tmp_path) == []

    def test_a_dtype_that_the_format_lacks_is_refused_and_no_file_is_left(self, tmp_path):
        net = nn.ParameterList([torch.zeros(2), torch.zeros(2, dtype=torch.complex128)])
        with pytest.raises(ParamctlError, match="safetensors cannot hold 1, of dtype complex128"):
            save(tmp_path / "x.safetensors", net, 8)
        assert names_in(tmp_path) == []


class TestWhatWasThereBefore:
    def test_shards_of_another_number_go_with_their_index(self, tmp_path):
        out = tmp_path / "model.safetensors"
        old = save(out, Net(), 1200)
        new = save(out, Net(seed=1))
        assert len(old.shards) > len(new.shards)
        assert names_in(tmp_path) == sorted(path.name for path in (*new.shards, new.written))
        assert torch.equal(load(new.written)["wide.weight"], Net(seed=1).wide.weight)
        first, *_ = old.shards
        assert f"removed {first}, " in notes_on(new, {})[0]

    def test_one_file_goes_for_shards_and_shards_for_one_file(self, tmp_path):
        out = tmp_path / "model.safetensors"
        save(out, Net(), None)
        save(out, Net())
        assert not out.exists()
        save(out, Net(), 10**6)
        assert names_in(tmp_path) == ["model.safetensors"]

    def test_without_a_limit_shards_stay_and_a_note_warns_of_their_index(self, tmp_path):
        out = tmp_path / "model.safetensors"
        shards = save(out, Net())
        target = save(out, Net(), None)
        assert names_in(tmp_path) == sorted(path.name for path in (*shards.shards, shards.written, out))
        assert notes_on(target, {}) == [
            f"{shards.written} stands beside model.safetensors, and some loaders of the directory take the model that it lists"
        ]
        assert notes_on(Target(tmp_path / "x.pt"), {}) == []

    def test_a_shard_that_is_a_link_is_replaced_where_it_leads(self, tmp_path):
        (tmp_path / "blobs").mkdir()
        (tmp_path / "models").mkdir()
        out = tmp_path / "models" / "model.safetensors"
        old = save(out, Net(seed=1))
        for i, path in enumerate((*old.shards, old.written)):
            path.rename(tmp_path / "blobs" / str(i))
            path.symlink_to(tmp_path / "blobs" / str(i))
        new = save(out, Net())
        assert all(path.is_symlink() for path in (*new.shards, new.written))
        assert torch.equal(load(new.written)["wide.weight"], Net().wide.weight)
