from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from paramctl.errors import ParamctlError
from paramctl.spec.rules import parse_rule
from paramctl.tensors.building.build import build
from paramctl.tensors.initializing.defaults import Programs
from paramctl.tensors.initializing.materialize import plan_drawings
from paramctl.tensors.initializing.producing import produce
from paramctl.tensors.statistics import measure

SPEC = (
    "layers: {a: {Linear: [300, 400]}, n: {LayerNorm: 400}, e: {Embedding: [90, 50, 3]}, o: {Linear: [60, 70]}, t: {Linear: [300, 300]}}\n"
    "init: [{match: o.weight, scheme: orthogonal}, {match: t.weight, scheme: trunc_normal}, {match: a.bias, scheme: add, value: 1}]"
)


def drawings_of(spec, *rules):
    read = spec(SPEC)
    built = build(read, seed=5)
    return plan_drawings(built.net, built.programs, [*read.rules, *rules])[0]


def produced(drawings, **options):
    values = {
        id(each.tensor): torch.full((each.tensor.numel(),), float("nan"), dtype=each.tensor.dtype) for each in drawings
    }

    def put(key, start, elements):
        values[key][start : start + elements.numel()] = elements.detach().reshape(-1)

    rows = produce(drawings, 5, put, **options)
    return rows, [values[id(each.tensor)] for each in drawings]


@pytest.mark.parametrize("hist", [False, True])
@pytest.mark.parametrize("threads", [None, 1, 2, 5])
def test_values_and_statistics_are_those_of_each_parameter_drawn_alone(threads, hist, spec):
    rows, values = produced(drawings_of(spec), threads=threads, hist=hist)
    for row, drawn, drawing in zip(rows, values, drawings_of(spec), strict=True):
        alone = drawing.draw(5)
        assert row.name == drawing.plan.target.record.name
        assert torch.equal(drawn, alone.flatten())
        assert row.stats == measure(alone, hist=hist)
        assert (row.histogram is not None) == hist


@pytest.mark.parametrize("by_numpy", [False, True])
def test_parameters_in_the_same_memory_have_the_values_of_the_last_whatever_the_threads(by_numpy, tmp_path):
    memory = np.zeros(600 * 600, dtype=np.float32)
    whole = torch.from_numpy(memory).view(600, 600)
    others = [torch.from_numpy(memory[: memory.size // 2]).view(300, 600)] if by_numpy else [whole[:300], whole.t()]
    net = nn.ParameterList([nn.Parameter(each) for each in (whole, *others)])
    rules = [parse_rule("*=xavier_normal", tmp_path)]
    for drawing in plan_drawings(net, Programs({}), rules)[0]:
        drawing.draw(5)
    expected = [each.detach().clone() for each in net]
    for threads in (1, 2, 5):
        whole.zero_()
        rows, values = produced(plan_drawings(net, Programs({}), rules)[0], threads=threads)
        assert all(torch.equal(found.view(each.shape), each) for found, each in zip(values, expected, strict=True))
        assert [row.stats for row in rows] == [measure(each) for each in expected]


def test_elements_that_are_asked_for_are_kept(spec):
    rows, values = produced(drawings_of(spec), with_values=True)
    assert all(torch.equal(row.values.tensor.flatten(), drawn) for row, drawn in zip(rows, values, strict=True))


def test_a_failure_in_a_thread_is_the_users_error(spec, tmp_path):
    drawings = drawings_of(spec, parse_rule("a.weight=uniform:a=-3e38,b=3e38", tmp_path))
    with pytest.raises(ParamctlError, match=r"uniform cannot fill a\.weight"):
        produced(drawings)


def test_functions_of_the_users_own_run_on_torchs_own_threads(spec, write, tmp_path):
    write("import torch\ndef f(t):\n    t.fill_(torch.get_num_threads())\n", "threads_init.py")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        rows, _ = produced(drawings_of(spec, parse_rule("o.bias=threads_init.py:f", tmp_path)), threads=1)
    finally:
        torch.set_num_threads(before)
    assert {row.stats.max for row in rows if row.name == "o.bias"} == {3.0}


def test_a_failure_does_not_wait_for_the_parameters_that_are_being_drawn(spec):
    built = build(spec("layers: [{Linear: [20000, 20000]}, {Linear: [20000, 20000]}]"), seed=0)
    drawings, _ = plan_drawings(built.net, built.programs, [])
    taken = []

    def put(key, start, elements):
        taken.append(key)
        if len(taken) > 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        produce(drawings, 0, put, threads=2)
    assert len(taken) < 1000


def test_torchs_own_threads_are_as_they_were(spec):
    before = torch.get_num_threads()
    produced(drawings_of(spec), threads=2)
    assert torch.get_num_threads() == before
