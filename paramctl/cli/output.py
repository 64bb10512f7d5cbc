"""What goes to stdout and to stderr: the report to the one, notes and errors to the other."""

from __future__ import annotations

import codecs
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

import typer

from paramctl.errors import ParamctlError, Problem, failure
from paramctl.files import replacing
from paramctl.render.formats import OutputFormat, render
from paramctl.render.sketch import LEVELS, in_ascii
from paramctl.render.text import escape

if TYPE_CHECKING:
    from paramctl.reports.base import Report

_UNBOUNDED = 1_000_000
"""Wider than any table: in a pipe a table is as wide as its content."""
_USUAL_COLUMNS = 80
"""Those of a terminal that does not tell how many it has."""
_MOST_PROBLEMS = 50
_STDOUT = frozenset({"-", "/dev/stdout", "/dev/fd/1"})
"""What means standard output; opened by its path it would be written from its start again."""
_DRAWN = "paramctl.drawn"
_ASCII = {
    **dict.fromkeys("─╶╴", "-"),
    **dict.fromkeys("│╷╵", "|"),
    **dict.fromkeys("├└┌┐┘┤┬┴┼", "+"),
    **dict.fromkeys("▉▊▋▌▍", "#"),
    **dict.fromkeys("▎▏", "-"),
    "·": "-",
    "–": "-",
    "→": ">",
    "…": "~",
    "×": "*",
    "±": "/",
    "√": "sqrt ",
    "²": "^2",
    "⌈": "ceil(",
    "⌉": ")",
}
"""What stands for the characters of a table, one for one but in formulas, which stand last in theirs; full blocks are
those of `sketch.in_ascii`."""
_RED, _YELLOW, _BLUE = "\x1b[1;31m", "\x1b[33m", "\x1b[36m"


@dataclass(frozen=True, slots=True)
class Output:
    """Where a report goes, and in which format."""

    format: OutputFormat
    file: Path | None


def emit(report: Report, output: Output) -> None:
    """Write a report, and its notes to stderr.

    Raises:
        ParamctlError: if the file cannot be written, or stdout is closed.
        typer.Exit: if nobody reads stdout any more.

    """
    for note in report.notes:
        print_note(note)
    file = _to_file(output.file)
    if file is None:
        stdout = _stdout()
        pieces = render(report, output.format, width_of(stdout), color_of(stdout))
        machine = output.format is not OutputFormat.TABLE
        _write_stdout(pieces if machine or _has(stdout, LEVELS) else map(in_ascii, pieces), machine=machine)
    else:
        _write_file(file, render(report, output.format, _columns() or _UNBOUNDED, None))


def emit_text(text: str, file: Path | None) -> None:
    """Write a text that is no report; raises as `emit` does."""
    target = _to_file(file)
    if target is None:
        _write_stdout(iter([text]), machine=True)
    else:
        _write_file(target, iter([text]))


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
    if sys.stderr is not None:  # None where it was closed; print would then write to stdout
        with suppress(BrokenPipeError):  # whoever reads has seen enough
            print(text, file=sys.stderr)  # noqa: T201  the one place that prints


def _to_file(file: Path | None) -> Path | None:
    """Return the file to write, or None for standard output."""
    return None if file is None or str(file) in _STDOUT else file


@contextmanager
def stdout_on_stderr() -> Iterator[None]:
    """Let what code of the user's own prints go to stderr, also what C code or a program that it starts prints."""
    out, err = sys.__stdout__, sys.__stderr__
    with redirect_stdout(sys.stderr):
        if out is None or err is None:
            yield
            return
        kept = os.dup(out.fileno())
        os.dup2(err.fileno(), out.fileno())
        try:
            yield
        finally:
            with suppress(OSError):
                out.flush()
            os.dup2(kept, out.fileno())
            os.close(kept)


def _stdout() -> TextIO:
    if sys.stdout is None:
        raise failure("standard output is closed", hint="write to a file with --output")
    return sys.stdout


def _write_file(file: Path, pieces: Iterator[str]) -> None:
    with replacing(file, "--output") as temporary:
        try:
            with temporary.open("w", encoding="utf-8", errors="backslashreplace") as stream:
                stream.writelines(pieces)
        except BrokenPipeError:
            # A pipe with a name, whose reader has seen enough.
            raise typer.Exit from None


def _write_stdout(pieces: Iterator[str], *, machine: bool) -> None:
    stdout = _stdout()
    if hasattr(stdout, "reconfigure"):
        codecs.register_error(_DRAWN, _drawn)
        # A program reads UTF-8; a terminal that lacks a character shows a substitute.
        stdout.reconfigure(encoding="utf-8" if machine else None, errors="backslashreplace" if machine else _DRAWN)
    try:
        stdout.writelines(pieces)
        stdout.flush()
    except BrokenPipeError:
        # Whoever reads has seen enough; what is still buffered must not fail once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
        raise typer.Exit from None
    except OSError as error:
        raise failure(f"cannot write to standard output: {error.strerror}") from error


def _drawn(error: UnicodeError) -> tuple[str, int]:
    """Write what a terminal lacks the characters for: lines and bars in ASCII, a question mark for everything else."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(_ASCII.get(character, "?") for character in missing), error.end


def _styled(text: str, code: str) -> str:
    return f"{code}{text}\x1b[0m" if sys.stderr is not None and color_of(sys.stderr) else text


def is_screen(stream: TextIO) -> bool:
    """Tell whether a person reads along on a terminal that can move its cursor and show colours."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def color_of(stream: TextIO) -> Literal["standard"] | None:
    """Return the colour system to use: basic colours on a terminal, none in a pipe, as NO_COLOR and FORCE_COLOR say."""
    if os.environ.get("NO_COLOR"):
        return None
    if os.environ.get("FORCE_COLOR", "0") not in {"", "0"}:
        return "standard"
    return "standard" if is_screen(stream) else None


def _has(stream: TextIO, characters: str) -> bool:
    """Tell whether a stream's encoding has all of some characters."""
    try:
        characters.encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def width_of(stream: TextIO) -> int:
    """Return the columns of a terminal, or more than are ever needed; COLUMNS counts more than either."""
    return _columns() or (_terminal_columns(stream) if stream.isatty() else _UNBOUNDED)


def _terminal_columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or _USUAL_COLUMNS
    except (OSError, ValueError):
        return _USUAL_COLUMNS


def _columns() -> int | None:
    text = os.environ.get("COLUMNS", "")
    return int(text) if text.isdigit() and int(text) > 0 else None
