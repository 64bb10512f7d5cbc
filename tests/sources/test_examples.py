"""The shipped specs: in a checkout they stand beside the package, and in a wheel inside it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import paramctl
from paramctl.sources import examples

ROOT = Path(__file__).parent.parent.parent


def test_a_wheel_holds_the_specs_where_an_installed_package_looks_for_them():
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    (source,) = [source for source, target in wheel["force-include"].items() if target == "paramctl/configs"]
    assert sorted(path.stem for path in (ROOT / source).glob("*.yaml")) == examples.names()
    assert {"mlp", "lenet5", "alexnet", "resnet18", "gpt2", "llama2_70b"} <= set(examples.names())


def test_an_installed_package_reads_the_specs_inside_it(tmp_path, monkeypatch):
    (tmp_path / "paramctl" / "configs").mkdir(parents=True)
    (tmp_path / "paramctl" / "configs" / "own.yaml").touch()
    (tmp_path / "configs").mkdir()
    monkeypatch.setattr(examples, "__file__", str(tmp_path / "paramctl" / "sources" / "examples.py"))
    assert examples.names() == ["own"]
    assert examples.find("own") == tmp_path / "paramctl" / "configs" / "own.yaml"


def test_the_package_of_the_wheel_is_marked_as_typed():
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["paramctl"]
    assert (Path(paramctl.__file__).parent / "py.typed").is_file()
