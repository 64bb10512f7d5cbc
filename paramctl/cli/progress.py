"""A progress bar on stderr, where work takes more than a second and stderr is a terminal; nothing otherwise.

Rich draws it, and is imported for it only once the second is over. It is put on the screen and erased here: Rich's
`Live` would hide the cursor, which a killed process cannot show again, wrap the lines that others write, and exchange
`sys.stdout` from a thread of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from threading import Event, RLock, Thread
from typing import Any, Final, TextIO

from paramctl.cli.output import color_of, is_screen, width_of
from paramctl.render import text
from paramctl.watching import Advance, unwatched

PATIENCE: Final = 1.0
"""How long work takes before a bar is shown, in seconds."""
_INTERVAL: Final = 0.1
_LEAST_BAR: Final = 10
"""The columns of the shortest bar; where the numbers leave less room there is none."""
_ERASED: Final = "\r\x1b[K"


@contextmanager
def watch(total: int) -> Iterator[Advance]:
    """Show how many of so many bytes are done, while the block does them.

    What is written to stdout and stderr meanwhile goes to stderr, above the bar.
    """
    stderr = sys.stderr
    if stderr is None or not is_screen(stderr):
        with unwatched(total) as advance:
            yield advance
        return
    line = _Line(stderr)
    done = _Count()
    over = Event()
    painter = Thread(target=_paint, args=(line, total, done, over), daemon=True)
    painter.start()
    try:
        with redirect_stdout(line), redirect_stderr(line):
            yield done.add
    finally:
        over.set()
        painter.join()


class _Count:
    """A number that many threads add to."""

    def __init__(self) -> None:
        self.value = 0
        self._lock = RLock()

    def add(self, number: int) -> None:
        with self._lock:
            self.value += number


class _Line:
    """A terminal whose last line is drawn again and again, below what is written to it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = RLock()
        self._drawn = False
        self._begun = False  # whether what was written last is the beginning of a line, which must stay

    def write(self, written: str) -> int:
        with self._lock:
            if written:  # Rich writes nothing whenever it has rendered the bar
                self.erase()
                self._begun = not written.endswith("\n")
            return self._stream.write(written)

    def writelines(self, lines: Iterable[str]) -> None:
        for each in lines:
            self.write(each)

    def draw(self, drawing: str) -> None:
        with self._lock:
            if not self._begun:
                self._stream.write(f"\r{drawing}\x1b[K")
                self._stream.flush()
                self._drawn = True

    def erase(self) -> None:
        with self._lock:
            if self._drawn:
                self._stream.write(_ERASED)
                self._stream.flush()
                self._drawn = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _paint(line: _Line, total: int, done: _Count, over: Event) -> None:
    """Draw the bar until the work is over, and leave the line empty."""
    if over.wait(PATIENCE):
        return
    with suppress(OSError, ValueError):  # the terminal may have gone; the work goes on
        drawing = _drawer(line, total)
        drawing(done.value)  # a rate takes two looks
        while not over.wait(_INTERVAL):
            line.draw(drawing(done.value))
        line.erase()


def _drawer(stream: Any, total: int) -> Callable[[int], str]:
    """Return what draws the bar at a number of bytes, leaving out what a narrow terminal has no room for."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

    from paramctl.render.layout import captured

    console = Console(file=stream, force_terminal=True, color_system=color_of(stream), legacy_windows=False)
    bar = BarColumn(style="dim", complete_style="none", finished_style="none")
    amount, rate = TextColumn("{task.fields[amount]}"), TextColumn("{task.fields[rate]}")
    remaining = TimeRemainingColumn()
    layouts: list[tuple[ProgressColumn, ...]]
    layouts = [(bar, amount, rate, remaining), (amount, rate, remaining), (amount, remaining), (amount,)]
    progress = Progress(console=console, auto_refresh=False)
    number = progress.add_task("", total=total, amount="", rate="")

    def draw(done: int) -> str:
        progress.update(number, completed=done)
        task = progress.tasks[0]
        task.fields["amount"] = f"{text.size(done)} of {text.size(total)}"
        task.fields["rate"] = "" if task.speed is None else f"{text.size(int(task.speed))}/s"
        room: dict[ProgressColumn, int] = {each: len(str(each.render(task))) for each in (amount, rate, remaining)}
        room[bar] = _LEAST_BAR
        width = width_of(stream) - 1  # in the last column a terminal may begin another line
        fitting = (each for each in layouts if sum(room[column] + 1 for column in each) - 1 <= width)
        progress.columns = next(fitting, layouts[-1])
        return captured(console, progress.get_renderable(), width).rstrip()

    return draw
