"""Numbers, sizes and names as a person reads them."""

from __future__ import annotations

from functools import lru_cache

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def escape(text: str) -> str:
    r"""Show what a terminal would not print, or would obey, as an escape: ``\x1b`` for an escape character."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


@lru_cache(maxsize=4096)
def grouped(number: int) -> str:
    """Write an integer with its digits in groups of three."""
    return f"{number:,}"


@lru_cache(maxsize=4096)
def size(nbytes: int) -> str:
    """Write a number of bytes in the largest binary unit that leaves 1 or more: ``76 B``, ``1.5 KiB``, ``233 MiB``."""
    if nbytes < 1024:
        return f"{nbytes} B"
    scaled, unit = nbytes / 1024, 0
    while scaled >= 1023.5 and unit < len(_UNITS) - 1:  # what would be written 1024 belongs in the next unit
        scaled, unit = scaled / 1024, unit + 1
    return f"{scaled:.1f} {_UNITS[unit]}" if scaled < 99.95 else f"{scaled:,.0f} {_UNITS[unit]}"


@lru_cache(maxsize=4096)
def shape(sizes: tuple[int, ...]) -> str:
    """Write a shape as torch does: ``[3, 4]``."""
    return str(list(sizes))


def number(value: float | None) -> str:
    """Write a statistic with three significant digits; a dash where there is none."""
    if value is None:
        return "–"
    text = f"{value:.3g}"
    return "0" if text == "-0" else text


def counted(count: int, noun: str) -> str:
    """Write a count with its noun: ``1 parameter``, ``4 parameters``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
