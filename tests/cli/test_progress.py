"""The progress bar: on a terminal of stderr, for work that takes long, and gone without a trace when it is over."""

from __future__ import annotations

import logging
import os
import pty
import re
import select
import signal
import sys
import threading
import time

import pytest

from paramctl.cli import progress

COLOR = re.compile(r"\x1b\[[0-9;]*m")
DRAWN = "12.0 KiB of 36.0 KiB"


def screen(shown):
    """Return the lines that a terminal is left with: a carriage return goes to their start, and an erasure to their end."""
    lines = []
    for written in COLOR.sub("", shown).split("\n"):
        line = ""
        for piece in written.split("\r"):
            kept, *erased = piece.split("\x1b[K")
            line = kept if erased else kept + line[len(kept) :]
            line += "".join(erased)
        lines.append(line)
    return lines


class Terminal:
    """A terminal that stderr is on inside the block, where work of a twentieth of a second is long."""

    def __init__(self, monkeypatch):
        monkeypatch.setattr(progress, "PATIENCE", 0.05)
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", "80")
        self.primary, secondary = pty.openpty()
        self.stream = os.fdopen(secondary, "w", encoding="utf-8")
        self.shown = ""

    def __enter__(self):
        self.before = sys.stderr
        sys.stderr = self.stream
        return self

    def __exit__(self, *raised):
        sys.stderr = self.before
        self.stream.write("the end")
        self.stream.flush()
        self.read_until("the end")
        self.shown = self.shown.removesuffix("the end").replace("\r\n", "\n")

    def read_until(self, awaited):
        """Wait until something has been shown that was not there yet."""
        before = len(self.shown)
        while awaited not in self.shown[before:]:
            assert select.select([self.primary], [], [], 20)[0], self.shown
            self.shown += os.read(self.primary, 65536).decode()


@pytest.fixture
def terminal(monkeypatch):
    found = Terminal(monkeypatch)
    yield found
    found.stream.close()
    os.close(found.primary)


def work(during):
    with progress.watch(36 * 1024) as advance:
        advance(12 * 1024)
        during()


class TestBar:
    def test_it_shows_what_is_done_of_the_whole_and_is_gone_afterwards(self, terminal):
        with terminal:
            work(lambda: terminal.read_until(DRAWN))
        assert screen(terminal.shown) == [""]
        assert "\x1b[?25l" not in terminal.shown  # whoever is killed could not show the cursor again

    def test_it_shows_the_rate_and_what_remains(self, terminal):
        with terminal, progress.watch(2**30) as advance:
            for done in range(100, 1000, 100):
                advance(100 * 2**20)
                terminal.read_until(f"{done} MiB of 1.0 GiB")
        assert re.search(r"900 MiB of 1\.0 GiB \S+ [MG]iB/s 0:00:\d\d", COLOR.sub("", terminal.shown))

    @pytest.mark.parametrize(
        ("columns", "shown"),
        [
            (60, r"━ +512 MiB of 1\.0 GiB \S+ [MG]iB/s 0:00:\d\d"),
            (40, r"512 MiB of 1\.0 GiB \S+ [MG]iB/s 0:00:\d\d"),
            (30, r"512 MiB of 1\.0 GiB 0:00:\d\d"),
            (20, r"512 MiB of 1\.0 GiB"),
        ],
    )
    def test_a_narrow_terminal_has_whole_numbers_and_the_rate_goes_before_what_remains(
        self, columns, shown, terminal, monkeypatch
    ):
        monkeypatch.setenv("COLUMNS", str(columns))
        with terminal, progress.watch(2**30) as advance:
            advance(256 * 2**20)
            terminal.read_until("256 MiB of 1.0 GiB")
            advance(256 * 2**20)
            terminal.read_until("512 MiB of 1.0 GiB")
            terminal.read_until("512 MiB of 1.0 GiB")
        drawn = [COLOR.sub("", each).removesuffix("\x1b[K") for each in terminal.shown.split("\r")]
        assert re.search(f"{'' if columns == 60 else '^'}{shown}$", [each for each in drawn if each][-1])
        assert max(map(len, drawn)) < columns

    def test_it_is_drawn_over_and_erased_once(self, terminal):
        with terminal:
            work(lambda: [terminal.read_until(DRAWN) for _ in range(3)])
        assert terminal.shown.count("\r\x1b[K") == 1

    def test_short_work_shows_none(self, terminal):
        with terminal:
            work(lambda: None)
        assert terminal.shown == ""

    def test_a_dumb_terminal_shows_none(self, terminal, monkeypatch):
        monkeypatch.setenv("TERM", "dumb")
        with terminal:
            work(lambda: time.sleep(0.3))
        assert terminal.shown == ""

    def test_a_pipe_shows_none_even_where_colours_are_forced(self, monkeypatch, capsys):
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setattr(progress, "PATIENCE", 0.05)
        work(lambda: time.sleep(0.3))
        assert capsys.readouterr() == ("", "")

    def test_a_closed_stderr_shows_none(self, monkeypatch):
        monkeypatch.setattr(sys, "stderr", None)
        work(lambda: None)

    def test_no_color_takes_its_colours_away(self, terminal, monkeypatch):
        monkeypatch.setenv("NO_COLOR", "1")
        with terminal:
            work(lambda: terminal.read_until(DRAWN))
        assert not COLOR.search(terminal.shown)

    @pytest.mark.parametrize("raised", [ValueError, KeyboardInterrupt])
    def test_it_is_gone_before_an_error_is_shown(self, raised, terminal):
        with terminal:
            streams = sys.stderr, sys.stdout
            with pytest.raises(raised), progress.watch(36 * 1024) as advance:
                advance(12 * 1024)
                terminal.read_until(DRAWN)
                raise raised
            assert (sys.stderr, sys.stdout) == streams
            sys.stderr.write("error\n")
        assert screen(terminal.shown) == ["error", ""]

    def test_threads_advance_it_together(self, terminal):
        with terminal, progress.watch(36 * 1024) as advance:
            threads = [threading.Thread(target=lambda: [advance(1) for _ in range(3 * 1024)]) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            terminal.read_until(DRAWN)


class TestPrints:
    def test_lines_that_others_write_stay_whole_above_it(self, terminal):
        long = "long " * 40
        with terminal, progress.watch(36 * 1024) as advance:
            advance(12 * 1024)
            for i in range(4):
                terminal.read_until(DRAWN)
                sys.stdout.write(f"to stdout {i}\n")
                sys.stderr.writelines([f"to stderr {i}, ", f"{long}\n"])
        lines = [line for i in range(4) for line in (f"to stdout {i}", f"to stderr {i}, {long}")]
        assert screen(terminal.shown) == [*lines, ""]

    def test_the_beginning_of_a_line_is_not_drawn_over(self, terminal):
        with terminal, progress.watch(36 * 1024) as advance:
            advance(12 * 1024)
            terminal.read_until(DRAWN)
            sys.stdout.write("loading")
            sys.stdout.flush()
            terminal.read_until("loading")
            time.sleep(0.3)
            sys.stdout.write(" done\n")
            terminal.read_until(" done")
            terminal.read_until(DRAWN)
        assert DRAWN not in terminal.shown.partition("loading")[2].partition(" done")[0]
        assert screen(terminal.shown) == ["loading done", ""]

    def test_the_stream_is_otherwise_as_it_was(self, terminal):
        with terminal:
            stderr = sys.stderr
            with progress.watch(1):
                assert sys.stderr.isatty()
                assert sys.stderr.fileno() == stderr.fileno()
                assert sys.stdout.encoding == "utf-8"
                logging.StreamHandler().emit(logging.makeLogRecord({"msg": "logged"}))
        assert screen(terminal.shown) == ["logged", ""]


SLOW = """
import time
def slow_(tensor):
    print("filling", list(tensor.shape))
    time.sleep(0.9)
    tensor.fill_(1)
"""


class TestCommands:
    """In processes of their own."""

    def test_init_shows_it_and_stdout_has_the_report_alone(self, write, in_terminal):
        spec = write("layers: [{Linear: [64, 64, false]}, {Linear: [64, 64, false]}]")
        write(SLOW, "slow_init.py")
        done = in_terminal(
            "init", spec, "--rule", "*=slow_init.py:slow_", "--out", "x.safetensors", "-f", "csv", piped=True
        )
        assert "16.0 KiB of 32.0 KiB" in done.err
        assert screen(done.err) == ["filling [64, 64]", "filling [64, 64]", ""]
        assert [line.partition(",")[0] for line in done.out.splitlines()] == ["name", "0.weight", "1.weight"]

    def test_an_interrupt_ends_it_in_a_listing_too(self, write, in_terminal):
        write(SLOW, "slow_init.py")
        spec = write(
            "layers: [{Linear: [64, 64, false]}, {Repeat: {times: 99, layer: {Linear: [64, 64, false]}}}]\n"
            "init: [{match: '*', scheme: slow_init.py:slow_}]"
        )
        words = ("list", spec, "--stats", "--allow", "slow_init.py")
        done = in_terminal(*words, awaited=" of 1.6 MiB", number=signal.SIGINT)
        assert done.code == 130
        assert set(screen(done.err)) == {"filling [64, 64]", ""}

    @pytest.mark.parametrize("words", [["init"], ["list", "--stats"]])
    def test_where_nobody_watches_the_bar_of_rich_is_not_imported(self, words, process):
        code = (
            "import sys\nfrom paramctl.cli import progress\nprogress.PATIENCE = 0\nfrom paramctl.cli.main import run\n"
            "run(sys.argv[1:])\nprint('rich.progress' in sys.modules, file=sys.stderr)"
        )
        command, *options = words
        assert process(command, "example:mlp", *options, code=code).err == "False\n"
