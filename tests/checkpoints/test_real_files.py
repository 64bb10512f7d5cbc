"""Checkpoints as training leaves them: of Lightning, of the Trainer of transformers, of several processes."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

FILES = Path(__file__).parent / "files"
LIGHTNING = FILES / "lightning.ckpt"
BODY = """
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
        self.head = nn.Linear(3, 1)
"""


def values(report, *words):
    rows = report("list", *words, "--values")["parameters"]
    return {each["name"]: torch.tensor(each["values"]) for each in rows}


def equal(found, expected):
    assert found.keys() == expected.keys()
    for name, each in expected.items():
        assert torch.equal(found[name], each.to(found[name].dtype)), name


class TestLightning:
    """The file holds OmegaConf's containers, a Namespace of hyperparameters, callbacks and loops."""

    def test_the_weights_are_listed_and_measured(self, paramctl, report):
        told = report("list", LIGHTNING, "--stats")["parameters"]
        names = ["body.0.weight", "body.0.bias", "body.1.weight", "body.1.bias", "body.1.running_mean"]
        names += ["body.1.running_var", "body.1.num_batches_tracked", "head.weight", "head.bias"]
        assert [each["name"] for each in told] == names
        assert told[6]["stats"]["mean"] == 4
        assert "--key shows those under 'callbacks', 'optimizer_states'" in paramctl("list", LIGHTNING).err
        assert report("shared", LIGHTNING, "--by-value")["groups"] == []

    def test_the_state_of_the_optimizer_is_a_part(self, report):
        rows = report("list", LIGHTNING, "--key", "optimizer_states", "--stats")["parameters"]
        assert [each["name"] for each in rows[:3]] == ["0.state.0.step", "0.state.0.exp_avg", "0.state.0.exp_avg_sq"]
        assert rows[0]["stats"]["mean"] == 4

    def test_its_module_gets_the_weights(self, report, write):
        write(BODY, "lit.py")
        held = values(report, LIGHTNING)
        loaded = values(report, "lit.py:Net", "--weights", LIGHTNING)
        assert len(loaded) == 6
        equal(loaded, {name: held[name] for name in loaded})


class TestTrainer:
    @pytest.fixture(autouse=True)
    def _run(self, write):
        write("{}", "run/checkpoint-2/config.json")
        net = nn.Linear(3, 2)
        optimizer = torch.optim.AdamW(net.parameters())
        net(torch.ones(3)).sum().backward()
        optimizer.step()
        save_file(net.state_dict(), "run/checkpoint-2/model.safetensors", {"format": "pt"})
        torch.save(optimizer.state_dict(), "run/checkpoint-2/optimizer.pt")
        torch.save({"cpu": torch.get_rng_state(), "python": (3, (1, 2), None)}, "run/checkpoint-2/rng_state.pth")

    def test_the_model_of_a_step_is_meant(self, report, paramctl):
        assert [each["name"] for each in report("list", "run/checkpoint-2")["parameters"]] == ["bias", "weight"]
        assert "below it are run/checkpoint-2: name one" in paramctl("list", "run").err

    def test_the_state_of_the_optimizer_is_listed_by_its_file(self, report):
        names = [each["name"] for each in report("list", "run/checkpoint-2/optimizer.pt")["parameters"]]
        assert names[:3] == ["state.0.step", "state.0.exp_avg", "state.0.exp_avg_sq"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    directory = tmp_path_factory.mktemp("processes")
    script = FILES / "save_in_two_processes.py"
    subprocess.run([sys.executable, script, directory], check=True, capture_output=True)
    return directory


@pytest.fixture(scope="module")
def theirs():
    return runpy.run_path(str(FILES / "save_in_two_processes.py"))


@pytest.mark.slow
class TestSeveralProcesses:
    def test_parts_are_put_together(self, saved, theirs, report):
        equal(values(report, saved / "dtensor", "--key", "model"), theirs["FULL"])
        equal(values(report, saved / "sharded"), {"s": torch.ones(9, 4)})

    def test_parts_are_measured_as_the_whole_is(self, saved, theirs, report):
        rows = {each["name"]: each["stats"] for each in report("list", saved / "dtensor", "--stats")["parameters"]}
        assert rows["model.rows"]["mean"] == theirs["FULL"]["rows"].mean()
        assert rows["model.both"]["norm"] == pytest.approx(theirs["FULL"]["both"].float().norm().item())

    def test_what_fsdp_saved_is_loaded_into_the_model(self, saved, theirs, report, write):
        write("layers: [{Linear: [5, 7]}, ReLU, {Linear: [7, 3]}]")
        equal(values(report, "spec.yaml", "--weights", saved / "fsdp"), dict(theirs["net"]().named_parameters()))
        rows = report("list", saved / "fsdp", "--key", "optim")["parameters"]
        assert "state.0.weight.exp_avg" in {each["name"] for each in rows}

    def test_equal_values_are_found_across_files(self, saved, report):
        assert report("shared", saved / "fsdp", "--by-value")["groups"] == []

    def test_what_torch_saved_of_one_process_is_listed_and_said_to_be_a_part(self, saved, theirs, report, paramctl):
        rows = report("list", saved / "rank0.pt")["parameters"]
        assert {each["name"]: tuple(each["shape"]) for each in rows} == {
            name: tuple(each.shape) for name, each in theirs["FULL"].items()
        }
        assert "since its file holds the part of one process" in paramctl("list", saved / "rank0.pt", "--stats").err
        refused = paramctl("list", saved / "rank0.pt", "--values")
        assert (refused.code, "cannot be read: its file holds the part of one process" in refused.err) == (2, True)
