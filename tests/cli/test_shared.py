from __future__ import annotations

import pytest


def test_gpt2_saves_its_embedding_once(report):
    answer = report("shared", "example:gpt2")
    assert answer["groups"] == [
        {
            "relation": "same-parameter",
            "names": ["transformer.wte.weight", "lm_head.weight"],
            "shape": [50257, 768],
            "numel": 38597376,
            "nbytes": 154389504,
            "saved_nbytes": 154389504,
        }
    ]
    assert answer["totals"] == {
        "groups": 1,
        "named_numel": 163037184,
        "numel": 124439808,
        "saved_nbytes": 154389504,
    }


def test_no_sharing_is_said_plainly(paramctl, report):
    assert paramctl("shared", "example:mlp").out == "No parameter is shared: 19 elements, each under one name.\n"
    assert report("shared", "example:mlp")["groups"] == []


def test_elements_are_counted_by_name_and_once(paramctl):
    last = paramctl("shared", "example:shared").out.splitlines()[-1]
    assert last == "1 group · 2 elements under their names, 1 counted once · 4 B saved"


def test_one_module_at_many_places(report, write):
    spec = write("layers: [&a {Linear: [2, 2]}, {Repeat: {times: 2, layers: [*a]}}, {Linear: [2, 2]}]")
    answer = report("shared", spec)
    assert [(group["relation"], group["names"]) for group in answer["groups"]] == [
        ("same-module", ["0.weight", "1.0.0.weight", "1.1.0.weight"]),
        ("same-module", ["0.bias", "1.0.0.bias", "1.1.0.bias"]),
    ]
    assert answer["totals"]["named_numel"] - answer["totals"]["numel"] == 12


def test_a_tie_across_modules_is_one_parameter(report, write):
    spec = write("layers: {a: &a {Linear: [2, 2]}, b: *a, c: {Linear: [2, 2]}}\ntie: [[a.weight, c.weight]]")
    relations = {tuple(group["names"]): group["relation"] for group in report("shared", spec)["groups"]}
    assert relations == {
        ("a.weight", "b.weight", "c.weight"): "same-parameter",
        ("a.bias", "b.bias"): "same-module",
    }


VIEWS = """
import torch
from torch import nn

class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.zeros(2, 3))
        self.b = nn.Parameter(self.a.data.t())
        self.c = nn.Parameter(self.a.data[0])
        self.d = nn.Parameter(torch.zeros(4))
"""


def test_a_spec_with_views_of_ones_own(report, paramctl, write):
    write(VIEWS, "views.py")
    words = ("shared", write("layers: ['views.py:Tied']"), "--allow", "views.py")
    answer = report(*words)
    assert answer["groups"] == [
        {"relation": "same-storage", "names": ["0.a", "0.b"], "shape": None, "numel": 6, "nbytes": 24, "saved_nbytes": 24, "views": [None, "transposed"]},
        {"relation": "overlap", "names": ["0.a", "0.b", "0.c"], "shape": None, "numel": 6, "nbytes": 24, "saved_nbytes": 36, "views": ["[2, 3] at 0", "[3, 2] at 0", "[3] at 0"]},
    ]  # fmt: skip
    assert answer["totals"] == {"groups": 2, "named_numel": 19, "numel": 10, "saved_nbytes": 36}
    assert paramctl(*words).out.splitlines() == [
        "relation      names            shape  elements  bytes",
        "─────────────────────────────────────────────────────",
        "same-storage  0.a              –             6   24 B",
        "              0.b transposed",
        "overlap       0.a [2, 3] at 0  –             6   24 B",
        "              0.b [3, 2] at 0",
        "              0.c [3] at 0",
        "2 groups · 19 elements under their names, 10 counted once · 36 B saved",
    ]
    assert paramctl(*words, "--format", "csv").out.splitlines()[1:] == [
        '"[""0.a"", ""0.b""]",same-storage,,6,24,24,"[null, ""transposed""]"',
        '"[""0.a"", ""0.b"", ""0.c""]",overlap,,6,24,36,"[""[2, 3] at 0"", ""[3, 2] at 0"", ""[3] at 0""]"',
    ]


def test_values_are_compared_after_the_rules_of_a_spec(report, write):
    write(
        "def count(tensor):\n    tensor.copy_(__import__('torch').arange(tensor.numel()).view_as(tensor))\n", "count.py"
    )
    spec = write(
        "layers: [{Linear: [3, 2]}, {Linear: [3, 2]}, {Linear: [2, 3]}, {Linear: [3, 2]}]\n"
        "init: [{match: '[01].weight', scheme: 'count.py:count'}, {match: '[13].bias', scheme: ones}]"
    )
    answer = report("shared", spec, "--by-value", "--allow", "count.py")
    assert [(group["relation"], group["names"]) for group in answer["groups"]] == [
        ("same-values", ["0.weight", "1.weight"])
    ]
    assert answer["duplicate_nbytes"] == 24
    assert "duplicate_nbytes" not in report("shared", spec, "--allow", "count.py")


def test_an_untied_copy_of_a_tie_is_found_by_its_values(paramctl, report, write):
    spec = write("layers: {a: {Linear: [3, 2]}, b: {Linear: [3, 2]}}\ninit: [{match: '*.weight', scheme: 'eye'}]")
    assert [group["names"] for group in report("shared", spec, "--by-value")["groups"]] == [["a.weight", "b.weight"]]
    assert (
        paramctl("shared", spec, "--by-value").out.splitlines()[-1]
        == "24 B are taken by values that stand elsewhere, too"
    )


class TestExpectations:
    def test_a_tie_that_is_there_exits_with_0_and_one_that_is_not_with_1(self, paramctl):
        done = paramctl("shared", "example:gpt2", "--expect", "lm_head.weight=transformer.wte.weight", "--expect-none")
        assert done.code == 0
        assert done.out.splitlines()[-2:] == [
            "as expected: lm_head.weight = transformer.wte.weight",
            "as expected: nothing else is shared",
        ]
        missed = paramctl("shared", "example:mlp", "--expect", "0.weight=2.weight", "--expect-none")
        assert (missed.code, missed.err) == (1, "note: expected 0.weight = 2.weight: they share nothing\n")

    def test_the_report_says_what_was_found(self, paramctl):
        words = ("shared", "example:shared", "--expect", "0.weight=1.weight", "--expect-none", "--format", "json")
        assert paramctl(*words).json["expectations"] == [
            {"names": ["0.weight", "1.weight"], "found": "same-module", "met": True},
            {"names": [], "found": None, "met": True, "unexpected": 0},
        ]

    def test_sharing_where_there_should_be_none_exits_with_1(self, paramctl):
        done = paramctl("shared", "example:shared", "--expect-none", "--format", "json")
        assert done.code == 1
        assert '"unexpected": 1' in done.out
        assert done.err == "note: expected nothing to be shared: 1 group is, 0.weight = 1.weight (same-module)\n"

    def test_an_unknown_name_is_an_error(self, paramctl):
        done = paramctl("shared", "example:mlp", "--expect", "0.weight=2.weigt")
        assert (done.code, done.out) == (2, "")
        assert done.err.splitlines() == [
            "error: --expect: the model has no parameter '2.weigt'",
            "  hint: did you mean '2.weight'?",
        ]


def test_what_a_tie_survives_is_a_matrix_that_fits_80_columns(paramctl, report, monkeypatch):
    answer = report("shared", "example:gpt2", "--survival")
    (tie,) = answer["survival"]
    assert (tie["relation"], tie["names"]) == ("same-parameter", ["transformer.wte.weight", "lm_head.weight"])
    assert tie["trials"]["meta, to_empty(device)"] == {"outcome": "broken", "reason": None}
    assert tie["trials"]["safetensors.save_file"]["reason"].startswith("RuntimeError: Some tensors share memory")
    assert report("shared", "example:gpt2", "--survival") == answer
    monkeypatch.setenv("COLUMNS", "80")
    lines = paramctl("shared", "example:gpt2", "--survival").out.splitlines()
    assert "load_state_dict(assign=True)  same-storage" in lines
    assert all(len(line) <= 80 for line in lines)


@pytest.mark.slow
def test_large_parameters_that_are_drawn_in_chunks_are_compared_whole(report, write):
    spec = write("layers: [{Linear: [3000, 3000]}, {Linear: [3000, 3000]}]\ninit: [{match: '*.weight', scheme: eye}]")
    assert [group["names"] for group in report("shared", spec, "--by-value")["groups"]] == [["0.weight", "1.weight"]]
    drawn = write(
        "layers: [{Linear: [3000, 3000]}, {Linear: [3000, 3000]}]\ninit: [{match: '*.weight', scheme: normal}]"
    )
    assert report("shared", drawn, "--by-value")["groups"] == []
