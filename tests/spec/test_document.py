from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from paramctl.errors import ParamctlError
from paramctl.spec import document
from paramctl.spec.document import Node, ScalarNode, SequenceNode, compose


def plain(node: Node) -> Any:
    if isinstance(node, ScalarNode):
        return node.value
    if isinstance(node, SequenceNode):
        return [plain(item) for item in node.items]
    return {name: plain(value) for name, (_, value) in node.entries.items()}


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(categories=["L", "N", "P"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcdef_", min_size=1), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_a_yaml_1_2_writer_writes_is_read_back(value):
    text = yaml.safe_dump(value, allow_unicode=True, default_style='"' if isinstance(value, str) else None)
    # PyYAML writes by YAML 1.1: what 1.1 quotes and what 1.2 reads as a number agree for these values.
    assert plain(compose(text, "x").root) == value


def test_every_node_knows_where_it_begins():
    composed = compose("layers:\n  - Linear: {in_features: 4}\n  - 'ReLU'\n", "mlp.yaml")
    layers = composed.root.entries["layers"][1]
    linear, relu = layers.items
    key, arguments = linear.entries["Linear"]
    positions = [str(composed.position(node)) for node in (composed.root, layers, linear, key, arguments, relu)]
    assert positions == [
        "mlp.yaml:1:1", "mlp.yaml:2:3", "mlp.yaml:2:5", "mlp.yaml:2:5", "mlp.yaml:2:13", "mlp.yaml:3:5",
    ]  # fmt: skip


def test_quotes_make_a_string_of_anything():
    assert plain(compose("[4, '4', \"true\", true, !!str 4, !!int '4']", "x").root) == [4, "4", "true", True, "4", 4]


def test_an_alias_is_the_very_node_that_its_anchor_names():
    composed = compose("[&a {x: 1}, *a]", "x")
    first, second = composed.root.items
    assert first is second
    assert composed.aliased == {id(first)}


def test_a_later_anchor_of_the_same_name_counts_from_there_on():
    assert plain(compose("[&a 1, *a, &a 2, *a]", "x").root) == [1, 1, 2, 2]


def test_merge_keys_add_what_is_not_there_and_the_first_source_wins():
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], x: 3}\nd: {x: 4, <<: *a}\n'<<': quoted"
    composed = compose(text, "x")
    assert composed.problems == []
    assert plain(composed.root)["c"] == {"x": 3, "y": 1, "z": 2}
    assert plain(composed.root)["d"] == {"x": 4, "y": 1}
    assert plain(composed.root)["<<"] == "quoted"


def test_size_counts_what_aliases_stand_for():
    composed = compose("[&a [1, 1], *a, *a]", "x")
    assert composed.root.size == 1 + 3 * 3


def test_the_pure_python_parser_gives_the_same_tree(monkeypatch):
    text = "layers: &l\n  - Linear: {a: 1e-3, b: 'no', <<: {c: 2}}\n  - *l2\n".replace("*l2", "&x ReLU")
    fast = plain(compose(text, "x").root)
    monkeypatch.setattr(document, "_Loader", yaml.SafeLoader)
    assert plain(compose(text, "x").root) == fast


@pytest.mark.parametrize("text", ["a: \0", "é: \x01", "\t- x", "a: *b", "---\na\n---\nb", "[" * 300])
def test_the_pure_python_parser_refuses_what_libyaml_refuses(text, monkeypatch):
    with pytest.raises(ParamctlError) as fast:
        compose(text, "x")
    monkeypatch.setattr(document, "_Loader", yaml.SafeLoader)
    with pytest.raises(ParamctlError) as slow:
        compose(text, "x")
    assert str(slow.value.problems[0].where).split(":")[1] == str(fast.value.problems[0].where).split(":")[1]


def test_a_mapping_in_a_json_file_is_yaml_too():
    assert plain(compose('{"layers": [{"Linear": {"in_features": 4}}],\n\t"seed": 1}', "x").root) == {
        "layers": [{"Linear": {"in_features": 4}}],
        "seed": 1,
    }


def test_the_limit_of_nodes_is_named(monkeypatch):
    monkeypatch.setattr(document, "MAX_NODES", 100)
    with pytest.raises(ParamctlError, match="more than 100 nodes"):
        compose("[" + "1, " * 200 + "]", "x")


def test_depth_up_to_the_limit_is_read():
    assert compose("[" * 200 + "]" * 200, "x").root.size == 200


def test_a_character_that_json_writes_as_a_surrogate_pair_is_read():
    text = json.dumps({"a😀": "😀 \\ud83d\\ude00 \\"})
    root = compose(text, "spec.json").root
    assert root.entries["a😀"][1].value == "😀 \\ud83d\\ude00 \\"
