"""Files of a model's state, read back by the libraries that others use."""

from __future__ import annotations

import os
import threading

import pytest
import safetensors.torch
import torch
from torch import nn

from paramctl.errors import ParamctlError
from paramctl.tensors.building.build import build
from paramctl.tensors.initializing.materialize import materialize, plan_drawings
from paramctl.tensors.writing import safetensors_file
from paramctl.tensors.writing.saving import Target, check_out, notes_on, plan_target, state_names, writing_state

TEXT = (
    "layers: {embed: {Embedding: [6, 4]}, norm: {BatchNorm1d: 4}, fc: &fc {Linear: [4, 4]}, again: *fc, head: {Linear: [4, 6]}}\n"
    "tie: [[embed.weight, head.weight]]"
)


def save(path, net, max_shard_size=None):
    tensors = {id(tensor): tensor for tensor in (*net.parameters(), *net.buffers())}
    names, _ = state_names(net)
    target = plan_target(path, tensors, names, max_shard_size)
    with writing_state(target, tensors, names, net) as put:
        for key, tensor in tensors.items():
            put(key, 0, tensor)
    return target


def write(path, tensors, metadata):
    with safetensors_file.writing(path, tensors, metadata) as place:
        for name, tensor in reversed(tensors.items()):
            place(name, 0, tensor)


@pytest.fixture
def net(spec):
    built = build(spec(TEXT), seed=0)
    drawings, _ = plan_drawings(built.net, built.programs, ())
    materialize(built.net, drawings, built.programs, 0)
    return built.net


def test_safetensors_loads_into_the_model_by_load_model(net, spec, tmp_path):
    save(tmp_path / "x.safetensors", net)
    other = build(spec(TEXT), seed=1)
    drawings, _ = plan_drawings(other.net, other.programs, ())
    materialize(other.net, drawings, other.programs, 1)
    missing, unexpected = safetensors.torch.load_model(other.net, tmp_path / "x.safetensors")
    assert (list(missing), list(unexpected)) == ([], [])
    assert all(
        torch.equal(ours, theirs)
        for ours, theirs in zip(net.state_dict().values(), other.net.state_dict().values(), strict=True)
    )


def test_a_tie_is_stored_once_under_its_first_name(net, tmp_path):
    save(tmp_path / "x.safetensors", net)
    with safetensors.safe_open(tmp_path / "x.safetensors", "pt") as file:
        assert set(file.keys()) == {
            "embed.weight", "head.bias", "fc.weight", "fc.bias", "norm.weight", "norm.bias", "norm.running_mean",
            "norm.running_var", "norm.num_batches_tracked",
        }  # fmt: skip
        assert file.metadata() == {
            "format": "pt",
            "head.weight": "embed.weight",
            "again.weight": "fc.weight",
            "again.bias": "fc.bias",
        }


def test_buffers_of_a_module_that_is_used_twice_are_stored_once_too(tmp_path):
    norm = nn.BatchNorm1d(2)
    save(tmp_path / "x.safetensors", nn.Sequential(norm, norm))
    with safetensors.safe_open(tmp_path / "x.safetensors", "pt") as file:
        assert file.metadata()["1.running_mean"] == "0.running_mean"
        assert "1.running_mean" not in set(file.keys())


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin"])
def test_a_pickle_holds_the_state_dict_and_keeps_what_is_shared(suffix, net, tmp_path):
    save(tmp_path / f"x{suffix}", net)
    loaded = torch.load(tmp_path / f"x{suffix}", weights_only=True)
    assert loaded.keys() == net.state_dict().keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in net.state_dict().items())
    assert loaded["embed.weight"].data_ptr() == loaded["head.weight"].data_ptr()


class Counting(nn.Linear):
    """Adds to its state dict what is neither parameter nor buffer."""

    _version = 7

    def get_extra_state(self):
        return {"steps": 3}

    def set_extra_state(self, state):
        assert state == {"steps": 3}


def test_a_pickle_holds_what_the_models_own_code_adds_to_its_state_dict(tmp_path):
    net = nn.Sequential(nn.BatchNorm1d(2), Counting(2, 1))
    save(tmp_path / "x.pt", net)
    loaded = torch.load(tmp_path / "x.pt", weights_only=True)
    assert list(loaded) == list(net.state_dict())
    assert loaded._metadata == net.state_dict()._metadata
    net.load_state_dict(loaded)


def test_what_the_models_own_code_adds_is_noted_where_a_file_cannot_hold_it(tmp_path):
    names, others = state_names(nn.Sequential(Counting(2, 1)))
    assert notes_on(Target(tmp_path / "x.safetensors"), names, others) == [
        "0._extra_state: neither parameter nor buffer, and left out; a .pt file holds all of the state dict"
    ]
    assert notes_on(Target(tmp_path / "x.pt"), names, others) == []


def test_buffers_that_are_not_persistent_are_left_out(tmp_path):
    net = nn.Linear(1, 1)
    net.register_buffer("kept", torch.ones(1))
    net.register_buffer("dropped", torch.ones(1), persistent=False)
    save(tmp_path / "x.safetensors", net)
    assert set(safetensors.torch.load_file(tmp_path / "x.safetensors")) == {"weight", "bias", "kept"}


@pytest.mark.parametrize("dtype", safetensors_file.CODES)
def test_every_dtype_of_the_format_comes_back(dtype, tmp_path):
    tensor = torch.arange(5).to(getattr(torch, dtype))
    path = tmp_path / "x.safetensors"
    write(path, {"a": tensor, "scalar": torch.tensor(1.5), "empty": torch.empty(0, 3)}, {"format": "pt"})
    loaded = safetensors.torch.load_file(path)
    assert loaded["a"].dtype == tensor.dtype
    assert torch.equal(loaded["a"].to(torch.complex128), tensor.to(torch.complex128))
    assert loaded["scalar"].item() == 1.5
    assert loaded["empty"].shape == (0, 3)


def test_what_is_not_contiguous_is_stored_as_it_is_seen(tmp_path):
    tensor = torch.arange(6.0).reshape(2, 3).t()
    write(tmp_path / "x.safetensors", {"a": tensor}, {})
    assert torch.equal(safetensors.torch.load_file(tmp_path / "x.safetensors")["a"], tensor)


def test_all_tensors_are_aligned_to_their_elements(tmp_path):
    tensors = {
        "a": torch.ones(3, dtype=torch.int8),
        "b": torch.ones(3, dtype=torch.float64),
        "c": torch.ones(5, dtype=torch.float16),
    }
    path = tmp_path / "x.safetensors"
    write(path, tensors, {})
    import json

    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    for name, tensor in tensors.items():
        assert (8 + length + header[name]["data_offsets"][0]) % tensor.element_size() == 0


def test_a_dtype_that_the_format_lacks_is_refused_and_no_file_is_left(tmp_path):
    net = nn.ParameterList([torch.zeros(2, dtype=torch.complex128)])
    with pytest.raises(ParamctlError, match="safetensors cannot hold 0, of dtype complex128"):
        save(tmp_path / "x.safetensors", net)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_suffix_or_directory_is_refused_before_anything_is_computed(tmp_path):
    with pytest.raises(ParamctlError, match="cannot tell the format"):
        check_out(tmp_path / "x.npz")
    with pytest.raises(ParamctlError, match="there is no directory"):
        check_out(tmp_path / "no" / "x.pt")
    check_out(tmp_path / "x.pt")


def test_how_a_file_with_ties_is_loaded_is_said(net, tmp_path):
    names, _ = state_names(net)
    (note,) = notes_on(Target(tmp_path / "x.safetensors"), names)
    assert note.startswith("head.weight, again.weight, again.bias: stored under the first of its names")
    assert notes_on(Target(tmp_path / "x.pt"), names) == []


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_tensor_can_be_put_in_pieces_and_in_any_order(suffix, tmp_path):
    net = nn.Linear(5, 3)
    path = tmp_path / f"x{suffix}"
    with writing_state(Target(path), {id(each): each for each in net.parameters()}, state_names(net)[0], net) as put:
        flat = net.weight.detach().reshape(-1)
        for start in (10, 0, 5):
            put(id(net.weight), start, flat[start : start + 5])
        put(id(net.bias), 0, net.bias)
    loaded = torch.load(path, weights_only=True) if suffix == ".pt" else safetensors.torch.load_file(path)
    assert torch.equal(loaded["weight"], net.weight)


def test_what_the_disk_cannot_hold_is_refused_before_it_is_written(tmp_path):
    huge = torch.empty(2**50, device="meta")
    with (
        pytest.raises(ParamctlError, match=r"the file would take 4\.0 PiB of disk; .* are free"),
        safetensors_file.writing(tmp_path / "x.safetensors", {"a": huge}, {}),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_pickle_that_the_disk_cannot_hold_is_refused_before_it_is_written(tmp_path):
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**43)
    net = nn.Module()
    net.huge = nn.Parameter(torch.from_file(file.name, shared=True, size=2**43, dtype=torch.uint8), requires_grad=False)
    net.view = nn.Parameter(net.huge.data[5:], requires_grad=False)  # what shares memory is written once
    with pytest.raises(ParamctlError, match=r"the file would take 8\.0 TiB of disk; .* are free"):
        save(tmp_path / "x.pt", net)
    assert [path.name for path in tmp_path.iterdir()] == ["sparse"]


def test_a_failure_while_values_come_leaves_no_file(net, tmp_path):
    tensors = {id(tensor): tensor for tensor in (*net.parameters(), *net.buffers())}
    with (
        pytest.raises(KeyboardInterrupt),
        writing_state(Target(tmp_path / "x.safetensors"), tensors, state_names(net)[0], net) as put,
    ):
        put(id(net.embed.weight), 0, net.embed.weight)
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", [torch.Tensor.conj, lambda tensor: tensor.conj().imag])
def test_a_view_that_is_computed_when_it_is_read_is_stored_as_it_reads(change, tmp_path):
    tensor = change(torch.tensor([1 + 2j, 3 + 4j]))
    write(tmp_path / "x.safetensors", {"a": tensor}, {})
    loaded = safetensors.torch.load_file(tmp_path / "x.safetensors")["a"]
    assert torch.equal(loaded, tensor.resolve_conj().resolve_neg())


def test_a_sparse_buffer_goes_into_a_pickle_and_is_refused_by_safetensors(tmp_path):
    net = nn.Linear(1, 1)
    net.register_buffer("eye", torch.eye(3).to_sparse())
    save(tmp_path / "x.pt", net)
    assert torch.equal(torch.load(tmp_path / "x.pt", weights_only=True)["eye"].to_dense(), torch.eye(3))
    with pytest.raises(ParamctlError, match="safetensors cannot hold eye, which is sparse"):
        save(tmp_path / "x.safetensors", net)


def test_a_pipe_gets_the_whole_file(net, tmp_path):
    pipe = tmp_path / "pipe.safetensors"
    os.mkfifo(pipe)
    received = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    save(pipe, net)
    reader.join(10)
    save(tmp_path / "x.safetensors", net)
    assert received == [(tmp_path / "x.safetensors").read_bytes()]


def test_a_state_dict_of_the_users_own_that_fails_is_their_error():
    class Own(nn.Linear):
        def get_extra_state(self):
            raise ValueError("no extra")

    with pytest.raises(ParamctlError, match="state_dict failed: ValueError: no extra"):
        state_names(Own(1, 1))
