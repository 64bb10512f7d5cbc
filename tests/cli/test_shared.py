from __future__ import annotations


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
