from __future__ import annotations

import sys

import pytest

from paramctl.errors import ParamctlError
from paramctl.references import parse_reference
from paramctl.tensors.user_code import load


def reference(text, tmp_path):
    found = parse_reference(text, tmp_path)
    assert found is not None
    return found


def test_a_file_is_imported_once_with_its_own_directory_first_on_the_path(write, tmp_path):
    write("VALUE = 41\n", "uc_helper.py")
    write(
        "import uc_helper\nloads = []\nloads.append(1)\ndef answer():\n    return uc_helper.VALUE + len(loads)\n",
        "uc_main.py",
    )
    before = list(sys.path)
    assert load(reference("uc_main.py:answer", tmp_path))() == 42
    assert load(reference("uc_main.py:loads", tmp_path)) == [1]
    assert sys.path == before


def test_two_files_of_one_name_are_two_modules(write, tmp_path):
    write("VALUE = 1\n", "one/uc_same.py")
    write("VALUE = 2\n", "two/uc_same.py")
    assert load(reference("one/uc_same.py:VALUE", tmp_path)) == 1
    assert load(reference("two/uc_same.py:VALUE", tmp_path)) == 2
    assert load(reference("one/uc_same.py:VALUE", tmp_path)) == 1


def test_a_file_named_like_an_installed_module_does_not_replace_it(write, tmp_path):
    write("VALUE = 1\n", "json.py")
    import json

    assert load(reference("json.py:VALUE", tmp_path)) == 1
    assert sys.modules["json"] is json


def test_a_file_named_like_a_module_that_is_imported_later_does_not_take_its_place(write, tmp_path):
    write("VALUE = 1\n", "antigravity_free.py")
    assert load(reference("antigravity_free.py:VALUE", tmp_path)) == 1
    with pytest.raises(ModuleNotFoundError):
        __import__("antigravity_free")


def test_frames_of_a_package_that_is_named_like_torch_are_the_users(write, tmp_path):
    write("", "torch_like/__init__.py")
    write("def fail(): raise KeyError('x')\n", "torch_like/inside.py")
    write("import torch_like.inside\ntorch_like.inside.fail()\n", "uc_calls.py")
    with pytest.raises(ParamctlError) as caught:
        load(reference("uc_calls.py:f", tmp_path))
    assert caught.value.problems[0].hint == "raised at uc_calls.py:2 in <module>, inside.py:1 in fail"


def test_a_package_is_found_in_the_working_directory(write, tmp_path):
    write("", "uc_package/__init__.py")
    write("class Outer:\n    class Inner:\n        x = 3\n", "uc_package/inside.py")
    for text in ("uc_package.inside:Outer.Inner.x", "uc_package.inside.Outer.Inner.x"):
        assert load(reference(text, tmp_path)) == 3


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("nowhere.py:f", "there is no file", None),
        (f"{'x' * 300}.py:f", "File name too long", None),
        ("uc_no_such_module:f", "there is no module 'uc_no_such_module'", "among the installed packages"),
        ("uc_no_such_module.f", "there is no module 'uc_no_such_module'", None),
        ("uc_part.modle:f", "there is no module 'uc_part.modle'", "did you mean 'model'?"),
        ("uc_part.else_where:f", "there is no module 'uc_part.else_where'", "uc_part has model"),
        ("uc_part.model.x:f", "there is no module 'uc_part.model.x'", "uc_part.model has no modules"),
        ("uc_names.py:fuction", "has no 'fuction'", "did you mean 'function'?"),
        ("uc_names.py:function.x", "has no 'function.x'", None),
    ],
)
def test_what_is_not_there_is_named(text, message, hint, write, tmp_path):
    write("def function(): pass\n", "uc_names.py")
    write("", "uc_part/__init__.py")
    write("", "uc_part/model.py")
    with pytest.raises(ParamctlError) as caught:
        load(reference(text, tmp_path))
    assert message in caught.value.problems[0].message
    if hint:
        assert hint in caught.value.problems[0].hint


def test_a_failure_shows_the_users_frames_innermost_last(write, tmp_path):
    write("def inner():\n    raise KeyError('gone')\n\n\ndef outer():\n    inner()\n\n\nouter()\n", "uc_faulty.py")
    with pytest.raises(ParamctlError) as caught:
        load(reference("uc_faulty.py:outer", tmp_path))
    (problem,) = caught.value.problems
    assert problem.message.endswith("uc_faulty.py failed: KeyError: 'gone'")
    assert problem.hint == "raised at uc_faulty.py:9 in <module>, uc_faulty.py:6 in outer, uc_faulty.py:2 in inner"
    assert "uc_faulty" not in sys.modules


def test_a_syntax_error_shows_its_line(write, tmp_path):
    write("x = 1\ndef f(:\n", "uc_syntax.py")
    with pytest.raises(ParamctlError) as caught:
        load(reference("uc_syntax.py:f", tmp_path))
    assert "SyntaxError" in caught.value.problems[0].message
    assert caught.value.problems[0].hint == "raised at uc_syntax.py:2"


def test_frames_of_pythons_own_library_are_not_the_users(write, tmp_path):
    write("import json\ndef reads(): json.loads('{')\nreads()\n", "uc_json.py")
    with pytest.raises(ParamctlError) as caught:
        load(reference("uc_json.py:reads", tmp_path))
    assert caught.value.problems[0].hint == "raised at uc_json.py:3 in <module>, uc_json.py:2 in reads"


def test_code_sees_no_words_of_ours_on_its_command_line(write, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["paramctl", "list", "uc_argv.py:seen", "--stats"])
    write("import argparse, sys\nargparse.ArgumentParser().parse_args()\nseen = list(sys.argv)\n", "uc_argv.py")
    assert load(reference("uc_argv.py:seen", tmp_path)) == [str(tmp_path / "uc_argv.py")]
    assert sys.argv == ["paramctl", "list", "uc_argv.py:seen", "--stats"]


@pytest.mark.parametrize(
    ("file", "module", "place"),
    [("uc_pkg/inner/net.py", "uc_pkg.inner.net", "."), ("uc_plain/net.py", "uc_plain.net", ".")],
)
def test_a_file_that_needs_its_package_is_answered_with_how_to_name_it(file, module, place, write, tmp_path):
    write("", "uc_pkg/__init__.py")
    write("", "uc_pkg/inner/__init__.py")
    path = write("from . import other\nVALUE = 1\n", file)
    write("", str(path.parent / "other.py"))
    with pytest.raises(ParamctlError) as caught:
        load(reference(f"{file}:VALUE", tmp_path))
    directory = (tmp_path / place).resolve()
    assert caught.value.problems[0].hint.endswith(f"write {module}:VALUE, in the directory {directory}")
    assert load(reference(f"{module}:VALUE", tmp_path)) == 1


def test_an_exit_of_the_users_code_does_not_end_the_tool(write, tmp_path):
    write("import sys\nsys.exit(5)\n", "uc_exit.py")
    with pytest.raises(ParamctlError, match="SystemExit: 5"):
        load(reference("uc_exit.py:f", tmp_path))


def test_an_interrupt_passes_through(write, tmp_path):
    write("raise KeyboardInterrupt\n", "uc_interrupt.py")
    with pytest.raises(KeyboardInterrupt):
        load(reference("uc_interrupt.py:f", tmp_path))
