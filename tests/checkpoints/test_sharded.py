from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from paramctl.checkpoints.directory import find_checkpoint
from paramctl.checkpoints.kinds import read_checkpoint
from paramctl.errors import ParamctlError


@pytest.fixture
def sharded(tmp_path):
    """Write shards and an index, and read it."""

    def call(shards, weight_map=None, suffix=".safetensors", **more):
        for name, tensors in shards.items():
            (save_file if suffix == ".safetensors" else torch.save)(tensors, tmp_path / f"{name}{suffix}")
        told = {key: f"{name}{suffix}" for name, tensors in shards.items() for key in tensors}
        index = tmp_path / f"model{suffix}.index.json"
        index.write_text(json.dumps({"metadata": {}, "weight_map": told if weight_map is None else weight_map} | more))
        return read_checkpoint(index, "i.json")

    return call


SHARDS = {"one": {"h.0.w": torch.ones(2), "h.10.w": torch.ones(3)}, "two": {"h.2.w": torch.zeros(4)}}


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_the_tensors_of_all_files_are_listed_in_model_order(suffix, sharded, tmp_path):
    checkpoint = sharded(
        SHARDS,
        suffix=suffix,
        weight_map=dict(sorted({f"h.{i}.w": f"{'two' if i == 2 else 'one'}{suffix}" for i in (0, 2, 10)}.items())),
    )
    assert [(each.name, each.shape) for each in checkpoint.records] == [
        ("h.0.w", (2,)),
        ("h.2.w", (4,)),
        ("h.10.w", (3,)),
    ]
    assert checkpoint.locate("h.2.w")[0].path == tmp_path / f"two{suffix}"


def test_what_is_in_the_files_and_not_in_the_index_is_noted(sharded):
    checkpoint = sharded(SHARDS, {"h.0.w": "one.safetensors"})
    assert [each.name for each in checkpoint.records] == ["h.0.w"]
    assert checkpoint.notes == ("not shown, since i.json does not list them: tensors in its files, 1 in number",)


@pytest.mark.parametrize(
    ("weight_map", "messages"),
    [
        (
            {"h.0.w": "three.safetensors", "h.2.w": "four.safetensors"},
            ["three.safetensors: it cannot be read", "four.safetensors: it cannot be read"],
        ),
        (
            {"h.0.w": "two.safetensors", "h.10.w": "one.safetensors"},
            ["h.0.w: there is no such tensor in two.safetensors; it is in one"],
        ),
        (
            {"h.2.w": "one.safetensors", "h.0.w": "two.safetensors"},
            ["h.2.w: there is no such tensor in one.safetensors; it is in two", "h.0.w: there is no such"],
        ),
        (
            {"h.0.w": "../one.safetensors"},
            ["h.0.w: its file is '../one.safetensors': the files of an index lie beside it"],
        ),
        ({"h.0.w": "/etc/passwd"}, ["h.0.w: its file is '/etc/passwd'"]),
        ({"h.0.w": "C:\\one.safetensors"}, ["h.0.w: its file is"]),
        ({"h.0.w": ""}, ["h.0.w: its file is ''"]),
        ({"h.0.w": "a/../../one.safetensors"}, ["h.0.w: its file is"]),
        ({"h.0.w": 1}, ["h.0.w: its file is a number, not a text"]),
        ([], ["the index has a list as 'weight_map'"]),
    ],
)
def test_an_index_that_misleads_is_refused(weight_map, messages, sharded):
    with pytest.raises(ParamctlError) as caught:
        sharded(SHARDS, weight_map)
    for message in messages:
        assert message in str(caught.value)


def test_an_index_that_is_no_json_or_has_no_map_is_refused(tmp_path):
    path = tmp_path / "x.safetensors.index.json"
    for content, message in (
        (b"{", "byte 1: the index is no JSON"),
        (b"{}", "the index has no 'weight_map'"),
        (b'{"weight_map":{"a":"1","a":"2"}}', "a: the index has this name twice"),
        (b"[" * 10**5, "byte 100: the index is nested too deeply"),
    ):
        path.write_bytes(content)
        with pytest.raises(ParamctlError, match=r"i\.json") as caught:
            read_checkpoint(path, "i.json")
        assert message in str(caught.value)


def test_a_shard_that_is_a_link_to_itself_is_refused(sharded, tmp_path):
    (tmp_path / "loop.safetensors").symlink_to("loop.safetensors")
    with pytest.raises(ParamctlError, match=r"loop\.safetensors: it cannot be read"):
        sharded(SHARDS, {"h.0.w": "loop.safetensors"})


@pytest.mark.parametrize("shard", ["i.safetensors.index.json", "other.safetensors.index.json", "x.json"])
def test_an_index_that_names_an_index_is_refused(shard, sharded):
    with pytest.raises(ParamctlError, match=rf"w: its file is '{shard}': no index names another"):
        sharded(SHARDS, {"w": shard})


def test_an_index_of_more_files_than_there_can_be_is_refused_before_any_is_opened(sharded):
    with pytest.raises(ParamctlError, match="the index names 100,001 files; 100,000 are read"):
        sharded(SHARDS, {f"{i}": f"{i}.safetensors" for i in range(100_001)})


class TestTies:
    @pytest.fixture
    def tied(self, sharded, tmp_path):
        """Write two files, in the first of which `b` is a tie of `a`, and read an index of them."""

        def call(weight_map, second="c"):
            save_file({"a": torch.ones(2)}, tmp_path / "one.safetensors", {"b": "a"})
            save_file({second: torch.zeros(3)}, tmp_path / "two.safetensors", {"b": second} if second != "c" else None)
            return sharded({}, weight_map)

        return call

    def test_a_name_that_the_index_leaves_out_is_told_all_the_same(self, tied):
        checkpoint = tied({"a": "one.safetensors"})
        assert [each.names for each in checkpoint.records] == [("a", "b")]

    def test_a_tensor_that_is_listed_by_another_name_alone_is_found(self, tied, tmp_path):
        checkpoint = tied({"b": "one.safetensors"})
        assert [each.names for each in checkpoint.records] == [("a", "b")]
        assert checkpoint.locate("a")[0].path == tmp_path / "one.safetensors"

    def test_a_name_is_that_of_the_file_which_the_index_says(self, tied, tmp_path):
        checkpoint = tied({"b": "one.safetensors", "a": "two.safetensors"}, second="a")
        assert [each.names for each in checkpoint.records] == [("b",), ("a",)]
        assert [checkpoint.locate(name)[0].path.name for name in "ba"] == ["one.safetensors", "two.safetensors"]

    def test_a_name_of_two_files_that_the_index_does_not_list_is_refused(self, tied):
        with pytest.raises(ParamctlError, match=r"b: one\.safetensors and two\.safetensors both have this name"):
            tied({"a": "one.safetensors", "d": "two.safetensors"}, second="d")


class TestDirectories:
    ORDER = (
        "m.safetensors.index.json", "model.safetensors", "other.safetensors", "pytorch_model.bin.index.json",
        "pytorch_model.bin", ".metadata", "last.ckpt",
    )  # fmt: skip

    @pytest.mark.parametrize("first", range(7))
    def test_the_first_kind_that_is_there_is_meant(self, first, tmp_path):
        for name in self.ORDER[first:]:
            (tmp_path / name).touch()
        assert find_checkpoint(tmp_path, "x") == tmp_path / self.ORDER[first]

    def test_several_that_fit_alike_are_named(self, tmp_path):
        for name in ("a.safetensors", "b.safetensors"):
            (tmp_path / name).touch()
        with pytest.raises(ParamctlError, match="x holds 2 checkpoints") as caught:
            find_checkpoint(tmp_path, "x")
        assert "a.safetensors" in str(caught.value)
        assert "b.safetensors" in str(caught.value)

    def test_a_directory_without_any_holds_none(self, tmp_path):
        (tmp_path / "sub.safetensors").mkdir()
        (tmp_path / "spec.yaml").touch()
        assert find_checkpoint(tmp_path, "x") is None
