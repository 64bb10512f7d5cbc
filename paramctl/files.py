"""Writing a file so that an interruption leaves the old one whole."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from paramctl.errors import failure


@contextmanager
def replacing(path: Path, where: str) -> Iterator[Path]:
    """Give a temporary file beside `path` to write to, and rename it to `path` once the block has succeeded.

    What a link points to is replaced, not the link; what is no regular file (a pipe, ``/dev/stdout``) is written to.

    Args:
        path: the file.
        where: the option that named it, for messages.

    Raises:
        ParamctlError: if the file cannot be written.

    """
    try:
        if path.is_dir():
            raise failure(f"{path} is a directory", where=where)
        if path.exists() and not path.is_file():
            yield path
            return
        target = Path(os.path.realpath(path))
        if not target.parent.is_dir():
            raise failure(f"there is no directory {path.parent}", where=where)
        yield from _renamed(target)
    except OSError as error:
        raise failure(f"cannot write {path}: {error.strerror or error}", where=where) from error


def _renamed(target: Path) -> Iterator[Path]:
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    os.close(descriptor)
    temporary = Path(name)
    try:
        temporary.chmod(_mode(target))
        yield temporary
        temporary.replace(target)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def _mode(target: Path) -> int:
    """Return the permissions of the file that is replaced, or those that a file gets by default."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
