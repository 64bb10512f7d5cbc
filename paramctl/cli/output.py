"""What goes to stdout and to stderr: the report to the one, notes and errors to the other."""

from __future__ import annotations

import os
import shutil
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import typer

from paramctl.errors import ParamctlError, Problem, failure
from paramctl.files import replacing
from paramctl.render.formats import OutputFormat, render
from paramctl.render.text import escape

if TYPE_CHECKING:
    from paramctl.reports.base import Report

_UNBOUNDED = 1_000_000
"""Wider than any table: in a pipe a table is as wide as its content."""
_MOST_PROBLEMS = 50
_RED, _YELLOW, _BLUE = "\x1b[1;31m", "\x1b[33m", "\x1b[36m"


@dataclass(frozen=True, slots=True)
class Output:
    """Where a report goes, and in which format."""

    format: OutputFormat
    file: Path | None


def emit(report: Report, output: Output) -> None:
    """Write a report, and its notes to stderr.

    Raises:
        ParamctlError: if the file cannot be written.
        typer.Exit: if nobody reads stdout any more.

    """
    for note in report.notes:
        print_note(note)
    if output.file is None or str(output.file) == "-":
        _write_stdout(render(report, output.format, _width(sys.stdout), _color(sys.stdout)), output.format)
        return
    with (
        replacing(output.file, "--output") as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace") as file,
    ):
        file.writelines(render(report, output.format, _columns() or _UNBOUNDED, None))


def emit_text(text: str, file: Path | None) -> None:
    """Write a text that is no report."""
    if file is None or str(file) == "-":
        _write_stdout(iter([text]), OutputFormat.JSON)
        return
    with replacing(file, "--output") as temporary:
        temporary.write_text(text, encoding="utf-8")


def print_note(note: str) -> None:
    """Tell the user something that is no error."""
    _print_error(f"{_styled('note:', _YELLOW)} {escape(note)}")


def print_error(error: ParamctlError) -> None:
    """Show the problems of an error with their places and hints."""
    for problem in error.problems[:_MOST_PROBLEMS]:
        _print_error(_problem_text(problem))
    hidden = len(error.problems) - _MOST_PROBLEMS
    if hidden > 0:
        _print_error(f"… and {hidden:,} more")


def print_bug() -> None:
    """Show the traceback of an exception that should not have come this far."""
    traceback.print_exc()
    _print_error(f"{_styled('bug:', _RED)} a mistake in paramctl, not in your input; please report the lines above")


def _problem_text(problem: Problem) -> str:
    place = "".join(f"{escape(str(part))}: " for part in (problem.where, problem.path) if part)
    text = f"{_styled('error:', _RED)} {place}{escape(problem.message)}"
    return f"{text}\n  {_styled('hint:', _BLUE)} {escape(problem.hint)}" if problem.hint else text


def _print_error(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201  the one place that prints


def _write_stdout(pieces: Iterator[str], output_format: OutputFormat) -> None:
    stdout = sys.stdout
    if hasattr(stdout, "reconfigure"):
        # A program reads UTF-8; a terminal that lacks a character shows a substitute.
        machine = output_format is not OutputFormat.TABLE
        stdout.reconfigure(encoding="utf-8" if machine else None, errors="backslashreplace" if machine else "replace")
    try:
        stdout.writelines(pieces)
        stdout.flush()
    except BrokenPipeError:
        # Whoever reads has seen enough; what is still buffered must not fail once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
        raise typer.Exit from None
    except OSError as error:
        raise failure(f"cannot write to standard output: {error.strerror}") from error


def _styled(text: str, code: str) -> str:
    return f"{code}{text}\x1b[0m" if _color(sys.stderr) else text


def _color(stream: TextIO) -> str | None:
    """Return the colour system to use: basic colours on a terminal, none in a pipe, as NO_COLOR and FORCE_COLOR say."""
    if os.environ.get("NO_COLOR"):
        return None
    if os.environ.get("FORCE_COLOR", "0") not in {"", "0"}:
        return "standard"
    return "standard" if stream.isatty() and os.environ.get("TERM") != "dumb" else None


def _width(stream: TextIO) -> int:
    return _columns() or (shutil.get_terminal_size().columns if stream.isatty() else _UNBOUNDED)


def _columns() -> int | None:
    text = os.environ.get("COLUMNS", "")
    return int(text) if text.isdigit() and int(text) > 0 else None
