"""How many threads work, and one torch thread where more would change the last bits of a result or get in the way."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Final, TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")
_AHEAD: Final = 256
"""How many results may wait for one that takes longer."""


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
        self.inference = ExitStack()


_limit = _Limit()


def available_threads() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _set_number(number: int) -> None:
    """Set torch's number of threads, for this thread to keep.

    A thread takes over the process's number, which another may have set meanwhile, when it first asks for its own or
    needs it: after that, only what it sets itself counts.
    """
    torch.get_num_threads()
    torch.set_num_threads(number)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch's operations on one thread inside the block."""
    if _limit.depth == 0:
        with _Limit.lock:
            if _Limit.callers == 0:
                _Limit.before = torch.get_num_threads()
            _Limit.callers += 1
        _set_number(1)
    _limit.depth += 1
    try:
        yield
    finally:
        _limit.depth -= 1
        if _limit.depth == 0:
            with _Limit.lock:
                _Limit.callers -= 1
            torch.set_num_threads(_Limit.before)


def _keep_one_thread(inference: bool) -> None:  # noqa: FBT001  a pool passes it by position
    """Keep torch to one thread on a worker for as long as it lives, and in the inference mode of its caller."""
    _limit.depth = 1
    _limit.inference.enter_context(torch.inference_mode(inference))
    _set_number(1)


@contextmanager
def one_thread_each(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Give a pool of workers, on each of which torch's operations run on that thread alone."""
    with one_thread():
        pool = ThreadPoolExecutor(workers, initializer=_keep_one_thread, initargs=(torch.is_inference_mode_enabled(),))
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)


def share_out(items: Iterable[Item], workers: int, make_work: Callable[[], Callable[[Item], Result]]) -> list[Result]:
    """Return what each item gives, in the items' order, worked out on several threads of which the caller's is one.

    No thread waits for another before the end, so that items may be small. torch's operations run on one thread each,
    in the inference mode of the caller.

    Args:
        items: each is taken by the first thread that is free.
        workers: how many threads there are.
        make_work: makes what works on items; every thread has its own.

    """
    pending = deque(enumerate(items))
    results: dict[int, Result] = {}
    failures: list[BaseException] = []
    inference = torch.is_inference_mode_enabled()

    def take() -> tuple[int, Item] | None:
        try:
            return pending.popleft()
        except IndexError:
            return None

    def work_on_pending() -> None:
        try:
            with one_thread(), torch.inference_mode(inference):
                work = make_work()
                while (taken := take()) is not None:
                    number, item = taken
                    results[number] = work(item)
        except BaseException as failure:  # noqa: BLE001  the caller's thread raises it
            failures.append(failure)
            pending.clear()

    others = [threading.Thread(target=work_on_pending, name="paramctl-work") for _ in range(workers - 1)]
    for thread in others:
        thread.start()
    work_on_pending()
    for thread in others:
        thread.join()
    if failures:
        raise failures[0]
    return [results[number] for number in range(len(results))]


def in_order(pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield what a function makes of each item, in the items' order; few results wait, however many items there are."""
    pending: deque[Future[Result]] = deque()
    for item in items:
        pending.append(pool.submit(function, item))
        if len(pending) > _AHEAD:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


class Budget:
    """Memory that threads share: who asks for more than is left waits; who asks for more than all of it is alone."""

    def __init__(self, nbytes: int) -> None:
        self._nbytes = nbytes
        self._used = 0
        self._changed = threading.Condition()

    @contextmanager
    def holding(self, nbytes: int) -> Iterator[None]:
        """Hold so many bytes inside the block."""
        with self._changed:
            self._changed.wait_for(lambda: self._used == 0 or self._used + nbytes <= self._nbytes)
            self._used += nbytes
        try:
            yield
        finally:
            with self._changed:
                self._used -= nbytes
                self._changed.notify_all()
