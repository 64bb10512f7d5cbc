"""What tests run the tool with: in this process, or, where the process itself is tested, in one of its own."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from paramctl.cli.main import run
from paramctl.references import Allowance
from paramctl.spec.catalog import load_catalog
from paramctl.spec.model import Spec
from paramctl.spec.read import read_spec
from paramctl.tensors.building.construct import user_signature

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Result:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The report of a command that was run with ``--format json``."""
        assert self.code == 0, self.err
        return json.loads(self.out)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run slow tests first: one that begins last would keep a process busy while the others have nothing to do."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "PARAMCTL_MODEL"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def paramctl(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run a command in this process."""

    def call(*words: object) -> Result:
        capsys.readouterr()
        code = run([str(word) for word in words])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return call


@pytest.fixture
def report(paramctl: Callable[..., Result]) -> Callable[..., Any]:
    """Run a command in this process and return its JSON report."""

    def call(*words: object) -> Any:
        return paramctl(*words, "--format", "json").json

    return call


@pytest.fixture
def process() -> Callable[..., Result]:
    """Run a command in a process of its own."""

    def call(*words: object, stdin: str = "", code: str | None = None, **environment: str) -> Result:
        start = [sys.executable, "-c", code] if code is not None else [sys.executable, "-m", "paramctl"]
        done = subprocess.run(
            [*start, *map(str, words)],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            encoding="utf-8",
            env={**os.environ, **environment},
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def in_terminal() -> Callable[..., Result]:
    """Run a command in a process of its own, with stderr on a terminal, and stdout too unless it is piped.

    What the terminal showed is in `err`; as soon as it has shown `awaited`, the process gets a signal.
    """

    def call(
        *words: object,
        columns: int = 80,
        piped: bool = False,
        awaited: str | None = None,
        number: int = 0,
        **environment: str,
    ) -> Result:
        primary, secondary = pty.openpty()
        fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        child = subprocess.Popen(
            [sys.executable, "-m", "paramctl", *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if piped else secondary,
            stderr=secondary,
            env={**os.environ, "TERM": "xterm-256color", **environment},
        )
        os.close(secondary)
        shown = b""
        for piece in _pieces(primary):
            shown += piece
            if awaited is not None and awaited in shown.decode(errors="replace"):
                child.send_signal(number)
                awaited = None
        out = child.communicate()[0] or b""
        return Result(child.returncode, out.decode(), shown.decode().replace("\r\n", "\n"))

    return call


def _pieces(terminal: int) -> Iterator[bytes]:
    """Yield what is written to a terminal until its other end is closed, which is an error on Linux."""
    with suppress(OSError):
        while piece := os.read(terminal, 65536):
            yield piece
    os.close(terminal)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write a file into a new working directory."""
    monkeypatch.chdir(tmp_path)

    def call(text: str, name: str = "spec.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return Path(name)

    return call


@pytest.fixture
def spec() -> Callable[..., Spec]:
    """Read the text of a spec."""

    def call(text: str, *allowed: str, directory: Path | None = None) -> Spec:
        here = directory or Path.cwd()
        return read_spec(
            text,
            "spec.yaml",
            directory=here,
            allowance=Allowance.of(list(allowed), here),
            catalog=load_catalog(),
            signature_of=user_signature,
        )

    return call
