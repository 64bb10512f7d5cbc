"""How work tells how far it has come, without knowing who watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeAlias

Advance: TypeAlias = Callable[[int], None]
"""Takes the number of bytes that have been done since the last call; any thread may call it."""

Watch: TypeAlias = Callable[[int], AbstractContextManager[Advance]]
"""Takes the number of bytes that there are to do, and watches while the block does them."""


@contextmanager
def unwatched(_total: int) -> Iterator[Advance]:
    """Let work be done that nobody watches."""
    yield lambda _: None
