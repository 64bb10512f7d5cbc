"""A command that is ended while it writes leaves the old files whole and no other; each in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

INIT = [sys.executable, "-m", "paramctl", "init", "spec.yaml", "--out", "x.safetensors"]
SLEEPING = """
import sys, time
def sleep_(tensor):
    print("here", file=sys.stderr, flush=True)
    time.sleep(60)
"""


def names_in(directory):
    return {path.name for path in directory.iterdir() if path.is_file()}


@pytest.mark.parametrize(
    ("number", "code", "words", "begun"),
    [
        (signal.SIGINT, 130, [], 1),
        (signal.SIGTERM, -signal.SIGTERM, ["--max-shard-size", "200B"], 4),
        (signal.SIGHUP, -signal.SIGHUP, ["--max-shard-size", "200B"], 4),
    ],
)
def test_a_signal_leaves_the_old_file_and_no_other(number, code, words, begun, write, tmp_path):
    write("layers: [{Linear: [10, 10]}, {Linear: [10, 10]}]")
    write(SLEEPING, "sleeping.py")
    write("precious", "x.safetensors")
    before = names_in(tmp_path)
    command = [*INIT, "--rule", "0.bias=sleeping.py:sleep_", *words]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stderr.readline() == b"here\n"
    assert len(names_in(tmp_path) - before) == begun
    child.send_signal(number)
    shown = child.communicate(timeout=30)
    assert (child.returncode, *shown) == (code, b"", b"")
    assert names_in(tmp_path) == before
    assert (tmp_path / "x.safetensors").read_text() == "precious"


def test_a_signal_while_threads_write_blocks_leaves_no_file(write, tmp_path):
    write("layers: [{Linear: [20000, 10000]}]")
    child = subprocess.Popen(INIT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while child.poll() is None and len(names_in(tmp_path)) == 1:
        time.sleep(0.01)
    child.terminate()
    shown = child.communicate(timeout=30)
    assert (child.returncode, *shown) == (-signal.SIGTERM, b"", b"")
    assert names_in(tmp_path) == {"spec.yaml"}


def test_a_signal_does_not_wait_for_whoever_should_read_the_report(write):
    spec = write("layers: [{Repeat: {times: 20000, layer: {Linear: [2, 2]}}}]")
    child = subprocess.Popen([sys.executable, "-m", "paramctl", "list", spec, "-f", "csv"], stdout=subprocess.PIPE)
    child.stdout.read(1)
    child.terminate()
    assert child.wait(timeout=30) == -signal.SIGTERM
    child.stdout.close()


def test_a_signal_that_is_ignored_as_by_nohup_stays_ignored(write, tmp_path):
    write("layers: [{Linear: [10, 10]}]")
    write("import os, signal\ndef hang_up_(tensor):\n    os.kill(os.getpid(), signal.SIGHUP)\n", "hanging.py")
    command = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *INIT, "--rule", "*=hanging.py:hang_up_"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert "x.safetensors" in names_in(tmp_path)


@pytest.mark.parametrize("words", [[], ["--max-shard-size", "300KB"]])
def test_a_full_disk_leaves_the_old_file_and_no_other(words, write, tmp_path):
    write("layers: [{Linear: [256, 256]}, {Linear: [256, 256]}]")
    write("precious", "x.safetensors")
    command = ["sh", "-c", 'ulimit -f 20; exec "$@"', "sh", *INIT, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    named = "x-00001-of-00002.safetensors" if words else "x.safetensors"
    assert done.stderr == f"error: --out: cannot write {named}: File too large\n"
    assert names_in(tmp_path) == {"spec.yaml", "x.safetensors"}
    assert (tmp_path / "x.safetensors").read_text() == "precious"


def test_a_full_disk_is_told_from_a_bug_where_torch_writes_the_file(write, tmp_path):
    write("layers: [{Linear: [256, 256]}]")
    write("precious", "x.pt")
    command = ["sh", "-c", 'ulimit -f 20; exec "$@"', "sh", *INIT[:-1], "x.pt"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "error: --out: cannot write x.pt: File too large\n")
    assert names_in(tmp_path) == {"spec.yaml", "x.pt"}
    assert (tmp_path / "x.pt").read_text() == "precious"
