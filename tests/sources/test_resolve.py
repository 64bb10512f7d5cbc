from __future__ import annotations

from pathlib import Path

import pytest

from paramctl.errors import ParamctlError
from paramctl.sources import examples
from paramctl.sources.resolve import choose, open_model

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
            ("weights.safetensor", "cannot tell what model 'weights.safetensor' is", "a checkpoint (.safetensors"),
            ("net.py:Net", "net.py:Net is Python code", "layers: [net.py:Net], and add --allow net.py"),
            ("net.py", "net.py is Python code", "layers: [net.py:CLASS], and add --allow net.py"),
            ("mine.nets:Net", "mine.nets:Net is Python code", "layers: [mine.nets:Net], and add --allow mine;"),
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
        with pytest.raises(ParamctlError, match=r"loop\.yaml"):
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


class TestExamples:
    def test_every_shipped_spec_is_an_example(self):
        shipped = {path.stem for path in (Path(__file__).parents[2] / "configs").glob("*.yaml")}
        assert set(examples.names()) == shipped

    def test_an_example_may_use_the_code_that_ships_with_it(self):
        spec = open_model("example:mlp", []).spec
        assert {path.name for path in spec.allowance.files} == {"my_init.py"}
