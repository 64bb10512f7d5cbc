"""The entry point: runs a command and turns what it raises into an exit code."""

from __future__ import annotations

import gc
import os
import sys
import warnings

BROKEN_INPUT, BUG, INTERRUPTED = 2, 3, 130


def main() -> None:
    """Run the command line and exit: 0 done, 1 a check found something, 2 wrong input, 3 a bug, 130 interrupted."""
    # A collection of the many objects that importing torch makes finds nothing and takes a third of its time.
    gc.disable()
    warnings.filterwarnings("ignore", message="Failed to initialize NumPy")
    code = _run()
    # At exit the interpreter would collect once more, which takes as long again.
    gc.freeze()
    sys.exit(code)


def _run() -> int:
    from paramctl.cli.app import app
    from paramctl.cli.output import print_bug, print_error
    from paramctl.errors import ParamctlError

    try:
        app(prog_name="paramctl")
    except ParamctlError as error:
        print_error(error)
        return BROKEN_INPUT
    except BrokenPipeError:
        # Whoever read the report has seen enough; what is still buffered must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    except Exception:  # noqa: BLE001  anything else is a bug, and says so
        print_bug()
        return BUG
    return 0
