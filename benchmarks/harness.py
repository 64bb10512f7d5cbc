"""Runs two commands in turn, so that both see the same machine, and compares their medians."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

ROOT = Path(__file__).parent.parent
Call: TypeAlias = Callable[[], object]
RIVALS = ROOT / "benchmarks" / "rivals"
PARAMCTL = str(Path(sys.executable).with_name("paramctl"))


@dataclass(frozen=True)
class Contender:
    """A command with a name, the exit code that it must end with, and the file that it writes, removed afterwards."""

    name: str
    words: Sequence[str]
    code: int = 0
    writes: Path | None = None


@dataclass(frozen=True)
class Measured:
    """The median seconds of a command, and its largest peak of resident memory in bytes."""

    seconds: float
    memory: int


def python(*words: str) -> list[str]:
    """Return the command that runs this Python."""
    return [sys.executable, *words]


def measure_once(contender: Contender) -> tuple[float, int]:
    """Run a command with its output thrown away; return its seconds and its peak memory in bytes."""
    start = time.perf_counter()
    child = subprocess.Popen(  # noqa: S603  our own
        contender.words, env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != contender.code:
        raise SystemExit(f"{' '.join(contender.words)} ended with {child.returncode}, not {contender.code}")
    if contender.writes is not None:
        contender.writes.unlink()
    return seconds, usage.ru_maxrss * 1024


def _environment() -> dict[str, str]:
    """Return an environment in which Python keeps compiled modules, as it has them of an installed package."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def compare(
    title: str, ours: Contender, rival: Contender, *, runs: int, target: str, bounds: Sequence[Contender] = ()
) -> None:
    """Print the medians of both, their ratio, and their peak memory; the first run of each warms the disk cache up.

    Args:
        title: what is compared.
        ours: our command.
        rival: what a user would do instead.
        runs: how often each is run.
        target: what is wanted of the ratio.
        bounds: parts of the work alone, the slowest of which nothing can be faster than.

    """
    taken: dict[str, list[tuple[float, int]]] = {each.name: [] for each in (ours, rival, *bounds)}
    for run in range(runs + (runs > 1)):
        for contender in (rival, *bounds, ours):
            measured = measure_once(contender)
            if run > 0 or runs == 1:
                taken[contender.name].append(measured)
    print(f"\n{title}")
    results = {}
    for name, every in taken.items():
        results[name] = Measured(statistics.median(each[0] for each in every), max(each[1] for each in every))
        print(f"  {name:<44} {results[name].seconds:8.3f} s {results[name].memory / 2**20:8.0f} MiB")
    mine, theirs = results[ours.name], results[rival.name]
    more = (mine.memory - theirs.memory) / 2**20
    print(f"  {_ratio(mine.seconds, theirs.seconds)}, {more:+.0f} MiB, {runs} runs · wanted: {target}")
    if bounds:
        slowest = max(results[each.name].seconds for each in bounds)
        print(f"  {mine.seconds / slowest:.2f} × the time of the slower part alone · wanted: at most 1.5 ×")


def compare_calls(title: str, ours: Call, rival: Call, *, runs: int, target: str, rival_name: str = "torch") -> None:
    """Print the medians of two calls in this process and their ratio; the first run of each warms the caches up."""
    taken: dict[str, list[float]] = {"paramctl": [], rival_name: []}
    for run in range(runs + 1):
        for name, call in ((rival_name, rival), ("paramctl", ours)):
            start = time.perf_counter()
            call()
            if run > 0:
                taken[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(every) for name, every in taken.items()}
    print(f"\n{title}")
    for name, seconds in medians.items():
        print(f"  {name:<44} {seconds:8.3f} s")
    print(f"  {_ratio(medians['paramctl'], medians[rival_name])}, {runs} runs · wanted: {target}")


def _ratio(mine: float, theirs: float) -> str:
    return f"{theirs / mine:.2f} × faster ({mine / theirs:.2f} × the time)"
