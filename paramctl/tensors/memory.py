"""How much memory is left, so that what cannot fit is refused before it is allocated."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from paramctl.errors import failure
from paramctl.render.text import size

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")


def ensure_fits(nbytes: int, what: str, hint: str | None = None) -> None:
    """Refuse an allocation that is larger than the memory that is left.

    Args:
        nbytes: the bytes that it takes.
        what: what takes them, for the message.
        hint: what to do instead.

    Raises:
        ParamctlError: with the bytes needed and the bytes available.

    """
    available = available_bytes()
    if available is not None and nbytes > available:
        needed = f"{what} would take {size(nbytes)} of memory ({nbytes:,} bytes)"
        raise failure(f"{needed}; {size(available)} are available ({available:,} bytes)", hint=hint)


def give_back() -> None:
    """Return memory that was freed to the system, where the C library keeps it.

    glibc does not always use the place of a large tensor again: aligned as torch asks for it, the next one of the same
    size may need some bytes more.
    """
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    """Return glibc's `malloc_trim`; None with another C library."""
    try:
        return getattr(ctypes.CDLL(None), "malloc_trim", None)
    except (OSError, TypeError):  # Windows has no library of the process itself
        return None


def available_bytes() -> int | None:
    """Return the bytes that can still be allocated: the least that the system, cgroups and rlimits leave.

    None where the system tells none of them.
    """
    limits = [*_system(), *_cgroups(), *_rlimits()]
    return max(0, min(limits)) if limits else None


def _system() -> Iterator[int]:
    fields = _fields(_PROC / "meminfo")
    if "MemAvailable" in fields:
        yield fields["MemAvailable"] * 1024
    elif hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        yield os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _cgroups() -> Iterator[int]:
    """Yield what each cgroup above this process leaves; a full page cache can be given up and counts as free."""
    for line in _text(_PROC / "self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, limit, used, cache = _CGROUPS, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            root, limit, used = _CGROUPS / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            cache = "total_inactive_file"
        else:
            continue
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            most, now = _text(folder / limit).strip(), _text(folder / used).strip()
            if most.isdigit() and now.isdigit():
                yield int(most) - int(now) + _fields(folder / "memory.stat").get(cache, 0)
            if folder == root:
                break


def _rlimits() -> Iterator[int]:
    try:
        import resource
    except ImportError:
        return
    pages = _text(_PROC / "self/statm").split()
    for limit, field in ((resource.RLIMIT_AS, 0), (resource.RLIMIT_DATA, 5)):
        soft, _ = resource.getrlimit(limit)
        if soft != resource.RLIM_INFINITY:
            yield soft - (int(pages[field]) * resource.getpagesize() if pages else 0)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _fields(path: Path) -> dict[str, int]:
    """Read lines of ``name value`` or ``name: value kB``."""
    pairs = (line.replace(":", " ").split() for line in _text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) > 1 and pair[1].isdigit()}
