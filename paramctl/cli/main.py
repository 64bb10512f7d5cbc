"""The entry point: runs a command and turns what it raises into an exit code."""

from __future__ import annotations

import gc
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from paramctl.errors import ParamctlError, Terminated, failure

CHECK_FAILED, BROKEN_INPUT, BUG, INTERRUPTED = 1, 2, 3, 130


def main() -> None:
    """Run the command line and exit: 0 done, 1 a check found something, 2 wrong input, 3 a bug, 130 interrupted.

    A command that is told to end by a signal ends by that signal: for a shell, 143 for SIGTERM.
    """
    # A collection of the many objects that importing torch makes finds nothing and takes a third of its time.
    gc.disable()
    if os.environ.get("NO_COLOR"):
        os.environ.pop("FORCE_COLOR", None)  # Typer would let it win
    warnings.filterwarnings("ignore", message="Failed to initialize NumPy")
    warnings.showwarning = _show_warning
    _heed_signals()
    try:
        code = run()
    except Terminated as signalled:
        signal.signal(signalled.number, signal.SIG_DFL)
        os.kill(os.getpid(), signalled.number)
        raise
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            if stream is not None:
                stream.flush()
    # Without the interpreter's way out, which frees every object of torch one by one and takes a fifth of the time.
    os._exit(code)


def _heed_signals() -> None:
    """Let what is being written be removed where a signal would end the process at once; `nohup` still holds."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _terminate)


def _terminate(number: int, _: object) -> None:
    raise Terminated(number)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Show a warning of torch's as a note, without the line of torch's source that it came from."""
    from paramctl.cli.output import print_note

    print_note(str(message))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        arguments: the words of the command line; those of the process if there are none.
    """
    from typer import Exit

    from paramctl.cli.output import print_bug, print_error

    try:
        from paramctl.cli.app import call

        call(sys.argv[1:] if arguments is None else arguments)
    except Exit as stop:
        return stop.exit_code
    except ParamctlError as error:
        print_error(error)
        return BROKEN_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as stop:
        if stop.code is None or isinstance(stop.code, int):
            return stop.code or 0
        print_error(failure(str(stop.code)))
        return BROKEN_INPUT
    except Exception:  # noqa: BLE001  anything else is a bug, and says so
        print_bug()
        return BUG
    return 0
