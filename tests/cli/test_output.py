"""What goes where: stdout, stderr, files, terminals and pipes; each in a process of its own."""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "paramctl"]
ANSI = re.compile(r"\x1b\[[0-9;]*m")


class TestTerminals:
    def test_a_terminal_has_colours_and_its_own_width(self, in_terminal):
        shown = in_terminal("list", "example:gpt2", columns=70).err
        assert "\x1b[" in shown
        assert max(len(line) for line in ANSI.sub("", shown).splitlines()) <= 70

    def test_no_color_and_a_dumb_terminal_have_none(self, in_terminal):
        assert "\x1b[" not in in_terminal("list", "example:mlp", NO_COLOR="1").err
        assert "\x1b[" not in in_terminal("list", "example:mlp", TERM="dumb").err

    def test_an_error_on_a_terminal_has_colours_too(self, in_terminal):
        assert in_terminal("list", "example:no").err.startswith("\x1b[1;31merror:\x1b[0m ")

    def test_columns_counts_more_than_the_terminal(self, in_terminal):
        shown = ANSI.sub("", in_terminal("list", "example:gpt2", columns=200, COLUMNS="65").err)
        assert max(len(line) for line in shown.splitlines()) <= 65


class TestPipes:
    def test_a_pipe_has_no_codes_and_the_width_of_the_content(self, process):
        page = process("list", "example:gpt2").out
        assert "\x1b" not in page
        rule = page.splitlines()[1]
        assert set(rule) == {"─"}
        assert max(len(line) for line in page.splitlines()) == len(rule)
        assert all(line == line.rstrip() for line in page.splitlines())
        assert all(
            "transformer.h.10.attn.c_attn.weight" not in line or "[2304, 768]" in line for line in page.splitlines()
        )

    def test_columns_narrows_a_pipe(self, process):
        assert max(len(line) for line in process("list", "example:gpt2", COLUMNS="65").out.splitlines()) <= 65

    def test_force_color_colours_a_pipe_unless_no_color_says_no(self, process):
        assert "\x1b[" in process("list", "example:mlp", FORCE_COLOR="1").out
        assert "\x1b[" not in process("list", "example:mlp", FORCE_COLOR="1", NO_COLOR="1").out
        assert "\x1b[" not in process("list", "example:mlp", FORCE_COLOR="0").out

    def test_no_color_counts_more_than_force_color_in_what_typer_prints(self, process):
        for words in (["--help"], ["lst"]):
            done = process(*words, NO_COLOR="1", FORCE_COLOR="1")
            assert "\x1b" not in done.out + done.err

    @pytest.mark.parametrize("options", [[], ["-f", "table"], ["-f", "json"], ["-f", "csv"]], ids=" ".join)
    def test_a_closed_pipe_ends_quietly(self, options, tmp_path):
        spec = tmp_path / "large.yaml"
        spec.write_text("layers: [{Repeat: {times: 20000, layer: {Linear: [2, 2]}}}]")
        words = [*COMMAND, "list", str(spec), *options]
        child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.readline()
        child.stdout.close()
        assert child.stderr.read() == b""
        child.stderr.close()
        assert child.wait() == 0

    @pytest.mark.parametrize("name", ["/dev/stdout", "pipe.json"])
    def test_a_closed_pipe_that_was_named_ends_quietly_too(self, name, tmp_path):
        (tmp_path / "large.yaml").write_text("layers: [{Repeat: {times: 20000, layer: {Linear: [2, 2]}}}]")
        os.mkfifo(tmp_path / "pipe.json")
        read = "" if name == "/dev/stdout" else f"head -1 {name} & exec >&-;"
        write = f'{read} "{sys.executable}" -m paramctl list large.yaml -o {name}; echo $? >&2'
        command = f"{{ {write}; }} | head -1"
        done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.stderr == "0\n"

    def test_a_closed_stdout_is_an_error_unless_a_file_is_written(self, tmp_path):
        command = f'"{sys.executable}" -m paramctl list example:mlp >&-'
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr.splitlines()[0]) == (2, "error: standard output is closed")
        done = subprocess.run(["sh", "-c", f"{command} -o {tmp_path}/x"], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")

    def test_a_note_does_not_go_to_stdout_where_stderr_is_closed(self, tmp_path):
        command = f'"{sys.executable}" -m paramctl list --format json 2>&-'
        done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert json.loads(done.stdout)["model"] == "example:mlp"

    def test_a_note_that_nobody_reads_is_no_failure(self, tmp_path):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run([*COMMAND, "list"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=writer, check=False)
        os.close(writer)
        assert done.returncode == 0
        assert b"0.weight" in done.stdout

    def test_a_full_disk_behind_stdout_is_an_error(self):
        if not os.path.exists("/dev/full"):  # noqa: PTH110  a device, not a path of ours
            pytest.skip("this system has no /dev/full")
        with open("/dev/full", "wb") as full:  # noqa: PTH123
            done = subprocess.run([*COMMAND, "list", "example:mlp"], stdout=full, stderr=subprocess.PIPE, check=False)
        assert done.returncode == 2
        assert done.stderr == b"error: cannot write to standard output: No space left on device\n"

    def test_where_there_is_ascii_alone_formulas_and_expectations_can_still_be_read(self, process):
        def shown(*words):
            return process(*words, PYTHONIOENCODING="ascii", PYTHONUTF8="0").out

        schemes = shown("schemes")
        assert "U(-b, b), b = gain * sqrt (6 / (fan_in + fan_out))\n" in schemes
        assert "N(0, std^2), then ceil(sparsity * rows) elements of each column" in schemes
        table = shown("init", "example:mlp", "--scheme", "normal", "--hist")
        assert "0 / 0.01\n" in table
        assert "seed 0 - expected is mean / std\n" in table
        assert "80 * ModuleDict" in (tree := shown("list", "example:llama2_70b", "--tree"))
        assert "?" not in schemes + table + tree

    def test_a_character_that_the_terminal_lacks_is_replaced_in_a_table_and_kept_in_json(self, process, write):
        write("layers: {naïve: {Linear: [1, 1]}}")
        table = process("list", "spec.yaml", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
        assert table.code == 0
        assert "na?ve.weight" in table.out
        assert (
            "naïve.weight" in process("list", "spec.yaml", "-f", "json", PYTHONIOENCODING="ascii", PYTHONUTF8="0").out
        )


class TestFiles:
    @pytest.mark.parametrize("output_format", ["table", "json", "csv", "markdown"])
    def test_output_writes_what_stdout_would_show(self, output_format, paramctl, tmp_path):
        shown = paramctl("list", "example:mlp", "--format", output_format)
        written = paramctl("list", "example:mlp", "--format", output_format, "--output", tmp_path / "report")
        assert written.out == ""
        assert (tmp_path / "report").read_text() == shown.out

    @pytest.mark.parametrize(
        ("suffix", "output_format"),
        [(".json", "json"), (".JSON", "json"), (".csv", "csv"), (".md", "markdown"), (".txt", "table")],
    )
    def test_the_suffix_of_a_file_tells_its_format(self, suffix, output_format, paramctl, tmp_path):
        assert paramctl("list", "example:mlp", "--output", tmp_path / f"report{suffix}").code == 0
        shown = paramctl("list", "example:mlp", "--format", output_format).out
        assert (tmp_path / f"report{suffix}").read_text() == shown

    def test_the_format_that_was_asked_for_counts_more_than_the_suffix(self, paramctl, tmp_path):
        paramctl("schemes", "--format", "csv", "--output", tmp_path / "report.json")
        assert (tmp_path / "report.json").read_text().startswith("name,options")

    def test_output_has_no_codes_even_where_colours_are_forced(self, paramctl, tmp_path, monkeypatch):
        monkeypatch.setenv("FORCE_COLOR", "1")
        paramctl("list", "example:mlp", "--output", tmp_path / "report")
        assert "\x1b" not in (tmp_path / "report").read_text()

    def test_a_dash_is_stdout(self, paramctl):
        assert paramctl("list", "example:mlp", "--output", "-").out == paramctl("list", "example:mlp").out

    def test_a_device_is_written_and_not_replaced(self, paramctl):
        before = os.stat("/dev/null").st_rdev  # noqa: PTH116
        assert paramctl("list", "example:mlp", "--output", "/dev/null").code == 0
        assert os.stat("/dev/null").st_rdev == before  # noqa: PTH116

    @pytest.mark.parametrize("command", ["list", "init", "shared", "grad"])
    def test_the_spec_is_not_written_over(self, command, paramctl, write, tmp_path):
        text = "layers: [{Linear: [2, 1]}]\ninput: {shape: [1, 2]}\n"
        spec = write(text, "spec.json")
        result = paramctl(command, spec, "-o", tmp_path / "spec.json")
        assert result.code == 2
        assert "is the file of MODEL too" in result.err
        assert spec.read_text() == text

    @pytest.mark.parametrize("command", ["list", "init", "grad"])
    def test_the_checkpoint_of_weights_is_not_written_over(self, command, paramctl, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert paramctl("init", "example:mlp", "--out", "w.safetensors").code == 0
        before = Path("w.safetensors").read_bytes()
        result = paramctl(command, "example:mlp", "--weights", "w.safetensors", "-o", "./w.safetensors")
        assert result.code == 2
        assert "./w.safetensors is the file of --weights too" in result.err
        assert Path("w.safetensors").read_bytes() == before

    @pytest.mark.parametrize("name", ["same.pt", "same.safetensors"])
    def test_two_things_are_not_written_into_one_file(self, name, paramctl, write):
        write("")
        result = paramctl("init", "example:mlp", "--out", name, "--output", f"./{name}")
        assert result.code == 2
        assert result.err.startswith(f"error: --output: ./{name} is the file of --out too")
        assert not Path(name).exists()
        assert paramctl("init", "example:mlp", "--output", "/dev/null").code == 0

    def test_a_failure_leaves_the_old_file(self, paramctl, write):
        old = write("precious", "report.json")
        assert paramctl("list", "example:mlp", "--layer", "9", "--output", old).code == 2
        assert old.read_text() == "precious"

    def test_a_failure_in_the_middle_of_writing_leaves_the_old_file_and_no_other(self, tmp_path):
        old = tmp_path / "report.json"
        old.write_text("precious")
        write = f'ulimit -f 1; exec "{sys.executable}" -m paramctl list example:alexnet --output report.json'
        done = subprocess.run(["sh", "-c", write], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert done.stderr == "error: --output: cannot write report.json: File too large\n"
        assert old.read_text() == "precious"
        assert list(tmp_path.iterdir()) == [old]

    def test_columns_counts_for_a_table_in_a_file(self, paramctl, tmp_path, monkeypatch):
        words = ("list", "example:gpt2", "--output", tmp_path / "report.txt")
        paramctl(*words)
        wide = (tmp_path / "report.txt").read_text()
        monkeypatch.setenv("COLUMNS", "65")
        paramctl(*words)
        narrow = (tmp_path / "report.txt").read_text()
        assert max(map(len, wide.splitlines())) > 65
        assert max(map(len, narrow.splitlines())) <= 65
        assert narrow == paramctl("list", "example:gpt2").out

    def test_a_directory_that_is_not_there_is_an_error(self, paramctl, tmp_path):
        result = paramctl("list", "example:mlp", "--output", tmp_path / "no" / "report")
        assert result.code == 2
        assert result.err.startswith("error: --output: there is no directory")


class TestStderr:
    def test_the_default_model_is_named_in_one_line_and_stdout_has_the_report_alone(
        self, paramctl, tmp_path, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)
        result = paramctl("list", "--format", "json")
        assert result.err == "note: no MODEL given: taking example:mlp\n"
        assert result.json["model"] == "example:mlp"

    def test_control_characters_are_shown_escaped(self, paramctl, write):
        result = paramctl("list", write('layers: {"a\\eb": {Linear: [1, 1]}, "c": "\\x07"}'))
        assert result.code == 2
        assert "\x1b" not in result.err
        assert "\x07" not in result.err
        assert "\\x07" in result.err

    def test_control_characters_in_notes_are_shown_escaped(self, paramctl, write):
        result = paramctl("init", "example:mlp", "--rule", "\x1b[31m=ones")
        assert result.err == "note: --rule: '\\x1b[31m' matches no parameter\n"
        result = paramctl("list", write("layers: [ReLU]\nfreeze: [x]", "a\x1b[31m\x07.yaml"))
        assert result.err == "note: a\\x1b[31m\\x07.yaml:2:10: freeze: 'x' matches no parameter\n"

    def test_control_characters_in_names_are_escaped_in_tables_and_kept_in_json(self, paramctl, write):
        spec = write('layers: {"a\\eb": {Linear: [1, 1]}}')
        assert "a\\x1bb.weight" in paramctl("list", spec).out
        assert paramctl("list", spec, "--format", "json").json["parameters"][0]["name"] == "a\x1bb.weight"

    def test_a_warning_of_torch_is_a_note_in_one_line(self, process, write):
        write("layers: [{TransformerEncoder: {encoder_layer: {TransformerEncoderLayer: [4, 2]}, num_layers: 1}}]")
        err = process("list", "spec.yaml").err
        assert err.startswith("note: enable_nested_tensor is True")
        assert len(err.splitlines()) == 1

    def test_torch_without_numpy_makes_no_noise(self, process):
        code = "import sys; sys.modules['numpy'] = None\nfrom paramctl.cli.main import main\nmain()"
        result = process("init", "example:mlp", "--scheme", "normal", code=code)
        assert (result.code, result.err) == (0, "")


NOISY = """
from torch import nn
print("importing")
class Noisy(nn.Linear):
    def __init__(self, size: int):
        super().__init__(size, size)
        print("constructing")
    def forward(self, x):
        print("forward")
        return super().forward(x)
def fill(weight):
    print("filling")
    weight.fill_(1)
"""


class TestPrints:
    @pytest.mark.parametrize(
        ("words", "printed"),
        [
            (["list"], "constructing"),
            (["list", "--stats"], "constructing"),
            (["shared"], "constructing"),
            (["grad"], "forward"),
            (["init", "--rule", "*=noisy_layers.py:fill"], "filling"),
        ],
    )
    def test_what_code_of_the_users_prints_goes_to_stderr(self, words, printed, write, process):
        write(NOISY, "noisy_layers.py")
        write("layers: [{noisy_layers.py:Noisy: 2}]\ninput: {shape: [1, 2]}")
        command, *options = words
        result = process(command, "spec.yaml", *options, "--allow", "noisy_layers.py", "--format", "json")
        assert json.loads(result.out)["command"] == command
        assert {"importing", printed} <= set(result.err.splitlines())


class TestExitCodes:
    @pytest.mark.parametrize(("status", "code"), [("", 0), ("3", 3), ("'no way'", 2)])
    def test_an_exit_has_its_code_and_its_message(self, status, code, monkeypatch, paramctl):
        from paramctl.sources import listing

        def leaving(*_, **__):
            raise SystemExit(*([ast.literal_eval(status)] if status else []))

        monkeypatch.setattr(listing, "list_parameters", leaving)
        result = paramctl("list", "example:mlp")
        assert (result.code, result.err) == (code, "error: no way\n" if code == 2 else "")

    def test_a_bug_keeps_its_traceback_says_so_and_exits_with_3(self, paramctl, monkeypatch):
        from paramctl.sources import listing

        def broken(*_, **__):
            raise KeyError("oh")

        monkeypatch.setattr(listing, "list_parameters", broken)
        result = paramctl("list", "example:mlp")
        assert result.code == 3
        assert "Traceback (most recent call last)" in result.err
        assert "KeyError: 'oh'" in result.err
        assert result.err.splitlines()[-1].startswith("bug: a mistake in paramctl, not in your input")

    def test_an_interrupt_exits_with_130_and_no_traceback(self, tmp_path):
        (tmp_path / "slow_layers.py").write_text(
            "import sys, time\nprint('here', flush=True, file=sys.stderr)\ntime.sleep(60)\nfrom torch import nn\nclass Slow(nn.Module): pass\n"
        )
        (tmp_path / "spec.yaml").write_text("layers: [slow_layers.py:Slow]")
        child = subprocess.Popen(
            [*COMMAND, "list", "spec.yaml", "--allow", "slow_layers.py", "--output", "report"],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert child.stderr is not None
        child.stderr.readline()
        time.sleep(0.1)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=30)
        assert child.returncode == 130
        assert b"Traceback" not in err
        assert not (tmp_path / "report").exists()

    def test_the_modules_main_is_the_command(self, process):
        assert process("--version").out.startswith("paramctl 0.")
