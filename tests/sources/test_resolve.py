from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from paramctl.errors import ParamctlError
from paramctl.sources import examples
from paramctl.sources.protocols import Source, buildable, with_values
from paramctl.sources.resolve import Opening, choose, open_model

SPEC = "layers: [{Linear: [2, 1]}]\n"


class TestTheDefaultModel:
    def test_what_was_typed_counts(self):
        assert (choose("x.yaml").model, choose("x.yaml").note) == ("x.yaml", None)

    def test_else_the_environment(self, monkeypatch, write):
        write(SPEC, "paramctl.yaml")
        monkeypatch.setenv("PARAMCTL_MODEL", "other.yaml")
        chosen = choose(None)
        assert (chosen.model, chosen.note) == ("other.yaml", "no MODEL given: taking other.yaml, from $PARAMCTL_MODEL")

    def test_else_the_working_directory(self, write):
        write(SPEC, "paramctl.yaml")
        assert choose(None).model == "paramctl.yaml"
        assert "./paramctl.yaml" in choose(None).note

    def test_else_the_example(self, write):
        write(SPEC)
        assert choose(None).model == "example:mlp"


class TestFiles:
    @pytest.mark.parametrize("name", ["a.yaml", "a.yml", "a.b.yaml", "dir.yaml/a.yaml"])
    def test_a_spec_is_known_by_its_suffix(self, name, write):
        source = open_model(str(write(SPEC, name)), [])
        assert source.model == name
        assert source.spec.source == name

    def test_a_json_file_is_a_spec(self, write):
        assert len(open_model(str(write('{"layers": [{"Linear": [2, 1]}]}', "a.json")), []).spec.root.children) == 1

    @pytest.mark.parametrize(
        ("model", "message", "hint"),
        [
            ("speck.yaml", "there is no file speck.yaml", "did you mean 'spec.yaml'?"),
            ("alexnet.yaml", "there is no file alexnet.yaml", "the shipped one is example:alexnet"),
            ("sub", "sub is a directory", "it holds sub/inner.yaml"),
            ("model.pkl", "cannot tell what model 'model.pkl' is", ".yaml, .yml or .json"),
            ("", "cannot tell what model '' is", None),
            ("resnet18", "cannot tell what model 'resnet18' is", "did you mean 'example:resnet18'?"),
            ("alexnett", "cannot tell what model 'alexnett' is", "did you mean 'example:alexnet'?"),
            ("exmaple:mlp", "cannot tell what model 'exmaple:mlp' is", "did you mean 'example:mlp'?"),
            ("spec", "cannot tell what model 'spec' is", "did you mean 'spec.yaml'?"),
            ("model.pt", "there is no file model.pt", None),
            ("a/model.safetensors", "there is no file a/model.safetensors", None),
            ("model.safetensors.index.json", "there is no file model.safetensors.index.json", None),
            ("weights.safetensor", "cannot tell what model 'weights.safetensor' is", "did you mean '.safetensors'"),
            ("nets.py:Net", "there is no file nets.py", "did you mean 'net.py'?"),
            (f"{'a' * 300}.py:Net", "there is no file aaa", None),
            ("loop.py:Net", "there is no file loop.py", None),
            ("net.py", "net.py is Python code; which name in it?", "it defines Net, make: write net.py:Net"),
            ("none.py", "none.py is Python code; which name in it?", "write none.py:NAME"),
            ("broken.py", "broken.py is Python code; which name in it?", "write broken.py:NAME"),
            ("net.py:Net()", "net.py:Net() names nothing in net.py", "it defines Net, make: write net.py:Net"),
            ("mine.nets:Net", "there is no module 'mine'", "among the installed packages"),
            ("sub.nets", "sub.nets is a module; which name in it?", "it defines Inner: write sub.nets:Inner"),
            ("torch.nn.Linear", "torch.nn.Linear names nothing in a module", "write torch.nn:Linear"),
            (
                "example:fixed_hidden",
                "there is no example 'fixed_hidden'",
                "it is Python code: example:fixed_hidden.py:NAME",
            ),
            ("example:fixed_hiden.py:X", "there is no file", "did you mean 'fixed_hidden.py'?"),
            ("https://example.org/spec.yaml", "https://example.org/spec.yaml is a URL", "MODEL is a file"),
            ("a" * 5000, "File name too long", None),
            ("a" * 300 + ".yaml", "File name too long", None),
            ("example:alexnett", "there is no example 'alexnett'", "did you mean 'alexnet'?"),
            ("example:zzz", "there is no example 'zzz'", "gpt2, lenet5"),
        ],
    )
    def test_what_is_no_model_is_answered_with_what_is(self, model, message, hint, write):
        write(SPEC)
        write(SPEC, "sub/inner.yaml")
        write("class Net: pass\ndef make(): pass\ndef _private(): pass\nx = 3\n", "net.py")
        write("class Net(:", "broken.py")
        write("class Inner: pass\n", "sub/nets.py")
        Path("loop.py").symlink_to("loop.py")
        with pytest.raises(ParamctlError) as caught:
            open_model(model, [])
        (problem,) = caught.value.problems
        assert message in problem.message
        assert problem.where == "MODEL"
        assert hint is None or hint in problem.hint

    def test_a_directory_with_the_suffix_of_a_spec_is_a_directory(self, tmp_path):
        (tmp_path / "x.yaml").mkdir()
        with pytest.raises(ParamctlError, match="is a directory"):
            open_model(str(tmp_path / "x.yaml"), [])

    def test_a_file_that_cannot_be_read_is_named(self, tmp_path):
        (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
        with pytest.raises(ParamctlError, match=r"loop\.yaml is a link that leads to no file"):
            open_model(str(tmp_path / "loop.yaml"), [])


class TestCode:
    def test_a_file_named_in_a_spec_is_relative_to_the_spec_and_one_allowed_to_the_working_directory(self, write):
        write("from torch import nn\nclass Block(nn.Linear): pass\n", "sub/resolve_layers.py")
        path = write("layers: [{resolve_layers.py:Block: [1, 1]}]", "sub/spec.yaml")
        write("", "resolve_layers.py")
        assert open_model(str(path), ["sub/resolve_layers.py"]).spec.imports
        with pytest.raises(ParamctlError, match="importing it was not allowed"):
            open_model(str(path), ["resolve_layers.py"])

    def test_a_file_that_is_allowed_and_not_there_is_named(self, write):
        with pytest.raises(ParamctlError) as caught:
            open_model(str(write(SPEC)), ["nothing.py", "a" * 300 + ".py", "some.package"])
        assert [(each.where, each.message) for each in caught.value.problems] == [
            ("--allow", "there is no file nothing.py"),
            ("--allow", f"there is no file {'a' * 300}.py"),
        ]


class TestPythonModels:
    @pytest.mark.parametrize(
        ("model", "path", "module", "name"),
        [
            ("net.py:Net", "net.py", "", "Net"),
            ("sub/net.py:Outer.Inner", "sub/net.py", "", "Outer.Inner"),
            ("torch.nn:Linear", None, "torch.nn", "Linear"),
            ("net:make", None, "net", "make"),
            ("package.inside:Net", None, "package.inside", "Net"),
        ],
    )
    def test_a_name_in_a_file_or_a_package_is_python_code_that_is_not_imported_yet(
        self, model, path, module, name, write
    ):
        for file in ("net.py", "sub/net.py", "package/__init__.py"):
            write("raise RuntimeError('imported')", file)
        source = open_model(model, [], ["width=3", "rates=[0.1, 0.2]"])
        assert (source.model, source.reference.module, source.reference.name) == (model, module, name)
        assert source.reference.path == (None if path is None else Path(path))
        assert list(source.given) == ["width", "rates"]

    def test_an_example_may_be_python_code(self):
        source = open_model("example:fixed_hidden.py:FixedHiddenMLP")
        assert source.reference.path == examples.directory() / "fixed_hidden.py"

    def test_a_spec_whose_name_reads_like_a_name_in_a_package_is_a_spec(self, write):
        write(SPEC, "torch:net.yaml")
        assert open_model("torch:net.yaml").kind == "a spec"

    def test_what_is_no_code_takes_no_arguments(self, write):
        with pytest.raises(ParamctlError, match=r"spec\.yaml takes no arguments"):
            open_model(str(write(SPEC)), [], ["x=1"])

    def test_the_file_of_a_model_is_that_of_its_code(self):
        assert Opening("sub/net.py:Net").path == Path("sub/net.py")
        assert Opening("a:b.yaml").path == Path("a:b.yaml")


class TestCapabilities:
    def test_a_spec_and_python_code_build_a_model(self, write):
        for model in (str(write(SPEC)), "torch.nn:ReLU"):
            source = open_model(model)
            assert buildable(source) is source
            assert with_values(source) is source

    def test_a_source_without_a_capability_says_what_to_name_instead(self):
        @dataclass
        class Listed:
            model = "x.bin"
            kind = "a list of names"
            title = None
            seed = 0

            def contents(self, *, dtype, buffers, modules):
                raise AssertionError

        assert isinstance(Listed(), Source)
        with pytest.raises(ParamctlError, match=r"x\.bin is a list of names, which holds no values"):
            with_values(Listed())
        with pytest.raises(ParamctlError, match="no model can be built from it alone\n  hint: name the spec or the"):
            buildable(Listed())


class TestExamples:
    def test_every_shipped_spec_is_an_example(self):
        shipped = {path.stem for path in (Path(__file__).parents[2] / "configs").glob("*.yaml")}
        assert set(examples.names()) == shipped

    def test_an_example_may_use_the_code_that_ships_with_it(self):
        spec = open_model("example:mlp", []).spec
        assert {path.name for path in spec.allowance.files} == {"my_init.py", "fixed_hidden.py"}
