"""Python's collector of garbage, put off while many objects are made that stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_put_off() -> Iterator[None]:
    """Collect no garbage until the end, as a block or as a decorator.

    Each object that is made brings the next collection nearer, and a full one goes through the millions of objects that
    a large model consists of. Where collection is off already, it stays so.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
