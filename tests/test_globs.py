from __future__ import annotations

import pytest

from paramctl.globs import compile_filter, compile_glob


@pytest.mark.parametrize(
    ("glob", "name", "matches"),
    [
        ("*.weight", "0.weight", True),
        ("*.weight", "encoder.layers.0.weight", True),
        ("**.weight", "encoder.layers.0.weight", True),
        ("h.*.bias", "h.0.attn.bias", True),
        ("h.[0-3].bias", "h.2.bias", True),
        ("h.[0-3].bias", "h.4.bias", False),
        ("h.?.bias", "h.4.bias", True),
        ("h.?.bias", "h.14.bias", False),
        ("weight", "0.weight", False),
        ("0.Weight", "0.weight", False),
        ("*", "anything", True),
    ],
)
def test_a_glob_matches_the_whole_name_and_minds_case(glob, name, matches):
    assert compile_glob(glob)([name]) is matches


def test_one_matching_name_of_several_is_enough():
    assert compile_glob("decoder.*")(["encoder.weight", "decoder.weight"])


def test_exclusion_wins_over_inclusion():
    matches = compile_filter(["*.weight", "*.bias"], ["0.*"])
    assert [name for name in ("0.weight", "1.weight", "1.bias", "1.scale") if matches([name])] == ["1.weight", "1.bias"]


def test_without_inclusion_everything_is_in():
    assert compile_filter([], ["*.bias"])(["0.weight"])
