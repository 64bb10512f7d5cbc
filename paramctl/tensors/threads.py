"""How many threads work, and one torch thread where more would change the last bits of a result or get in the way."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch


class _Limit(threading.local):
    """How deep this thread is in blocks that hold torch to one thread; shared by all: what the number was before.

    torch's number is the process's, and what a new thread begins with: two callers that restored it crosswise would
    leave it at one.
    """

    lock = threading.Lock()
    callers = 0
    before = 1

    def __init__(self) -> None:
        self.depth = 0


_limit = _Limit()


def available_threads() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch's operations on one thread inside the block."""
    if _limit.depth == 0:
        with _Limit.lock:
            if _Limit.callers == 0:
                _Limit.before = torch.get_num_threads()
            _Limit.callers += 1
        torch.set_num_threads(1)
    _limit.depth += 1
    try:
        yield
    finally:
        _limit.depth -= 1
        if _limit.depth == 0:
            with _Limit.lock:
                _Limit.callers -= 1
            torch.set_num_threads(_Limit.before)


@contextmanager
def one_thread_each(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Give a pool of workers, on each of which torch's operations run on that thread alone."""
    with one_thread():
        pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)
