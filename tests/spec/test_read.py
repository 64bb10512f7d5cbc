"""The settings of a spec, and the whole of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from paramctl.errors import ParamctlError
from paramctl.spec.model import Fill, InputSpec

HEAD = "layers: [{Linear: [4, 3]}]\n"


def test_every_setting_is_read(spec):
    read = spec(
        "name: mlp\n"
        "layers: [{Linear: [4, 3]}]\n"
        "input: {shape: [2, 4], fill: {randint: {low: 1, high: 9}}, dtype: int32}\n"
        "loss: mse\n"
        "init: [{match: '*.weight', scheme: normal, std: 0.02}]\n"
        "tie: [[0.weight, 0.weight]]\n"
        "freeze: ['0.*']\n"
        "dtype: bfloat16\n"
        "seed: 0xFF\n"
    )
    assert read.name == "mlp"
    assert read.input == InputSpec(shape=(2, 4), fill=Fill("randint", 1, 9), dtype="int32")
    assert read.loss == "mse"
    assert [(rule.match, rule.label, dict(rule.options)) for rule in read.rules] == [
        ("*.weight", "normal", {"mean": 0.0, "std": 0.02})
    ]
    assert [[name.text for name in names] for names in read.ties] == [["0.weight", "0.weight"]]
    assert [glob.text for glob in read.freeze] == ["0.*"]
    assert (read.dtype, read.seed) == ("bfloat16", 255)


def test_without_settings_there_are_defaults(spec):
    read = spec(HEAD)
    assert (read.name, read.input, read.loss, read.rules, read.ties, read.freeze, read.dtype, read.seed) == (
        None, None, "sum", (), (), (), None, 0,
    )  # fmt: skip


@pytest.mark.parametrize("fill", ["rand", "randn", "ones", "zeros", "arange"])
def test_every_fill_is_known(fill, spec):
    assert spec(f"{HEAD}input: {{shape: [], fill: {fill}}}").input == InputSpec(shape=(), fill=Fill(fill))


def test_the_low_bound_of_a_randint_is_zero_unless_given(spec):
    assert spec(f"{HEAD}input: {{shape: [1], fill: {{randint: {{high: 5}}}}}}").input.fill == Fill("randint", 0, 5)


def test_a_rule_may_hold_its_options_in_the_text_of_the_scheme(spec):
    rules = spec(f"{HEAD}init: [{{match: '*', scheme: 'normal:std=0.5', mean: 1}}]").rules
    assert dict(rules[0].options) == {"mean": 1, "std": 0.5}


def test_a_function_in_a_rule_is_relative_to_the_spec(spec):
    rules = spec(
        f"{HEAD}init: [{{match: '*', scheme: inits.py:f, scale: 3}}]",
        "/elsewhere/inits.py",
        directory=Path("/elsewhere"),
    ).rules
    assert rules[0].scheme.path == Path("/elsewhere/inits.py")
    assert dict(rules[0].options) == {"scale": 3}


@pytest.mark.parametrize("seed", [-(2**63), 0, 2**64 - 1])
def test_every_seed_that_torch_takes_is_taken(seed, spec):
    assert spec(f"{HEAD}seed: {seed}").seed == seed


@pytest.mark.parametrize("seed", [-(2**63) - 1, 2**64, "true", "'1'", ".inf"])
def test_other_seeds_are_refused(seed, spec):
    with pytest.raises(ParamctlError, match="the seed must be an integer of 64 bits"):
        spec(f"{HEAD}seed: {seed}")


def test_flags_say_what_a_spec_needs(spec, write):
    write("from torch import nn\nclass Block(nn.Linear): pass\n", "flag_layers.py")
    plain = spec("layers: [ReLU, {Dropout: {p: &p 0.5}}, {Dropout: {p: *p}}]")
    aliased = spec("layers: [&a ReLU, *a]")
    composed = spec("layers: [{TransformerEncoder: [{TransformerEncoderLayer: [4, 2]}, 1]}]")
    imports = spec("layers: [{flag_layers.py:Block: [1, 1]}]", "flag_layers.py")
    assert [(each.aliased, each.composed, each.imports) for each in (plain, aliased, composed, imports)] == [
        (False, False, False),
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]


def test_layers_that_are_written_alike_share_their_call(spec):
    first, second, other = spec(
        "layers: [{Linear: [4, 4]}, {Linear: [4, 4]}, {Linear: ['4', 4]}]".replace("'4'", "5")
    ).root.children
    assert first.call is second.call
    assert first.call is not other.call
    assert first is not second
