from __future__ import annotations

import os
import pickle
import shutil
import warnings

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint import metadata as theirs

from paramctl.checkpoints.kinds import read_checkpoint
from paramctl.errors import ParamctlError


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    torch.manual_seed(0)
    directory = tmp_path_factory.mktemp("dcp")
    state = {"model": nn.Linear(3, 2).state_dict(), "optimizer": {"state": {"0": torch.ones(4)}}, "epoch": 3}
    with warnings.catch_warnings(action="ignore"):
        dcp.save(state, checkpoint_id=directory, no_dist=True)
    return directory


@pytest.fixture
def directory(original, tmp_path):
    shutil.copytree(original, tmp_path / "d")
    return tmp_path / "d"


def read(directory, key=None):
    return read_checkpoint(directory / ".metadata", "d/.metadata", key)


@pytest.fixture
def changed(directory):
    """Change the metadata as torch reads it, and read them."""

    def call(change):
        path = directory / ".metadata"
        held = pickle.loads(path.read_bytes())
        path.write_bytes(pickle.dumps(change(held) or held))
        with pytest.raises(ParamctlError) as caught:
            read(directory)
        return str(caught.value)

    return call


def test_the_weights_are_listed_and_lie_where_it_is_said(original):
    checkpoint = read(original)
    assert [(each.name, each.shape, each.dtype) for each in checkpoint.records] == [
        ("weight", (2, 3), "float32"),
        ("bias", (2,), "float32"),
    ]
    torch.manual_seed(0)
    (piece,) = checkpoint.locate("weight")
    content = piece.path.read_bytes()[piece.start : piece.start + piece.nbytes]
    assert content == nn.Linear(3, 2).weight.detach().numpy().tobytes()


def test_a_key_picks_another_part(original):
    assert [each.name for each in read(original, "optimizer").records] == ["state.0"]


def test_a_tensor_in_several_parts_has_a_piece_for_each(directory):
    held = pickle.loads((directory / ".metadata").read_bytes())
    (whole,) = held.state_dict_metadata["model.weight"].chunks
    halves = [theirs.ChunkStorageMetadata(torch.Size([i, 0]), torch.Size([1, 3])) for i in (0, 1)]
    held.state_dict_metadata["model.weight"].chunks = halves
    index = theirs.MetadataIndex("model.weight", torch.Size([0, 0]), 0)
    held.storage_data[theirs.MetadataIndex("model.weight", torch.Size([1, 0]), 1)] = held.storage_data[index]
    (directory / ".metadata").write_bytes(pickle.dumps(held))
    checkpoint = read(directory)
    assert checkpoint.records[0].shape == tuple(whole.sizes)
    with pytest.raises(ParamctlError, match=r"\[2, 3\] of float32 was saved there, not \[1, 3\] of float32"):
        checkpoint.locate("weight")


def test_a_missing_file_is_named(directory):
    (directory / "__0_0.distcp").unlink()
    with pytest.raises(ParamctlError, match=r"there is no file __0_0\.distcp"):
        read(directory)


def test_a_file_that_was_cut_is_named(directory):
    path = directory / "__0_0.distcp"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ParamctlError, match=r"__0_0\.distcp has [\d,]+ bytes; parts of tensors are said to end at"):
        read(directory)


class TestMetadataThatMislead:
    def test_a_path_out_of_the_directory(self, changed):
        def change(held):
            for place in held.storage_data.values():
                place.relative_path = "../x"

        assert "it lies at byte" in changed(change)

    def test_parts_that_are_not_the_whole(self, changed):
        assert "its parts do not make up a tensor of [2, 3]" in changed(
            lambda held: held.state_dict_metadata["model.weight"].chunks.clear()
        )

    def test_parts_that_overlap(self, changed):
        def change(held):
            tensor = held.state_dict_metadata["model.weight"]
            half = theirs.ChunkStorageMetadata(torch.Size([0, 0]), torch.Size([1, 3]))
            tensor.chunks = [half, half]

        assert "its parts do not make up a tensor of [2, 3]" in changed(change)

    @pytest.mark.parametrize("path", ["a" * 5000, "a\udfffb", "__0_0.distcp/x"])
    def test_a_path_that_no_file_has(self, path, changed):
        def change(held):
            for place in held.storage_data.values():
                place.relative_path = path

        assert "there is no file" in changed(change)

    def test_a_part_without_bytes(self, directory):
        held = pickle.loads((directory / ".metadata").read_bytes())
        for place in held.storage_data.values():
            place.length = 0
        (directory / ".metadata").write_bytes(pickle.dumps(held))
        with pytest.raises(ParamctlError, match=r"weight: the part at \[0, 0\] is said to have no bytes"):
            read(directory).locate("weight")

    @pytest.mark.parametrize("key", [10**5000, theirs.MetadataIndex("a"), (1, 2)], ids=["long", "object", "tuple"])
    def test_a_name_that_is_no_text(self, key, changed):
        def change(held):
            held.state_dict_metadata[key] = held.state_dict_metadata["model.weight"]

        assert "a key is an integer" in changed(change) or "is no tensor and no other value" in changed(change)

    @pytest.mark.parametrize("path", [("x",), (10**100, "w"), ("model", "bias"), [1]], ids=str)
    def test_paths_that_lead_nowhere_apart_leave_names_as_they_are(self, path, directory):
        held = pickle.loads((directory / ".metadata").read_bytes())
        held.planner_data = dict.fromkeys(held.planner_data, path)
        (directory / ".metadata").write_bytes(pickle.dumps(held))
        assert [each.name for each in read(directory).records] == ["model.weight", "model.bias", "optimizer.state.0"]

    def test_a_part_outside_of_its_tensor(self, changed):
        def change(held):
            (part,) = held.state_dict_metadata["model.weight"].chunks
            object.__setattr__(part, "offsets", torch.Size([1, 0]))

        assert "lies outside of [2, 3]" in changed(change)

    def test_no_place_of_a_tensor(self, changed):
        assert "model.weight: no file is told" in changed(lambda held: held.storage_data.clear())

    def test_something_else(self, changed):
        assert "these are no metadata" in changed(lambda held: {"a": 1})

    def test_a_class_that_does_not_belong_there(self, changed):
        class Evil:
            def __reduce__(self):
                return os.system, ("touch owned",)

        def change(held):
            held.planner_data = Evil()

        assert "it would import posix.system" in changed(change)

    def test_bytes_cut_anywhere(self, directory):
        path = directory / ".metadata"
        content = path.read_bytes()
        for length in range(0, len(content), 97):
            path.write_bytes(content[:length])
            with pytest.raises(ParamctlError):
                read(directory)
