from __future__ import annotations

import argparse
import collections
import functools
import io
import os
import pickle
import struct
import tarfile
import types
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from paramctl.checkpoints.kinds import read_checkpoint
from paramctl.errors import ParamctlError

FORMS = [pytest.param(True, id="zip"), pytest.param(False, id="legacy")]


@pytest.fixture
def saved(tmp_path):
    """Save an object as users do, and read it."""

    def call(value, key=None, *, new_form=True, protocol=2, **options):
        path = tmp_path / "x.pt"
        torch.save(value, path, _use_new_zipfile_serialization=new_form, pickle_protocol=protocol)
        return read_checkpoint(path, "x.pt", key, **options)

    return call


@pytest.fixture
def refused(tmp_path):
    def call(content):
        path = tmp_path / "x.pt"
        path.write_bytes(content)
        with pytest.raises(ParamctlError) as caught:
            read_checkpoint(path, "x.pt")
        (problem,) = caught.value.problems
        assert "weights_only" not in str(caught.value)
        return str(problem)

    return call


def archive(pickled, names=("data.pkl",), *, compression=zipfile.ZIP_STORED, **records):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as target:
        for name in names:
            target.writestr(f"x/{name}", pickled)
        for name, content in records.items():
            target.writestr(f"x/{name}", content)
    return stream.getvalue()


def told(checkpoint):
    return {each.names: (each.shape, each.dtype) for each in checkpoint.records}


class Calls:
    """Pickles itself as a call."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


class TestTensors:
    @pytest.mark.parametrize("new_form", FORMS)
    @pytest.mark.parametrize("protocol", [2, 4, 5])
    def test_all_dtypes_of_torch_are_told(self, saved, new_form, protocol):
        dtypes = [
            *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16),
            *(torch.int8, torch.uint8, torch.bool, torch.complex64, torch.complex128),
            *([torch.uint16, torch.uint64, torch.float8_e4m3fn, torch.float8_e5m2] if new_form else []),
        ]
        state = {f"layer.{i}": torch.ones(2, i + 1).to(dtype) for i, dtype in enumerate(dtypes)}
        checkpoint = saved(state, new_form=new_form, protocol=protocol)
        assert told(checkpoint) == {
            (name,): (tuple(each.shape), str(each.dtype).removeprefix("torch.")) for name, each in state.items()
        }
        assert {(each.module, each.kind, each.requires_grad) for each in checkpoint.records} == {
            ("layer", "tensor", None)
        }

    @pytest.mark.parametrize("new_form", FORMS)
    def test_entries_with_the_very_same_elements_are_one_and_others_are_not(self, saved, new_form):
        held = torch.arange(24.0).reshape(4, 6)
        state = {
            "a": held,
            "b": held.view(4, 6),
            "t": held.T,
            "row": held[1],
            "flat": held.view(-1),
            "copy": held.clone(),
        }
        names = [each.names for each in saved(state, new_form=new_form).records]
        assert names == [("a", "b"), ("t",), ("row",), ("flat",), ("copy",)]

    def test_a_parameter_is_its_tensor(self, saved):
        assert told(saved({"w": nn.Parameter(torch.ones(2))})) == {("w",): ((2,), "float32")}

    def test_a_tensor_with_attributes_is_a_tensor(self, saved):
        tensor = torch.ones(2)
        tensor.tag = "mine"
        assert told(saved({"w": tensor})) == {("w",): ((2,), "float32")}

    def test_a_tensor_alone_has_a_name(self, saved):
        assert told(saved(torch.ones(2, 3))) == {("tensor",): ((2, 3), "float32")}

    def test_sparse_and_meta_tensors_are_listed_and_said_to_be_unreadable(self, saved):
        state = {
            "s": torch.eye(3).to_sparse(),
            "m": torch.ones(2, device="meta"),
            "c": torch.ones(2).to(torch.complex64).conj(),
        }
        checkpoint = saved(state)
        assert told(checkpoint) == {
            ("s",): ((3, 3), "float32"),
            ("m",): ((2,), "float32"),
            ("c",): ((2,), "complex64"),
        }
        assert checkpoint.unreadable.keys() == {"s", "m", "c"}

    def test_the_order_is_that_of_the_state_dict(self, saved):
        names = ["z.weight", "a.weight", "layers.10.weight", "layers.9.weight"]
        assert [each.name for each in saved({name: torch.ones(1) for name in names}).records] == names


class TestNesting:
    def full(self):
        net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
        optimizer = torch.optim.Adam(net.parameters())
        net(torch.ones(4, 3)).sum().backward()
        optimizer.step()
        return {
            "epoch": 3,
            "model": net.state_dict(),
            "optimizer": optimizer.state_dict(),
            "rng": [torch.get_rng_state()],
        }

    def test_the_weights_are_found_and_what_else_there_is_is_noted(self, saved):
        checkpoint = saved(self.full())
        assert [each.name for each in checkpoint.records][:3] == ["0.weight", "0.bias", "1.weight"]
        (note,) = checkpoint.notes
        assert "under 'model'; --key shows those under 'optimizer', 'rng'" in note

    @pytest.mark.parametrize(
        ("key", "first"),
        [
            ("optimizer", "state.0.step"),
            ("optimizer.state", "0.step"),
            ("optimizer.state.0.exp_avg", "exp_avg"),
            ("rng", "0"),
            ("model.1", "weight"),
        ],
    )
    def test_a_key_picks_a_part(self, saved, key, first):
        assert saved(self.full(), key).records[0].name == first

    def test_a_key_that_is_not_there_is_answered_with_the_nearest(self, saved):
        with pytest.raises(ParamctlError, match="did you mean 'optimizer'"):
            saved(self.full(), "optimiser")

    def test_without_a_usual_name_everything_is_listed_under_its_whole_name(self, saved):
        checkpoint = saved({"critic": {"w": torch.ones(1)}, "actor": {"w": torch.ones(2)}})
        assert [each.name for each in checkpoint.records] == ["critic.w", "actor.w"]

    def test_usual_names_may_nest(self, saved):
        assert [each.name for each in saved({"model": {"state_dict": {"w": torch.ones(1)}}}).records] == ["w"]

    def test_a_file_without_tensors_says_so(self, saved):
        with pytest.raises(ParamctlError, match="holds no tensors"):
            saved({"epoch": 3})

    def test_a_value_that_holds_itself_ends(self, saved):
        state = {"w": {"v": torch.ones(1)}}
        state["w"]["again"] = state
        with pytest.raises(ParamctlError, match="nested deeper than 200 levels, or a value holds itself"):
            saved(state)

    def test_names_that_multiply_are_counted_before_they_are_made(self, saved):
        value = {"w": torch.ones(1)}
        for _ in range(40):
            value = {"a": value, "b": value}
        with pytest.raises(ParamctlError, match="more than 1,000,000 names"):
            saved(value)

    def test_keys_that_are_no_texts_have_short_names(self, saved):
        state = {
            "s": {
                1: torch.ones(1),
                None: torch.ones(1),
                1.5: torch.ones(1),
                (1, ("a",)): torch.ones(1),
                2**100: torch.ones(1),
                torch.float16: torch.ones(1),
            }
        }
        names = ["s.1", "s.None", "s.1.5", "s.(1, ('a',))", f"s.{2**100}", "s.torch.float16"]
        assert [each.name for each in saved(state).records] == names

    def test_tensors_that_come_to_one_name_are_numbered_and_noted(self, saved):
        state = {"a.b": torch.ones(1), "a": {"b": torch.ones(2)}, 1: torch.ones(3), "1": torch.ones(4)}
        checkpoint = saved(state | {"a.b (2)": torch.ones(5)})
        assert {each.name: each.shape for each in checkpoint.records} == {
            "a.b": (1,),
            "a.b (2)": (2,),
            "1": (3,),
            "1 (2)": (4,),
            "a.b (2) (2)": (5,),
        }
        (note,) = checkpoint.notes
        assert "several tensors come to the same name, a.b, 1, a.b (2)" in note

    def test_what_a_dict_or_a_list_of_a_class_of_its_own_holds_is_listed(self, refused, tmp_path):
        stream = io.BytesIO()
        torch.save({"w": torch.ones(2)}, stream)
        with zipfile.ZipFile(stream) as source:
            (pickled,) = (source.read(each) for each in source.namelist() if each.endswith("data.pkl"))
        pickled = pickled.replace(b"\x80\x02}", b"\x80\x02ceasydict\nEasyDict\n)\x81", 1)
        (tmp_path / "e.pt").write_bytes(archive(pickled, **{"data/0": bytes(8)}))
        assert [each.name for each in read_checkpoint(tmp_path / "e.pt", "e.pt").records] == ["w"]

    def test_a_part_that_holds_itself_is_left_out_where_it_holds_no_tensors(self, saved):
        config = {}
        config["parent"] = config
        assert [each.name for each in saved({"w": torch.ones(1), "config": config}).records] == ["w"]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 3)
        self.norm = nn.BatchNorm1d(3)
        self.register_buffer("passing", torch.ones(1), persistent=False)
        self.act = torch.nn.functional.relu


class TestObjectsThatAreNoTensors:
    def test_harmless_ones_are_placeholders_and_never_imported(self, process, tmp_path):
        value = {
            "w": torch.ones(2),
            "args": argparse.Namespace(lr=0.1),
            "loss": np.float64(1.5),
            "array": np.ones(3),
            "counts": collections.Counter("aab"),
            "more": collections.defaultdict(list, {"a": [1]}),
            "simple": types.SimpleNamespace(a=1),
            "dtype": torch.float16,
            "device": torch.device("cpu"),
            "size": torch.Size([1, 2]),
            "set": {1, 2},
        }
        torch.save(value, tmp_path / "x.pt")
        code = (
            "import sys\nfrom pathlib import Path\nfrom paramctl.checkpoints.kinds import read_checkpoint\n"
            f"print([each.name for each in read_checkpoint(Path({str(tmp_path / 'x.pt')!r}), 'x').records])\n"
            "print([each for each in ('numpy', 'torch', 'argparse') if each in sys.modules])"
        )
        assert process(code=code).out.splitlines() == ["['w']", "[]"]

    def test_those_of_libraries_that_are_not_installed_are_placeholders(self, refused):
        config = b"comegaconf.dictconfig\nDictConfig\n)\x81}X\x08\x00\x00\x00_contentK\x01sb"
        assert "holds no tensors" in refused(archive(b"\x80\x02}X\x03\x00\x00\x00cfg" + config + b"s."))

    @pytest.mark.parametrize(
        ("value", "name"),
        [
            (Calls(os.system, "touch owned"), f"{os.system.__module__}.system"),
            (Calls(eval, "open('owned', 'w')"), "builtins.eval"),
            (Calls(exec, "open('owned', 'w')"), "builtins.exec"),
            (Calls(getattr, 1, "real"), "builtins.getattr"),
            (Calls(torch.load, "owned"), "torch.serialization.load"),
            (Calls(functools.partial, print), "functools.partial"),
        ],
    )
    @pytest.mark.parametrize("new_form", FORMS)
    def test_a_call_of_anything_else_is_refused_by_name_and_not_made(
        self, value, name, new_form, saved, tmp_path, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ParamctlError) as caught:
            saved({"w": torch.ones(2), "x": value}, new_form=new_form, protocol=4)
        assert f"it would import {name}" in str(caught.value)
        assert "nothing of it was run" in str(caught.value)
        assert not (tmp_path / "owned").exists()

    @pytest.mark.parametrize("value", [Net(), {"epoch": 1, "net": Net()}], ids=["alone", "nested"])
    def test_a_pickled_module_is_answered_with_the_class_to_name(self, value, saved):
        with pytest.raises(ParamctlError) as caught:
            saved(value)
        (problem,) = caught.value.problems
        assert "it holds a pickled module of the class" in problem.message
        assert "FILE.py:Net --weights x.pt" in problem.hint

    @pytest.mark.parametrize("protocol", [2, 4])
    def test_the_state_of_a_pickled_module_is_read_where_it_is_loaded_into_one(self, saved, protocol):
        net = Net()
        checkpoint = saved(net, protocol=protocol, with_modules=True)
        assert [each.name for each in checkpoint.records] == list(net.state_dict())

    def test_a_module_that_would_call_something_is_refused_even_then(self, saved):
        net = Net()
        net.evil = Calls(os.system, "true")
        with pytest.raises(ParamctlError, match="system"):
            saved(net, with_modules=True)


class TestDamage:
    @pytest.mark.parametrize("offset", [2**64 - 1, 2**63, 2**40])
    def test_records_that_begin_outside_the_file_are_refused(self, offset, refused):
        stream = io.BytesIO()
        torch.save({"w": torch.ones(3)}, stream)
        content = bytearray(stream.getvalue())
        end = content.rindex(b"PK\x06\x06")
        content[end + 48 : end + 56] = struct.pack("<Q", offset)  # where the list of records begins
        assert "begins at byte" in refused(bytes(content)) or "damaged" in refused(bytes(content))

    @pytest.mark.parametrize("new_form", FORMS)
    def test_a_file_that_was_cut_anywhere_is_refused(self, new_form, refused):
        stream = io.BytesIO()
        torch.save({"w": torch.ones(3)}, stream, _use_new_zipfile_serialization=new_form)
        content = stream.getvalue()
        for length in [*range(0, len(content), 7), len(content) - 1]:
            assert refused(content[:length]), length

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "byte 0"),
            (b"hello world", "it is no file of torch.save"),
            (pickle.dumps({"a": 1}), "it is a pickle, but not of torch.save"),
            (archive(b"\x80\x02}.", ("other.pkl",)), "no data.pkl"),
            (archive(b"\x80\x02}.", ("data.pkl", "constants.pkl")), "a TorchScript archive"),
            (
                archive(b"\x80\x02" + b"N0" * 10**6 + b".", compression=zipfile.ZIP_DEFLATED),
                "x/data.pkl: the record is compressed",
            ),
            (archive(b"\x80\x02}.", byteorder=b"big"), "only little-endian files are read"),
            (
                archive(b"\x80\x02]\x8e" + struct.pack("<Q", 2**62) + b"."),
                "4,611,686,018,427,387,904 bytes are to follow",
            ),
            (archive(b"\x80\x02Nr\xff\xff\xff\xff."), "holds no tensors"),
            (archive(b"\x80\x09N."), "of protocol 9"),
            (archive(b"\x80\x02\x82\x01."), "there is no opcode of a pickle here"),
            (archive(b"\x80\x02h\x07."), "refers to value 7, which it has not kept"),
            (archive(b"\x80\x02."), "takes a value where there is none"),
            (archive(b"\x80\x02}]K\x01s."), "a key is a list"),
            (archive(b"\x80\x02}" + b"(" * 1 + b")" + b"\x85" * 100_000 + b"K\x01u."), "a key is nested too deeply"),
            (archive(b"S'\\q'\n."), "holds no tensors"),
            (archive(b"c" + b"m" * 5000 + b"\nname\n."), f"it would import {'m' * 80}, which"),
            (archive(b"\x80\x02K\x05K\x06a."), "appends to what is no list"),
            (archive(b"\x80\x02K\x05)R."), "what is called is no function"),
            (
                archive(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R."),
                "is called with arguments that it does not take",
            ),
            (archive(b"\x80\x02X\x01\x00\x00\x00aQ."), "a persistent id names no storage"),
        ],
        ids=lambda value: value[:40] if isinstance(value, str) else "",
    )
    def test_it_is_named(self, content, message, refused):
        assert message in refused(content)

    def test_a_tar_file_of_the_first_versions_is_named(self, refused, tmp_path):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as target:
            target.addfile(tarfile.TarInfo("storages"))
        assert "a tar archive, as torch before 0.1.10 wrote" in refused(stream.getvalue())

    @pytest.mark.parametrize(
        ("field", "value", "message"),
        [
            ("numel", 10**6, "its storage has 4,000,000"),
            ("numel", -1, "has no number of elements"),
            ("offset", 1, "reaches byte 16 of the storage '0', which has 12"),
            ("offset", -1, "the offset of a tensor is no number of elements"),
            ("shape", (4,), "reaches byte 16 of the storage '0', which has 12"),
            ("shape", (-3,), "no tuple of sizes"),
            ("shape", (2**62, 2**62), "the sizes of a tensor overflow 64 bits"),
            ("shape", (1,) * 65, "a tensor has 65 dimensions"),
            ("shape", (3, 1), "2 sizes and 1 strides"),
            ("strides", (10**9,), "of the storage '0', which has 12"),
            ("strides", (-1,), "no tuple of sizes"),
            ("key", "9", "there is no record data/9"),
        ],
    )
    def test_a_tensor_that_lies_about_its_storage_is_refused(self, field, value, message, refused):
        given = {"numel": 3, "offset": 0, "shape": (3,), "strides": (1,), "key": "0"} | {field: value}

        class Pickler(pickle.Pickler):
            def persistent_id(self, each):
                return ("storage", torch.FloatStorage, given["key"], "cpu", given["numel"]) if each is Calls else None

        stream = io.BytesIO()
        tensor = Calls(
            torch._utils._rebuild_tensor_v2, Calls, given["offset"], given["shape"], given["strides"], False, {}
        )
        Pickler(stream, 2).dump({"w": tensor})
        assert message in refused(archive(stream.getvalue(), **{"data/0": bytes(12)}))

    def test_a_record_that_stands_twice_is_refused(self, refused):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as target:
            target.writestr("x/data.pkl", b"\x80\x02}.")
            with pytest.warns(UserWarning, match="Duplicate"):
                target.writestr("x/data.pkl", b"\x80\x02].")
        assert "x/data.pkl: a record stands in the archive twice" in refused(stream.getvalue())

    def test_an_archive_that_says_it_has_gigabytes_of_names_is_refused(self, refused):
        content = archive(b"\x80\x02}.")
        at = content.rfind(b"PK\x05\x06")
        lying = content[: at + 12] + struct.pack("<I", 2**31) + content[at + 16 :]
        assert "the list of records has 2,147,483,648 bytes" in refused(lying)


def key(text):
    return b"X" + struct.pack("<I", len(text)) + text.encode()


TENSOR = (
    b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000"
    b"X\x03\x00\x00\x00cpuK\x04tQK\x00K\x04\x85K\x01\x85\x89}tR"
)


class TestWhatGrows:
    """Small files that ask for much: each is answered at once."""

    @pytest.mark.parametrize(
        ("pickled", "message"),
        [
            (TENSOR + b"2\x86" * 10_000, "nested deeper than 200 levels"),
            (TENSOR + b"2\x86" * 60, "more than 1,000,000 names"),
            (b"]" * 50_000 + b"a" * 49_999, "nested deeper than 200 levels"),
            (b"(" * 50_000, "byte 10,042: more than 10,000 values are open at once"),
            (
                key("n" * 10**6) + b"q\x010" + TENSOR + b"q\x000}h\x01h\x00s" * 150,
                "a name of a tensor has 150,000,149 characters; 10,000 are read",
            ),
            (
                b"(" + TENSOR + b"q\x00" + b"h\x00" * 99_999 + b"lq\x010}" + key("n" * 9_000) + b"h\x01s",
                "the names of tensors have 900,588,890 characters; 268,435,456 are read",
            ),
            (b"(" + b"N" * 10**6 + b"tq\x00ctorch\nSize\nq\x010" + b"h\x01h\x00\x85R0" * 99, "more than 10,000,000 steps"),
            (b"}(" + b"K\x01" * 1000 + b"tq\x000(" + b"h\x00" * 1000 + b"tNs", "a key is nested too deeply"),
            (b"}\x8b\x00\x01\x00\x00" + b"\x01" * 256 + b"Ns", "a key is an integer of 2,041 bits"),
        ],
    )  # fmt: skip
    def test_it_is_refused_by_name(self, pickled, message, refused):
        assert message in refused(archive(b"\x80\x02" + pickled + b".", **{"data/0": bytes(16)}))

    @pytest.mark.parametrize(
        "key",
        [
            lambda i: b"\x8a\x0a" + (i * (2**61 - 1)).to_bytes(10, "little"),
            lambda i: b"(" + b"".join(b"J" + struct.pack("<i", -1 - (i >> bit & 1)) for bit in range(18)) + b"t",
        ],
        ids=["integers", "tuples"],
    )
    def test_keys_that_were_chosen_for_their_hash_are_told_apart(self, key, refused):
        pickled = b"}(" + b"".join(key(i) + b"N" for i in range(1, 30_000)) + b"u"
        assert "holds no tensors" in refused(archive(b"\x80\x02" + pickled + b"."))

    def test_modules_in_many_places_are_counted_before_they_are_named(self, tmp_path):
        def module(parameters, modules):
            fields = key("_parameters") + parameters + key("_modules") + modules
            return b"c__main__\nNet\n)\x81}(" + fields + b"ub"

        pickled = b"\x80\x02" + module(b"}" + key("w") + TENSOR + b"s", b"}")
        for i in range(40):
            inner = b"r" + struct.pack("<I", 1000 + i) + b"0"
            again = inner.replace(b"r", b"j", 1)[:-1]
            pickled += inner + module(b"}", b"}(" + key("a") + again + key("b") + again + b"u")
        (tmp_path / "x.pt").write_bytes(archive(pickled + b".", **{"data/0": bytes(16)}))
        with pytest.raises(ParamctlError, match="more than 1,000,000 names"):
            read_checkpoint(tmp_path / "x.pt", "x.pt", with_modules=True)


class TestWithoutStorage:
    @pytest.mark.parametrize(
        "make",
        [lambda: torch.eye(3).to_sparse(), lambda: torch.zeros(3, 3, device="meta")],
        ids=["sparse", "meta"],
    )
    def test_two_tensors_of_one_shape_are_two(self, saved, make):
        assert list(told(saved({"a": make(), "b": make()}))) == [("a",), ("b",)]

    def test_one_tensor_under_two_names_is_one(self, saved):
        tensor = torch.eye(3).to_sparse()

        assert list(told(saved({"a": tensor, "b": tensor}))) == [("a", "b")]


class TestOddFiles:
    @pytest.mark.parametrize("new_form", FORMS)
    def test_a_module_pickled_whole_is_told_by_its_class(self, saved, new_form):
        with pytest.raises(
            ParamctlError, match=r"holds a pickled module of the class torch\.nn\.modules\.linear\.Linear"
        ):
            saved(nn.Linear(2, 3), new_form=new_form)

    @pytest.mark.parametrize("new_form", FORMS)
    def test_the_state_of_a_module_pickled_whole_is_read(self, saved, new_form):
        held = saved(nn.Linear(2, 3), new_form=new_form, with_modules=True)

        assert told(held) == {("weight",): ((3, 2), "float32"), ("bias",): ((3,), "float32")}

    def test_an_empty_file_is_told_to_be_empty(self, refused):
        assert "the file is empty" in refused(b"")

    def test_a_call_with_too_few_arguments_is_told_by_its_name(self, refused):
        pickled = b"\x80\x02}X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n)Rs."

        assert "torch._utils._rebuild_tensor_v2 is called with arguments that it does not take" in refused(
            archive(pickled)
        )

    def test_the_path_to_a_value_that_holds_itself_is_cut_short(self, saved):
        value = {"w": torch.zeros(1)}
        value["self"] = value

        with pytest.raises(ParamctlError, match="a value holds itself") as caught:
            saved(value)
        assert len(str(caught.value)) < 200
