"""Real files with other bytes in them: every command reads or refuses each, and memory does not grow."""

from __future__ import annotations

import argparse
import gc
import io
import os
import pickletools
import random
import re
import resource
import struct
import time
import warnings
import zipfile
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import save
from torch import nn

from paramctl.checkpoints.kinds import read_checkpoint
from paramctl.cli.main import run
from paramctl.cli.output import print_error
from paramctl.errors import ParamctlError

SECONDS = float(os.environ.get("PARAMCTL_FUZZ_SECONDS", "60"))
"""How long files are changed and read; more by night: PARAMCTL_FUZZ_SECONDS=3600."""
SEED = int(os.environ.get("PARAMCTL_FUZZ_SEED", "0")) or int.from_bytes(os.urandom(6))
"""Which changes are made: other ones in each run, unless one is to be looked into."""
_GROWTH = 32 * 2**20
_WARM = 2000
"""After how many files all that is imported and kept is there, and how often what is not kept is freed."""

SPEC = "layers: [{Linear: [3, 2]}]\n"
NET = partial(nn.Sequential, nn.Linear(3, 2))
LOADED = ["list", "spec.yaml", "--weights", "{}", "--stats"]
WORDS = (
    LOADED,
    ["list", "{}"],
    ["list", "{}", "--stats"],
    ["list", "{}", "--hist", "--format", "json"],
    ["list", "{}", "--values", "--format", "json"],
    ["list", "{}", "--tree", "--key", "model"],
    ["list", "{}", "--sort", "name", "--format", "csv"],
    ["shared", "{}"],
    ["shared", "{}", "--by-value", "--format", "markdown"],
)
"""What a user may ask of a checkpoint."""

SPICE = (
    b"\xff" * 8, b"\x00" * 8, b"\x7f\xff\xff\xff", struct.pack("<Q", 2**63), b"-1", b"-", b"9" * 20, b"9" * 5000, b"1e400",
    b"(", b")", b")R", b")\x81", b"}b", b"0", b"2", b"N", b"]", b"}", b"\x85", b"h\x00", b"q\x00", b"s", b"u", b"a",
    b"X\x03\x00\x00\x00\xed\xa0\x80", b"X\x02\x00\x00\x00.\n", b"cos\nsystem\n", b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"ctorch._utils\n_rebuild_parameter\n", b"ccollections\nOrderedDict\n", b"ctorch\nSize\n", b"cnumpy\nndarray\n",
    b"[" * 64, b"{" * 200, b'"a":', b'"a.b",', b"null", b"[]", b'"\\ud800"', b'"\\u001b[2J"', b"PK\x05\x06", b"PK\x03\x04",
)  # fmt: skip
"""What is put into a file: the words and the limits of the formats."""
JSON = re.compile(rb'"[^"]*"|\d+|.', re.DOTALL)
NUMBER = re.compile(rb"\d+|[Khq].|M..|J....", re.DOTALL)


def _state():
    net = NET()
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(4, 3)).sum().backward()
    optimizer.step()
    return {"model": net.state_dict(), "optimizer": optimizer.state_dict(), "args": argparse.Namespace(lr=0.1)}


def _odd():
    base = torch.arange(24.0).reshape(4, 6)
    return {
        "base": base, "t": base.T, "some": base[1::2, 2:], "one": base[1, 1], "wide": base[:, :1].expand(4, 99),
        "sparse": torch.eye(3).to_sparse(), "conj": torch.ones(2, dtype=torch.complex64).conj(),
        "bool": torch.tensor([True, False]), "half": torch.ones(3, dtype=torch.bfloat16), "none": torch.ones(0, 3),
        "meta": torch.ones(2, device="meta"), "parameter": nn.Parameter(torch.ones(2)),
    }  # fmt: skip


def _saved(value, **options):
    stream = io.BytesIO()
    torch.save(value, stream, **options)
    return stream.getvalue()


def seeds(directory):
    """Write a file of each format into a directory, and return their contents."""
    state = _state()
    with warnings.catch_warnings(action="ignore"):
        dcp.save(
            {"model": state["model"], "optimizer": state["optimizer"]}, checkpoint_id=directory / "dcp", no_dist=True
        )
    plain = NET().state_dict()
    found = {
        "x.safetensors": save(plain, {"format": "pt", "b": "0.bias"}),
        "odd.safetensors": save({"h.1.w": torch.ones(()), "h.2.w": torch.ones(0), "b": torch.ones(2, 1).bool()}),
        "zip.pt": _saved(state),
        "legacy.pt": _saved(state, _use_new_zipfile_serialization=False),
        "odd.pt": _saved(_odd(), pickle_protocol=4),
        "odd.bin": _saved(_odd(), _use_new_zipfile_serialization=False),
        "whole.ckpt": _saved(NET()),
        **{f"dcp/{name}": (directory / "dcp" / name).read_bytes() for name in (".metadata", "__0_0.distcp")},
        "m.safetensors.index.json": b'{"metadata": {"total_size": 32}, "weight_map": '
        b'{"0.weight": "x.safetensors", "0.bias": "x.safetensors", "base": "odd.pt"}}',
    }
    for name, content in found.items():
        (directory / name).write_bytes(content)
    (directory / "spec.yaml").write_text(SPEC)
    return found


def changed(content, chance):
    """Return a content with other bytes in it, or, most of the time, with other words in a frame that fits them."""
    if chance.random() < 0.25:
        return _with_other_bytes(content, chance)
    if content.startswith(b"PK"):
        return _rezipped(content, chance)
    if content[8:9] == b"{":
        length = int.from_bytes(content[:8], "little")
        header = _with_other_words(JSON.findall(content[8 : 8 + length]), chance)
        return struct.pack("<Q", len(header)) + header + content[8 + length :]
    if content.startswith(b"{"):
        return _with_other_words(JSON.findall(content), chance)
    return _with_other_words(_opcodes(content), chance)


def _rezipped(content, chance):
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(target, "w") as archive:
        for info in old.infolist():
            record = old.read(info)
            pickled = info.filename.endswith(".pkl")
            archive.writestr(info.filename, _with_other_words(_opcodes(record), chance) if pickled else record)
    return target.getvalue()


def _opcodes(content):
    """Return the opcodes of the pickles with which a content begins, and what follows as the last word."""
    words, stream, start = [], io.BytesIO(content), 0
    with suppress(ValueError):
        while stream.tell() < len(content):
            for _, _, at in pickletools.genops(stream):
                words.append(content[start:at])
                start = at
    return [*filter(None, words), content[start:]]


def _with_other_words(words, chance):
    words = list(words)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        at, other = chance.randrange(len(words)), chance.randrange(len(words))
        match chance.randrange(8):
            case 0:
                words[at] = chance.choice(SPICE)
            case 1:
                words.insert(at, chance.choice(SPICE))
            case 2:
                del words[at : at + chance.choice((1, 1, 2, 5))]
                words = words or [b""]
            case 3:
                words[at] = words[other]
            case 4:
                words[at], words[other] = words[other], words[at]
            case 5:
                words[at:at] = words[other : other + chance.choice((1, 2, 8, 40))]
            case _:
                numbers = [i for i, word in enumerate(words) if NUMBER.fullmatch(word)]
                at = chance.choice(numbers or [at])
                words[at] = _with_other_number(words[at], chance)
    return b"".join(words)


def _with_other_number(word, chance):
    number = chance.choice((0, 1, 2, 3, 4, 6, 8, 24, 255))
    if word[:1] in {b"K", b"M", b"J", b"h", b"q"}:
        return word[:1] + number.to_bytes(len(word) - 1, "little")
    return str(number if chance.random() < 0.8 else chance.choice((-1, 2**31, 2**62, 2**63, 10**30))).encode()


def _with_other_bytes(content, chance):
    content = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = chance.randrange(len(content) + 1)
        match chance.randrange(5):
            case 0 if at < len(content):
                content[at] = chance.randrange(256)
            case 1 if at < len(content):
                content[at] ^= 1 << chance.randrange(8)
            case 2:
                del content[at : at + chance.choice((1, 4, 100))]
            case 3:
                content[at:at] = chance.choice(SPICE)
            case _:
                spice = chance.choice(SPICE)
                content[at : at + len(spice)] = spice
    return bytes(content)


@pytest.mark.slow
def test_a_changed_file_is_read_or_refused_by_every_command_and_memory_does_not_grow(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    contents = seeds(tmp_path)
    chance = random.Random(SEED)
    outcomes = {(name, right): 0 for name in contents for right in (True, False)}
    peaks = []
    stop = time.monotonic() + SECONDS
    while time.monotonic() < stop or len(peaks) < 2 * _WARM:
        name = chance.choice(list(contents))
        (tmp_path / name).write_bytes(content := changed(contents[name], chance))
        outcomes[name, _is_read(name, content, chance)] += 1
        (tmp_path / name).write_bytes(contents[name])
        if len(peaks) % _WARM == 0:
            gc.unfreeze()  # a command freezes what it has imported, since a process runs one
            gc.collect()
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    assert peaks[-1] - peaks[_WARM - 1] < _GROWTH, SEED
    assert all(outcomes.values()), outcomes


def _is_read(name, content, chance):
    """Tell whether a file is listed, or refused; whatever else happens is a failure of the test."""
    with redirect_stdout(_stream()), redirect_stderr(_stream()) as told:
        try:
            distributed = name.startswith("dcp/")
            read_checkpoint(Path("dcp/.metadata" if distributed else name), name, with_modules=True)
            asked = LOADED if name == "whole.ckpt" else chance.choice(WORDS)
            code = run(words := [word.format("dcp" if distributed else name) for word in asked])
            assert code in {0, 2}, (SEED, words, content, told.buffer.getvalue().decode())
        except ParamctlError as error:
            print_error(error)
            return False
        except Exception as error:
            raise AssertionError(f"seed {SEED}: {name}: {content!r}") from error
    return code == 0


def _stream():
    """Return a stream as that of a process: of an encoding that does not take every text."""
    return io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
