"""Specs that are mutated in their structure end in a report or in a `ParamctlError`, never in anything else."""

from __future__ import annotations

import copy
import json
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paramctl.errors import ParamctlError
from paramctl.references import Allowance
from paramctl.spec.catalog import load_catalog
from paramctl.spec.model import InputSpec
from paramctl.spec.read import read_spec
from paramctl.tensors.answers.grad import PassOptions, gradients
from paramctl.tensors.answers.init import initialize
from paramctl.tensors.building.build import build
from paramctl.tensors.building.construct import user_signature
from paramctl.tensors.building.outline import outline

SPECS = [
    {
        "layers": [{"Linear": {"in_features": 4, "out_features": 3}}, "ReLU", {"Linear": [3, 1]}],
        "input": {"shape": [2, 4]},
    },
    {
        "layers": {
            "body": {
                "Sequential": [{"Conv2d": {"in_channels": 1, "out_channels": 2, "kernel_size": [3, 3]}}, "Flatten"]
            },
            "head": {"Residual": {"layers": [{"Linear": [8, 8]}], "shortcut": [{"Linear": [8, 8, False]}]}},
        },
        "input": {"shape": [1, 1, 4, 4], "fill": "ones"},
        "loss": "cross_entropy",
    },
    {
        "layers": [
            {"Embedding": {"num_embeddings": 7, "embedding_dim": 4, "padding_idx": 0}},
            {"Repeat": {"times": 2, "layers": [{"Linear": [4, 4]}, {"Dropout": 0.5}]}},
            {"Linear": [4, 7, False]},
        ],
        "input": {"shape": [2, 3], "fill": {"randint": {"low": 0, "high": 7}}},
        "tie": [["0.weight", "2.weight"]],
        "init": [{"match": "*.weight", "scheme": "normal", "std": 0.02}, {"match": "*.bias", "scheme": "zeros"}],
        "freeze": ["1.*"],
        "dtype": "float64",
        "seed": 3,
    },
    {"layers": [{"_target_": "torch.nn.LSTM", "input_size": 2, "hidden_size": 3}], "input": {"shape": [4, 1, 2]}},
]
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 9), st.floats(), st.sampled_from([2**31, 2**63, 10**30, ""]),
    st.sampled_from(["ReLU", "Linear", "relu", "4", "*", "0.weight", "normal", "float32", "mse", "rand", "a.b", "x.py:f"]),
    st.sampled_from([[], {}, {"Linear": [3, 3]}, [1, [2]], {"layers": ["ReLU"]}]).map(copy.deepcopy),
)  # fmt: skip
KEYS = st.sampled_from(
    ["layers", "in_features", "out_features", "Linear", "times", "layer", "shape", "fill", "std", "bias", "x", "", "a.b",
     "_target_", "_args_", "class_path", "match", "scheme", "forward", "dtype", "device"]
)  # fmt: skip


def places(node, path=()):
    yield path
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


def parent_of(root, path):
    node = root
    for key in path[:-1]:
        node = node[key]
    return node


MUTATIONS = st.sampled_from(
    ["nudge"] * 5 + ["repeat"] * 4 + ["wrap"] * 3 + ["swap"] * 3 + ["replace"] * 3 + ["remove"] * 2 + ["rename"] * 2
)


@st.composite
def mutated(draw):
    """Change one to three places of a spec: nudge a number, repeat, wrap, swap, replace, remove or rename something."""
    root = copy.deepcopy(draw(st.sampled_from(SPECS)))
    for _ in range(draw(st.integers(1, 3))):
        mutation = draw(MUTATIONS)
        fitting = [place for place in places(root) if place and fits(mutation, parent_of(root, place), place[-1])]
        if not fitting:
            return draw(VALUES)
        path = draw(st.sampled_from(fitting))
        holder, key = parent_of(root, path), path[-1]
        if mutation == "nudge":
            holder[key] += draw(st.integers(-2, 2))
        elif mutation == "repeat":
            holder.insert(key, copy.deepcopy(holder[key]))
        elif mutation == "wrap":
            holder[key] = {draw(st.sampled_from(["Sequential", "Residual"])): [holder[key]]}
        elif mutation == "swap":
            other = draw(st.sampled_from(list(range(len(holder)) if isinstance(holder, list) else holder)))
            holder[key], holder[other] = holder[other], holder[key]
        elif mutation == "replace":
            holder[key] = draw(VALUES)
        elif mutation == "remove":
            del holder[key]
        else:
            holder[draw(KEYS)] = holder.pop(key)
    return root


def fits(mutation, holder, key):
    if mutation == "nudge":
        return type(holder[key]) is int
    if mutation in {"repeat", "swap"}:
        return isinstance(holder, list)
    if mutation == "wrap":
        return isinstance(holder, list) and not isinstance(holder[key], int)
    return mutation != "rename" or isinstance(holder, dict)


def read(text):
    return read_spec(
        text,
        "spec.yaml",
        directory=Path(),
        allowance=Allowance(),
        catalog=load_catalog(),
        signature_of=user_signature,
    )


def small(spec):
    """Whether running the spec takes no time: a mutation may ask for a tensor of gigabytes, rightly."""
    held, _ = outline(spec, buffers=True)
    numel = sum(record.numel for record in (*held.parameters, *held.buffers))
    given = spec.input or InputSpec(shape=(2, 4))
    size = 1
    for each in given.shape:
        size *= each
    return numel < 10**6 and size < 10**5


@pytest.mark.slow
def test_a_mutated_spec_ends_in_a_report_or_a_paramctl_error():
    built = []

    @settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
    @given(mutated())
    def run(root):
        try:
            spec = read(json.dumps(root, allow_nan=True).replace("NaN", ".nan").replace("Infinity", ".inf"))
            built.append(root)
            if not small(spec):
                return
            building = partial(build, spec, seed=spec.seed)
            initialize(building, "spec.yaml", (), seed=spec.seed)
            gradients(building, "spec.yaml", PassOptions(shape=None if spec.input else (2, 4)), seed=spec.seed)
        except ParamctlError as error:
            assert all(problem.message for problem in error.problems)

    run()
    assert len(built) >= 500 / 3
