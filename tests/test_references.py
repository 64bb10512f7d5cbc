from __future__ import annotations

from pathlib import Path

import pytest

from paramctl.references import Allowance, parse_reference

HERE = Path("/somewhere")


@pytest.mark.parametrize(
    ("text", "dotted", "path"),
    [
        ("my_init.py:init_weight_", "init_weight_", HERE / "my_init.py"),
        ("sub/my_init.py:Class.method", "Class.method", HERE / "sub/my_init.py"),
        ("/abs/my_init.py:f", "f", Path("/abs/my_init.py")),
        ("package.module:function", "package.module.function", None),
        ("package:function", "package.function", None),
        ("package.module.Class", "package.module.Class", None),
    ],
)
def test_a_reference_names_something_in_a_file_or_a_package(text, dotted, path):
    reference = parse_reference(text, HERE)
    assert reference is not None
    assert (reference.dotted, reference.path, str(reference)) == (dotted, path, text)


@pytest.mark.parametrize("text", ["Linear", "normal", "my_init.py", "a b.c", ":f", "x.py:", "1a.b", "x.py:a b", ""])
def test_what_is_no_reference_is_told_apart(text):
    assert parse_reference(text, HERE) is None


@pytest.mark.parametrize(
    ("allowed", "text", "permitted"),
    [
        ("package", "package.module.Class", True),
        ("package.module", "package.module:Class", True),
        ("package.mod", "package.module.Class", False),
        ("pack", "package.module.Class", False),
        ("package.module.Class", "package.module.Class", True),
        ("layers.py", "layers.py:Block", True),
        ("./sub/../layers.py", "layers.py:Block", True),
        ("layers.py", "other.py:Block", False),
        ("layers", "layers.py:Block", False),
    ],
)
def test_whole_components_of_packages_and_the_very_file_are_allowed(allowed, text, permitted, tmp_path):
    reference = parse_reference(text, tmp_path)
    assert reference is not None
    assert Allowance.of([allowed], tmp_path).permits(reference) is permitted


def test_the_option_that_would_allow_it_is_named(tmp_path):
    allowance = Allowance()
    package = parse_reference("package.module.Class", tmp_path)
    assert package is not None
    assert allowance.option_for(package) == "--allow package"


def test_where_the_file_was_allowed_the_spelling_of_a_class_in_it_is_named(tmp_path):
    package = parse_reference("net.inner.Layer", tmp_path)
    assert Allowance.of(["net.py"], tmp_path).option_for(package) == "--allow net, or write net.py:inner.Layer"
    assert Allowance.of(["other.py"], tmp_path).option_for(package) == "--allow net"
