from __future__ import annotations

import pytest

from paramctl.render import text


@pytest.mark.parametrize(
    ("nbytes", "shown"),
    [
        (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (1024**2 - 1, "1.0 MiB"),
        (99.96 * 1024, "100 KiB"), (244403360, "233 MiB"), (137953296384, "128 GiB"), (2**63, "8.0 EiB"), (2**80, "1,048,576 EiB"),
    ],
)  # fmt: skip
def test_sizes_have_the_largest_unit_that_leaves_one_or_more(nbytes, shown):
    assert text.size(nbytes) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (0.0123456, "0.0123"),
        (-1.5e-7, "-1.5e-07"),
        (123456.0, "1.23e+05"),
    ],
)
def test_numbers_have_three_digits(value, shown):
    assert text.number(value) == shown


def test_what_a_terminal_would_obey_is_shown_escaped():
    assert text.escape("a\x1b[31mb\x07\u202ec\n") == "a\\x1b[31mb\\x07\\u202ec\\n"
    assert text.escape("naïve 漢字.weight") == "naïve 漢字.weight"


def test_counts_agree_with_their_noun():
    assert [text.counted(n, "parameter") for n in (0, 1, 2000)] == ["0 parameters", "1 parameter", "2,000 parameters"]
