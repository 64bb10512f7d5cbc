from __future__ import annotations

import json
import random
import struct

import pytest
import safetensors
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save, save_file, save_model

from paramctl.checkpoints.reading import opened
from paramctl.checkpoints.safetensors import read_file
from paramctl.checkpoints.safetensors_entries import DTYPES
from paramctl.checkpoints.safetensors_header import read_header
from paramctl.errors import ParamctlError


def framed(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(start=0, end=4, *, dtype="F32", shape=(1,), **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end], **more}


@pytest.fixture
def refused(tmp_path):
    def call(content):
        path = tmp_path / "x.safetensors"
        path.write_bytes(content)
        with pytest.raises(ParamctlError) as caught:
            read_file(path, "x.safetensors")
        (problem,) = caught.value.problems
        assert problem.where == "x.safetensors"
        return f"{problem.path}: {problem.message}"

    return call


class TestWhatAFileHolds:
    def test_every_dtype_and_shape_is_told_as_the_format_s_own_library_does(self, tmp_path):
        tensors = {
            f"m.{code}": torch.zeros(3, 2, dtype=getattr(torch, dtype))
            for code, dtype in DTYPES.items()
            if code != "F8_E8M0"  # the library writes it and reads it not
        }
        tensors |= {"scalar": torch.tensor(1.5), "none": torch.zeros(0, 3)}
        save_file(tensors, tmp_path / "x.safetensors")
        checkpoint = read_file(tmp_path / "x.safetensors", "x")
        told = {each.name: (each.shape, each.dtype, each.kind) for each in checkpoint.records}
        assert told == {
            name: (tuple(each.shape), str(each.dtype).removeprefix("torch."), "tensor")
            for name, each in tensors.items()
        }
        assert {each.module for each in checkpoint.records} == {"m", ""}

    def test_the_bytes_of_each_tensor_are_where_it_is_said_to_lie(self, tmp_path):
        path = tmp_path / "x.safetensors"
        tensors = {name: torch.randn(shape) for name, shape in (("a", (2, 3)), ("b", (4,)), ("c", ()))}
        save_file(tensors, path)
        checkpoint = read_file(path, "x")
        for name, tensor in tensors.items():
            (piece,) = checkpoint.locate(name)
            content = path.read_bytes()[piece.start : piece.start + piece.nbytes]
            assert content == tensor.numpy().tobytes()
            assert (piece.shape, piece.strides) == (tuple(tensor.shape), tensor.stride())

    @pytest.mark.parametrize("inside", ["", ".attn", ".experts.0"])
    def test_numbers_count_where_names_were_sorted_as_texts(self, inside, tmp_path):
        names = [f"h.{i}{inside}.{attribute}" for i in range(12) for attribute in ("bias", "weight")]
        tensors = {name: torch.zeros(1, dtype=torch.float16 if "bias" in name else torch.float32) for name in names}
        save_file(tensors, tmp_path / "x.safetensors")
        in_file = list(safetensors.deserialize((tmp_path / "x.safetensors").read_bytes()))
        assert len(in_file) == 24
        records = read_file(tmp_path / "x.safetensors", "x").records
        assert [each.module for each in records] == [f"h.{i}{inside}" for i in range(12) for _ in range(2)]

    def test_a_file_that_is_not_sorted_keeps_its_order(self, tmp_path):
        names = ["h.10.weight", "h.10.bias", "h.9.weight", "h.9.bias"]
        header = {name: entry(4 * i, 4 * i + 4) for i, name in enumerate(names)}
        (tmp_path / "x.safetensors").write_bytes(framed(header, bytes(16)))
        assert [each.name for each in read_file(tmp_path / "x.safetensors", "x").records] == names

    def test_a_tie_of_save_model_is_told(self, tmp_path):
        net = torch.nn.ModuleDict({"embed": torch.nn.Embedding(3, 2), "head": torch.nn.Linear(2, 3, bias=False)})
        net["head"].weight = net["embed"].weight
        save_model(net, str(tmp_path / "x.safetensors"))
        (record,) = read_file(tmp_path / "x.safetensors", "x").records
        assert sorted(record.names) == ["embed.weight", "head.weight"]

    def test_metadata_that_names_no_tensor_of_the_file_is_no_tie(self, tmp_path):
        metadata = {"format": "pt", "a": "b", "other": "absent", "c": "a"}
        (tmp_path / "x.safetensors").write_bytes(
            framed({"__metadata__": metadata, "a": entry(), "b": entry(4, 8)}, bytes(8))
        )
        records = read_file(tmp_path / "x.safetensors", "x").records
        assert [each.names for each in records] == [("a", "c"), ("b",)]

    @pytest.mark.parametrize(
        "header",
        [
            b"{}",
            b' \n{"__metadata__":null}\t ',
            {"a": {"shape": [1], "data_offsets": [0, 4], "dtype": "F32"}},
            {"a": entry(more=[1.5, None])},
            {"a": entry(more=entry())},
            {"": entry()},
            {"b": entry(4, 8), "a": entry(0, 4)},
            {"a": entry(0, 0, shape=[0]), "b": entry()},
        ],
    )
    def test_what_the_library_takes_is_taken(self, header, tmp_path):
        data = bytes(8) if b'"b": {"dtype"' in framed(header) and b"[4, 8]" in framed(header) else bytes(4)
        content = framed(header, data if isinstance(header, dict) else b"")
        names = {name for name, _ in safetensors.deserialize(content)}
        (tmp_path / "x.safetensors").write_bytes(content)
        assert {each.name for each in read_file(tmp_path / "x.safetensors", "x").records} == names


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "byte 0: the file ends here"),
            (b"1234567", "byte 7: the file ends here"),
            (framed(b"{}", length=3), "byte 0: the header's length is 3 bytes; 2 follow"),
            (framed(b"{}", length=2**63), "byte 0: the header's length is 9,223,372,036,854,775,808 bytes; the format"),
            (framed(b"{}", length=100_000_001), "byte 0: the header's length is 100,000,001 bytes; the format allows"),
            (framed(b'{"\xff'), "byte 10: the byte 0xFF is not UTF-8"),
            (framed('{"é":}'.encode()), "byte 14: the header is no JSON: Expecting value"),
            (framed(b"{}\0"), "byte 10: the header is no JSON: Extra data"),
            (framed(b""), "byte 8: the header is no JSON"),
            (framed(b" [1]"), "byte 9: the header is a list, not an object"),
            (framed(b'{"a":NaN}'), "byte 13: NaN is no JSON"),
            (framed(b'{"a":' + b"1" * 5000 + b"}"), "byte 13: a number is too long"),
            (framed(b'{"[":' + b"[" * 100_000), "byte 112: the header is nested too deeply"),
            (framed(b'{"\\ud800":' + json.dumps(entry()).encode() + b"}", bytes(4)), "\\ud800: this has half"),
            (framed({"__metadata__": {"a": 1}}), "__metadata__: 'a' is a number, not a text"),
            (framed({"__metadata__": entry()}, bytes(4)), "__metadata__: 'shape' is a list, not a text"),
            (framed({"__metadata__": entry() | {"shape": "1"}, "a": {}}), "__metadata__: 'data_offsets' is a list"),
            (framed({"__metadata__": {"a": entry()}, "b": {}}, bytes(4)), "__metadata__: 'a' is an object, not"),
            (framed(entry(), bytes(4)), "dtype: the entry is a text, not an object"),
            (framed({"a": entry(dtype=entry())}, bytes(4)), "a: the dtype is an object, not a text"),
            (framed({"a": [entry()], "b": {}}, bytes(4)), "a: the entry is a list, not an object"),
            (framed({"__metadata__": ["a"]}), "__metadata__: the metadata are a list, not an object"),
            (framed(b'{"__metadata__":{"a":"1","a":"2"}}'), "__metadata__: 'a' stands there twice"),
            (framed(b'{"__metadata__":{},"__metadata__":{}}'), "__metadata__: the header has this name twice"),
            (framed({"a": [1]}), "a: the entry is a list, not an object"),
            (framed({"a": {"dtype": "F32", "shape": [1]}}), "a: the entry has no 'data_offsets'"),
            (framed({"a": entry() | {"data_offsets": [0]}}), "a: data_offsets is [0], not two numbers"),
            (framed({"a": entry() | {"data_offsets": {"0": 1}}}), "a: data_offsets is an object, not two"),
            (framed({"a": entry(-4, 0)}), "a: the offsets [-4, 0] are no stretch of bytes"),
            (framed({"a": entry(4, 0)}, bytes(8)), "a: the offsets [4, 0] are no stretch of bytes"),
            (framed({"a": entry(0.0, 4)}, bytes(4)), "a: the offsets [0.0, 4] are no stretch of bytes"),
            (framed({"a": entry(False, 4)}, bytes(4)), "a: the offsets [False, 4] are no stretch of bytes"),
            (
                framed({"a": entry(0, 10**30)}),
                "a: its offsets [0, 1000000000000000000000000000000] end behind the file",
            ),
            (
                framed({"a": entry()}, bytes(3)),
                "a: its offsets [0, 4] end behind the file, which holds 3 bytes of data",
            ),
            (framed({"a": entry(shape=[-1])}, bytes(4)), "a: [-1] is no shape"),
            (framed({"a": entry(shape=[-1, -1])}, bytes(4)), "a: [-1, -1] is no shape"),
            (framed({"a": entry() | {"shape": {}}}, bytes(4)), "a: an object is no shape"),
            (framed({"a": entry(shape=[1.0])}, bytes(4)), "a: [1.0] is no shape"),
            (framed({"a": entry(shape=[True])}, bytes(4)), "a: [True] is no shape"),
            (framed({"a": entry() | {"shape": "1"}}, bytes(4)), "a: a text is no shape"),
            (framed({"a": entry(shape=[2**63])}, bytes(4)), "a: [9223372036854775808] is no shape"),
            (framed({"a": entry(shape=[2**62, 2])}, bytes(4)), "a: the sizes of [4611686018427387904, 2] overflow"),
            (framed({"a": entry(0, 0, shape=[2**62, 2, 0])}), "overflow 64 bits"),
            (framed({"a": entry(shape=[2**60] * 64)}, bytes(4)), "overflow 64 bits"),
            (framed({"a": entry(shape=[1] * 65)}, bytes(4)), "a: it has 65 dimensions; torch takes 64"),
            (framed({"n" * 10**4: [1]}), f"{'n' * 399}…: the entry is a list, not an object"),
            (framed({"n" * 10**6: entry(0, 0, shape=[0])}), "…: the name has 1,000,000 characters; 10,000 are read"),
            (framed({"a": entry(shape=[2])}, bytes(4)), "a: [2] of float32 takes 8 bytes; its offsets [0, 4] hold 4"),
            (framed({"a": entry(dtype="f32")}, bytes(4)), "a: there is no dtype 'f32'; did you mean 'F32'?"),
            (framed({"a": entry(dtype=["F32"])}, bytes(4)), "a: the dtype is a list, not a text"),
            (framed({"a": entry(0, 1, dtype="F4", shape=[2])}, bytes(1)), "a: its elements are packed as F4"),
            (framed({"a": entry(), "b": entry()}, bytes(4)), "the elements of 'b' begin inside those of 'a'"),
            (framed({"a": entry(), "b": entry(8, 12)}, bytes(12)), "4 bytes before those of 'b' belong to no tensor"),
            (framed({"a": entry(4, 8)}, bytes(8)), "byte 69: 4 bytes before those of 'a' belong to no tensor"),
            (framed({"a": entry()}, bytes(9)), "byte 73: what stands from here to the end, 5 B, belongs to no tensor"),
            (framed(b"{}", bytes(1)), "byte 10: what stands from here to the end, 1 B, belongs"),
            (
                framed(b'{"a":%b,"a":%b}' % ((json.dumps(entry()).encode(),) * 2), bytes(4)),
                "a: the header has this name twice",
            ),
            (framed(b'{"a":' + json.dumps(entry()).encode()[:-1] + b',"dtype":"F32"}}', bytes(4)), "has 'dtype' twice"),
        ],
        ids=lambda value: value[:40] if isinstance(value, str) else "",
    )
    def test_it_is_named_with_its_place(self, content, message, refused):
        assert message in refused(content)

    def test_a_file_that_was_cut_anywhere_is_refused(self, refused):
        content = save({"a": torch.ones(3), "b": torch.ones(2, 2, dtype=torch.int8)}, {"format": "pt"})
        for length in range(len(content)):
            assert refused(content[:length])

    @pytest.mark.parametrize(
        ("content", "hint"),
        [
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n", "git lfs pull"),
            (b"<!DOCTYPE html><html></html>", "a web page"),
        ],
    )
    def test_what_is_no_checkpoint_at_all_is_told(self, content, hint, tmp_path):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(ParamctlError) as caught:
            read_file(tmp_path / "x", "x")
        assert hint in caught.value.problems[0].hint

    @pytest.mark.parametrize("kind", ["absent", "directory", "pipe", "loop"])
    def test_what_is_no_file_is_told(self, kind, tmp_path):
        import os

        path = tmp_path / "x.safetensors"
        if kind == "directory":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "loop":
            path.symlink_to(path)
        with pytest.raises(ParamctlError, match=r"x\.safetensors"):
            read_file(path, "x.safetensors")


SIZES = st.integers(0, 3) | st.sampled_from([-1, 2**62, 2**64, 1.0, True, None, "1"])
ENTRIES = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "U8", "F4", "X", 1]),
        "shape": st.lists(SIZES, max_size=2) | st.just({}),
        "data_offsets": st.lists(st.integers(-1, 9) | SIZES, min_size=2, max_size=2) | st.none(),
    }
)


@st.composite
def nearly_right(draw):
    """A header whose entries fit, of which some number may be another."""
    header, end = {}, 0
    for name in draw(st.lists(st.sampled_from("abcd"), unique=True)):
        shape = draw(st.lists(st.integers(0, 3), max_size=2))
        size = 4 * torch.Size(shape).numel()
        header[name] = entry(end, end + size, shape=shape)
        end += size
    if header and draw(st.booleans()):
        name = draw(st.sampled_from(sorted(header)))
        header[name] = draw(ENTRIES)
    return framed(header, bytes(end))


@given(content=nearly_right())
def test_what_is_taken_is_what_the_library_takes(content, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "property.safetensors"
    path.write_bytes(content)
    try:
        theirs = {name: tuple(each["shape"]) for name, each in safetensors.deserialize(content)}
    except safetensors.SafetensorError:
        theirs = None
    try:
        with opened(path, "x") as file:
            header = read_header(file)
        ours = dict(zip(header.names, header.shapes, strict=True))
    except ParamctlError as error:
        ours = None
        if "packed as" in str(error):
            return
    assert ours == theirs


@given(seed=st.integers(0, 2**32))
def test_a_file_with_other_bytes_in_it_is_read_or_refused(seed, tmp_path_factory):
    chance = random.Random(seed)
    content = bytearray(save({"a.weight": torch.ones(3), "a.bias": torch.ones(2)}, {"format": "pt"}))
    for _ in range(chance.randint(1, 3)):
        content[chance.randrange(len(content) - 20)] = chance.randrange(256)
    path = tmp_path_factory.getbasetemp() / "mutated.safetensors"
    path.write_bytes(content)
    try:
        read_file(path, "x")
    except ParamctlError as error:
        assert str(error)
