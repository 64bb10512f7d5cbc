"""`init --out --max-shard-size`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

MLP = "example:mlp"
SPEC = "layers: [{Linear: [10, 10]}, {Linear: [10, 10]}, {Linear: [10, 10]}]"


def test_the_report_names_the_index_and_the_shards_as_they_were_typed(report, paramctl, write):
    spec = write(SPEC)
    write("", "sub/x")
    answer = report("init", spec, "--out", "sub/model.safetensors", "--max-shard-size", "1KB")
    assert answer["written"] == "sub/model.safetensors.index.json"
    assert answer["shards"] == [f"sub/model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    assert all(Path(path).is_file() for path in (answer["written"], *answer["shards"]))
    shown = paramctl("init", spec, "--out", "sub/model.safetensors", "--max-shard-size", "1KB").out
    assert shown.endswith("written to sub/model.safetensors.index.json and 2 shards\n")


def test_what_fits_is_written_to_the_file_itself(report, write):
    answer = report("init", write(SPEC), "--out", "model.safetensors", "--max-shard-size", "5GB")
    assert (answer["written"], answer["shards"]) == ("model.safetensors", [])
    assert [path.name for path in Path().iterdir() if path.suffix != ".yaml"] == ["model.safetensors"]
    assert report("init", MLP)["shards"] == []


def test_values_do_not_depend_on_shards_and_threads(report, write):
    spec = write(SPEC)
    report("init", spec, "--scheme", "normal", "--out", "one.safetensors")
    whole = safetensors.torch.load_file("one.safetensors")
    for threads in (1, 3):
        words = ("--out", "model.safetensors", "--max-shard-size", "500B", "--threads", threads)
        answer = report("init", spec, "--scheme", "normal", *words)
        loaded = {}
        for path in answer["shards"]:
            loaded |= safetensors.torch.load_file(path)
        assert loaded.keys() == whole.keys()
        assert all(torch.equal(loaded[name], whole[name]) for name in whole)


@pytest.mark.parametrize("name", ["model.safetensors.index.json", "sub/../model-00001-of-00009.safetensors"])
def test_no_report_is_written_where_a_part_of_the_model_may_be(name, paramctl, write):
    write("", "sub/x")
    words = ("init", MLP, "--out", "model.safetensors", "--output", name)
    result = paramctl(*words, "--max-shard-size", "1KB")
    assert result.code == 2
    assert result.err.startswith(
        f"error: --max-shard-size: {Path(name).name} is the file of --output too\n  hint: name another file"
    )
    assert not Path(name).exists()
    assert paramctl(*words).code == 0


def test_the_spec_is_not_written_over_by_an_index(paramctl, write):
    spec = write('{"layers": [{"Linear": [2, 1]}]}', "model.safetensors.index.json")
    result = paramctl("init", "model.safetensors.index.json", "--out", "model.safetensors", "--max-shard-size", "4B")
    assert result.code == 2
    assert spec.read_text() == '{"layers": [{"Linear": [2, 1]}]}'


def test_more_files_than_may_be_open_are_an_error_that_says_what_to_do(write, tmp_path):
    write("layers: [{Repeat: {times: 60, layer: {Linear: [1, 1]}}}]")
    command = (
        f'ulimit -n 40; exec "{sys.executable}" -m paramctl init spec.yaml --out x.safetensors --max-shard-size 1B'
    )
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert re.fullmatch(
        r"error: --out: cannot write x-000\d\d-of-00120\.safetensors: Too many open files\n"
        r"  hint: a larger --max-shard-size makes fewer files\n",
        done.stderr,
    )
    assert [path.name for path in tmp_path.iterdir()] == ["spec.yaml"]
