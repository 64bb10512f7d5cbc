"""One torch thread where the number of threads would change the last bits of a result."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_setting = threading.RLock()
"""Held while the number is changed: two callers that restored it crosswise would leave it at one."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch's operations on one thread inside the block."""
    with _setting:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)
