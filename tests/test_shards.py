"""The layout of shards, held against what huggingface_hub 2.4.0 does with the same sizes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paramctl.errors import ParamctlError
from paramctl.shards import index_path, index_text, is_part, older_files, parse_size, shard_path, split

INDEX_OF_HUGGINGFACE_HUB = """{
  "metadata": {
    "total_size": 145768,
    "head.weight": "embed.weight"
  },
  "weight_map": {
    "embed.weight": "model-00001-of-00003.safetensors",
    "fc1.weight": "model-00002-of-00003.safetensors",
    "fc1.bias": "model-00002-of-00003.safetensors",
    "norm.weight": "model-00002-of-00003.safetensors",
    "norm.bias": "model-00002-of-00003.safetensors",
    "norm.running_mean": "model-00003-of-00003.safetensors",
    "norm.running_var": "model-00003-of-00003.safetensors",
    "norm.num_batches_tracked": "model-00003-of-00003.safetensors",
    "fc2.weight": "model-00003-of-00003.safetensors",
    "fc2.bias": "model-00003-of-00003.safetensors"
  }
}"""
"""What `save_torch_model(net, directory, max_shard_size="70KB")` wrote for a net of these tensors."""
SIZES = {
    "embed.weight": 9600, "fc1.weight": 64000, "fc1.bias": 1600, "norm.weight": 1600, "norm.bias": 1600,
    "norm.running_mean": 1600, "norm.running_var": 1600, "norm.num_batches_tracked": 8, "fc2.weight": 64000, "fc2.bias": 160,
}  # fmt: skip


@pytest.mark.parametrize(
    ("size", "nbytes"),
    [
        ("5GB", 5 * 10**9), ("500MB", 5 * 10**8), ("200KB", 200_000), ("2TB", 2 * 10**12), ("1.5GB", 1_500_000_000),
        ("0.3GB", 300_000_000), ("2GiB", 2**31), ("1.5MiB", 3 * 2**19), ("1 KiB", 1024), ("100B", 100), ("7", 7),
    ],
)  # fmt: skip
def test_a_size_is_read_to_the_byte(size, nbytes):
    assert parse_size(size, "--max-shard-size") == nbytes


@pytest.mark.parametrize(
    ("size", "message", "hint"),
    [
        ("5gb", "'5gb' has no unit of bytes", "did you mean 'GB'?"),
        ("5Gb", "'5Gb' has no unit of bytes", "did you mean 'GB'?"),
        ("5G", "'5G' has no unit of bytes", "did you mean 'GB'?"),
        ("5bytes", "'5bytes' has no unit of bytes", "one of B, KB, MB, GB"),
        ("5 000MB", "'5 000MB' is no size", "such as 5GB"),
        ("big", "'big' is no size", "such as 5GB"),
        ("", "'' is no size", "such as 5GB"),
        ("-5GB", "'-5GB' is no size", "such as 5GB"),
        ("9" * 5000, "is no size", "such as 5GB"),
        ("0", "'0' is less than a byte", "such as 5GB"),
        ("0.5B", "'0.5B' is less than a byte", "such as 5GB"),
    ],
)
def test_what_is_no_size_is_refused_with_a_hint(size, message, hint):
    with pytest.raises(ParamctlError) as caught:
        parse_size(size, "--max-shard-size")
    (problem,) = caught.value.problems
    assert problem.where == "--max-shard-size"
    assert message in problem.message
    assert hint in problem.hint


@pytest.mark.parametrize(
    ("sizes", "shards"),
    [
        ([6, 6, 2, 6, 2, 2], [[0], [1, 2], [3, 4, 5]]),
        ([2, 11, 2, 12, 7], [[1], [3], [0, 2], [4]]),
        ([2, 10, 10], [[0], [1], [2]]),
        ([5, 5, 0], [[0, 1, 2]]),
        ([0, 11], [[1], [0]]),
        ([11], [[0]]),
        ([], []),
    ],
)
def test_shards_are_filled_as_by_huggingface_hub(sizes, shards):
    assert split({str(i): size for i, size in enumerate(sizes)}, 10) == [[str(i) for i in shard] for shard in shards]


@given(st.lists(st.integers(0, 20)), st.integers(1, 25))
def test_every_tensor_is_in_one_shard_and_only_a_tensor_alone_is_above_the_limit(sizes, limit):
    named = {str(i): size for i, size in enumerate(sizes)}
    shards = split(named, limit)
    assert sorted(name for shard in shards for name in shard) == sorted(named)
    for shard in shards:
        assert sum(named[name] for name in shard) <= limit or len(shard) == 1
        assert shard == sorted(shard, key=int)
        assert shard


def test_names_and_index_are_those_of_huggingface_hub(tmp_path):
    out = tmp_path / "model.safetensors"
    parts = split(SIZES, parse_size("70KB", ""))
    shards = {shard_path(out, number, len(parts)): part for number, part in enumerate(parts, 1)}
    assert index_text(shards, sum(SIZES.values()), {"head.weight": "embed.weight"}) == INDEX_OF_HUGGINGFACE_HUB + "\n"
    assert index_path(out) == tmp_path / "model.safetensors.index.json"


def test_a_tie_called_total_size_does_not_hide_the_size(tmp_path):
    assert json.loads(index_text({}, 3, {"total_size": "a"}))["metadata"] == {"total_size": 3}


def test_what_the_parts_of_a_model_are_called_is_known_before_there_are_any(tmp_path):
    out = tmp_path / "m.v1.safetensors"
    names = {"m.v1.safetensors.index.json": True, "m.v1-00001-of-00002.safetensors": True, "m.v1.safetensors": False,
             "m-v1-00001-of-00002.safetensors": False, "m.v1-1-of-2.safetensors": False, "m.v1-00001-of-00002.pt": False}  # fmt: skip
    assert {name: is_part(tmp_path / name, out) for name in names} == names
    assert is_part(shard_path(out, 123_456, 200_000), out)
    assert not is_part(tmp_path / "other" / "m.v1.safetensors.index.json", out)


class TestOlderFiles:
    def test_they_are_the_file_or_the_index_with_what_it_lists(self, tmp_path):
        out = tmp_path / "model.safetensors"
        listed = [shard_path(out, number, 2) for number in (1, 2)]
        for path in (out, *listed, shard_path(out, 1, 9)):
            path.touch()
        index_path(out).write_text(index_text({path: [path.name] for path in listed}, 0, {}))
        assert older_files(out, []) == [index_path(out), *listed]
        assert older_files(out, [shard_path(out, number, 3) for number in (1, 2, 3)]) == [out, *listed]
        assert older_files(out, listed) == [out]

    @pytest.mark.parametrize(
        "index",
        ["", "[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": 1, "b": null}}',
         '{"weight_map": {"a": "../precious.safetensors", "b": "precious.safetensors", "c": "sub/model-00001-of-00002.safetensors"}}'],
    )  # fmt: skip
    def test_nothing_is_taken_from_an_index_that_lists_no_shards_of_this_name(self, index, tmp_path):
        (tmp_path / "here/sub").mkdir(parents=True)
        out = tmp_path / "here" / "model.safetensors"
        for name in ("../precious.safetensors", "precious.safetensors", "sub/model-00001-of-00002.safetensors"):
            out.with_name(name).touch() if "/" not in name else (out.parent / name).touch()
        index_path(out).write_text(index)
        assert older_files(out, []) == [index_path(out)]
