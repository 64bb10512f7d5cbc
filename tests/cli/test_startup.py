"""What a command imports: torch and Rich only where they are needed."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

TELL = (
    "import sys\n"
    "from paramctl.cli.main import run\n"
    "code = run(sys.argv[1:])\n"
    "print([name for name in ('torch', 'pydantic', 'numpy', 'paramctl.spec.model') if name in sys.modules], "
    "file=sys.stderr)\n"
    "sys.exit(code)"
)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["list", "--help"], 0),
        (["init", "--help"], 0),
        (["schemes"], 0),
        (["schemes", "--format", "json"], 0),
        (["schema", "--output", "/dev/null"], 0),
        (["lst"], 2),
        (["list", "--fromat", "json"], 2),
        (["list", "example:mlp"], 0),
        (["list", "example:llama2_70b", "--format", "json"], 0),
        (["list", "example:resnet18", "--tree", "--buffers"], 0),
        (["list", "example:resnet18", "--layer", "layer4"], 0),
        (["list", "example:no"], 2),
        (["init", "example:mlp", "--scheme", "norml"], 2),
        (["init", "example:mlp", "--rule", "x"], 2),
        (["init", "example:mlp", "--max-shard-size", "1KB"], 2),
        (["grad", "example:mlp", "--input-shape", "2x4"], 2),
        (["list", "yaml.yaml"], 2),
        (["list", "structure.yaml"], 2),
        (["list", "layer.yaml"], 2),
        (["list", "argument.yaml"], 2),
        (["list", "x.safetensors"], 0),
        (["list", "x.safetensors", "--tree"], 0),
        (["shared", "x.safetensors"], 0),
        (["list", "x.pt"], 0),
        (["list", "broken.pt"], 2),
        (["list", "net.py"], 2),
        (["list", "nett.py:Net"], 2),
        (["list", "net.py:Net", "--arg", "width"], 2),
        (["list", "no_such_module:Net"], 2),
        (["grad", "net.py:Net", "--input", "2,4:in64"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_what_can_be_answered_without_torch_is(words, code, process, write):
    write("layers: [ReLU", "yaml.yaml")
    write("layers: []\nsed: 1", "structure.yaml")
    write("layers: [Liner]", "layer.yaml")
    write("layers: [{Linear: {in_featurs: 3, out_features: 3}}]", "argument.yaml")
    save_file({"w": torch.ones(1)}, "x.safetensors")
    torch.save({"w": torch.ones(1)}, "x.pt")
    write("text", "broken.pt")
    write("class Net: pass", "net.py")
    result = process(*words, code=TELL)
    assert result.code == code, result.err
    assert "torch" not in result.err.splitlines()[-1]
    assert "numpy" not in result.err.splitlines()[-1]


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["list", "x.safetensors"], ["shared", "x.safetensors"]], ids=" ".join
)
def test_what_has_no_options_to_convert_does_without_pydantic(words, process, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_file({"w": torch.ones(1)}, "x.safetensors")
    assert process(*words, code=TELL).err.splitlines()[-1] == "[]"


@pytest.mark.parametrize("model", ["example:mlp", "example:no", "x.safetensors", "", "list", "no_such_module:Net"])
@pytest.mark.parametrize("command", ["list", "init", "shared", "grad", "schemes", "lst"])
def test_a_command_that_is_given_its_model_alone_does_as_one_whose_options_are_parsed(
    command, model, paramctl, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    save_file({"w": torch.ones(1)}, "x.safetensors")
    assert paramctl(command, model) == paramctl(command, "--", model)


@pytest.mark.parametrize("command", ["list", "shared"])
def test_a_checkpoint_needs_nothing_of_specs(command, process, tmp_path):
    save_file({"w": torch.ones(1)}, tmp_path / "x.safetensors")
    assert "paramctl.spec.model" not in process(command, tmp_path / "x.safetensors", code=TELL).err.splitlines()[-1]


def test_importing_the_package_imports_no_torch(process):
    code = (
        "import sys, paramctl\nprint('torch' in sys.modules)\nparamctl.list_parameters\nprint('torch' in sys.modules)"
    )
    assert process(code=code).out.split() == ["False", "True"]


def test_a_catalog_of_another_torch_is_not_used(monkeypatch, paramctl, write):
    """With another torch than that of the shipped file, the signatures come from torch itself."""
    from paramctl.sources import spec as source
    from paramctl.spec.catalog import Catalog

    monkeypatch.setattr(source, "load_catalog", lambda: Catalog("1.0", {}, {}))
    assert paramctl("list", write("layers: [{Linear: [2, 1]}]")).code == 0
    result = paramctl("list", write("layers: [Liner]"))
    assert "did you mean 'Linear'?" in result.err


def test_help_names_every_exit_code(process):
    told = " ".join(process("--help").out.split())
    assert "0 done, 1 a check found something, 2 the command or its input is wrong, 3 a bug, 130 interrupted." in told
