"""`--rng torch` gives what a script gives, bit for bit."""

from __future__ import annotations

import random
from functools import partial

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from paramctl.errors import ParamctlError
from paramctl.spec.rules import parse_rule, parse_whole_model
from paramctl.tensors.answers.init import initialize
from paramctl.tensors.building.build import build
from paramctl.tensors.building.built import BuiltModel
from paramctl.tensors.building.live_failures import explainer
from paramctl.tensors.initializing.defaults import Programs
from paramctl.tensors.statistics import measure

MLP = "layers: [{Linear: [40, 70]}, {LayerNorm: 70}, {Linear: [70, 5]}, {Linear: [5, 2]}]"
CONVOLUTIONS = "layers: [{Conv2d: [8, 12, 3]}, {BatchNorm2d: 12}, {Conv2d: [12, 4, 3]}]"


def mlp(**factory):
    layers = nn.Linear(40, 70, **factory), nn.LayerNorm(70, **factory), nn.Linear(70, 5, **factory)
    return nn.Sequential(*layers, nn.Linear(5, 2, **factory))


def convolutions():
    return nn.Sequential(nn.Conv2d(8, 12, 3), nn.BatchNorm2d(12), nn.Conv2d(12, 4, 3))


def written(spec, tmp_path, text, *rules, seed=7, **options):
    out = tmp_path / "x.safetensors"
    building = partial(build, spec(text, *options.pop("allowed", ())), seed=seed, dtype=options.pop("dtype", None))
    initialize(building, "m", rules, seed=seed, out=out, rng="torch", **options)
    initialize(building, "m", rules, seed=seed, out=out.with_suffix(".pt"), rng="torch", **options)
    state = load_file(out)
    pickled = torch.load(out.with_suffix(".pt"), weights_only=True)
    assert_equal(state, {name: pickled[name] for name in state})
    return state


def scripts(build, fill, *, reached=lambda name, parameter: parameter.ndim > 1, seed=7):
    """Return the state of the script that the option stands for, on one thread."""
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        torch.manual_seed(seed)
        net = build()
        torch.manual_seed(seed)
        with torch.no_grad():
            for name, parameter in net.named_parameters():
                if reached(name, parameter):
                    fill(parameter)
    finally:
        torch.set_num_threads(threads)
        torch.set_rng_state(before)
    return net.state_dict()


def assert_equal(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        assert ours[name].dtype == expected.dtype
        assert torch.equal(ours[name], expected), name


LINEAR = {
    "uniform:a=-1,b=2": lambda t: nn.init.uniform_(t, -1, 2),
    "normal:mean=1,std=3": lambda t: nn.init.normal_(t, 1, 3),
    "constant:val=2": lambda t: nn.init.constant_(t, 2),
    "ones": nn.init.ones_,
    "zeros": nn.init.zeros_,
    "eye": nn.init.eye_,
    "trunc_normal:std=2,a=-1,b=3": lambda t: nn.init.trunc_normal_(t, 0, 2, -1, 3),
    "trunc_normal:a=2,b=3": lambda t: nn.init.trunc_normal_(t, 0, 1, 2, 3),
    "xavier_uniform:gain=2": lambda t: nn.init.xavier_uniform_(t, 2),
    "xavier_normal": nn.init.xavier_normal_,
    "kaiming_uniform:a=0.3": lambda t: nn.init.kaiming_uniform_(t, 0.3),
    "kaiming_normal:mode=fan_out,nonlinearity=relu": lambda t: nn.init.kaiming_normal_(t, mode="fan_out", nonlinearity="relu"),
    "orthogonal:gain=3": lambda t: nn.init.orthogonal_(t, 3),
    "sparse:sparsity=0.4,std=2": lambda t: nn.init.sparse_(t, 0.4, 2),
    "add:value=1": lambda t: t.add_(1),
    "mul:value=3": lambda t: t.mul_(3),
    "default": lambda t: t,
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:mean is more than 2 std")
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("scheme", LINEAR)
def test_every_scheme_has_torchs_bits(scheme, threads, spec, tmp_path):
    rules = [parse_rule(f"{name}.weight={scheme}", tmp_path) for name in (0, 2, 3)]
    ours = written(spec, tmp_path, MLP, *rules, threads=threads)
    assert_equal(ours, scripts(mlp, LINEAR[scheme]))


def test_every_scheme_is_tested(spec):
    from paramctl.schemes import SCHEMES

    assert {scheme.partition(":")[0] for scheme in LINEAR} | {"dirac"} == SCHEMES.keys()


def test_dirac_has_torchs_bits(spec, tmp_path):
    rules = [parse_rule(f"{name}.weight=dirac:groups=2", tmp_path) for name in (0, 2)]
    ours = written(spec, tmp_path, CONVOLUTIONS, *rules)
    assert_equal(ours, scripts(convolutions, lambda t: nn.init.dirac_(t, 2)))


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16"])
@pytest.mark.parametrize(
    "scheme", ["normal:mean=1,std=3", "uniform:a=-1,b=2", "xavier_normal", "trunc_normal:std=2,a=-1,b=3"]
)
def test_a_smaller_dtype_is_drawn_as_torch_draws_it(scheme, dtype, spec, tmp_path):
    rules = [parse_rule(f"{name}.weight={scheme}", tmp_path) for name in (0, 2, 3)]
    ours = written(spec, tmp_path, MLP, *rules, dtype=dtype)
    assert_equal(ours, scripts(lambda: mlp(dtype=getattr(torch, dtype)), LINEAR[scheme]))


@pytest.mark.parametrize("size", [1, 15, 16, 17, 31, 2**18 - 1, 2**18, 2**18 + 15, 2**18 + 16, 2**19 + 33])
@pytest.mark.parametrize("threads", [1, 2])
def test_runs_of_any_length_have_torchs_bits(size, threads, spec, tmp_path):
    text = f"layers: [{{Linear: [1, {size}, false]}}, {{Linear: [{size}, 1, false]}}]"
    ours = written(spec, tmp_path, text, parse_whole_model("normal", tmp_path), threads=threads)
    build = lambda: nn.Sequential(nn.Linear(1, size, bias=False), nn.Linear(size, 1, bias=False))  # noqa: E731
    assert_equal(ours, scripts(build, lambda t: t.normal_(0, 0.01)))


def test_a_whole_model_is_drawn_without_its_constructors(spec, tmp_path):
    ours = written(spec, tmp_path, MLP, parse_whole_model("xavier_uniform", tmp_path))

    def fill(parameter):
        nn.init.xavier_uniform_(parameter) if parameter.ndim > 1 else parameter.zero_()

    assert_equal(ours, scripts(mlp, fill, reached=lambda name, _: not name.startswith("1")))


def test_what_no_rule_reaches_is_what_the_constructors_drew(spec, tmp_path):
    text = "layers: [{Linear: [4, 4]}, {TransformerEncoder: {encoder_layer: {TransformerEncoderLayer: {d_model: 8, nhead: 2, dim_feedforward: 6}}, num_layers: 2, enable_nested_tensor: false}}, {Embedding: [9, 3, 2]}, {LSTM: [3, 4]}]"

    def build():
        first = nn.Linear(4, 4)
        layer = nn.TransformerEncoderLayer(d_model=8, nhead=2, dim_feedforward=6)
        encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        return nn.Sequential(first, encoder, nn.Embedding(9, 3, 2), nn.LSTM(3, 4))

    ours = written(spec, tmp_path, text, parse_rule("0.weight=normal:std=2", tmp_path))
    assert_equal(ours, scripts(build, lambda t: t.normal_(0, 2), reached=lambda name, _: name == "0.weight"))


def test_a_padding_row_is_what_torch_makes_of_it(spec, tmp_path):
    ours = written(spec, tmp_path, "layers: [{Embedding: [9, 30, 2]}]", parse_rule("0.weight=normal:std=2", tmp_path))
    assert_equal(ours, scripts(lambda: nn.Sequential(nn.Embedding(9, 30, 2)), lambda t: t.normal_(0, 2)))


def test_a_tied_parameter_is_drawn_once(spec, tmp_path):
    text = "layers: {a: {Embedding: [5, 3]}, b: {Linear: [3, 5, false]}, c: {Linear: [5, 6, false]}}\ntie: [[a.weight, b.weight]]"
    ours = written(spec, tmp_path, text, parse_rule("*=normal:std=1", tmp_path))

    def build():
        net = nn.ModuleDict(
            {"a": nn.Embedding(5, 3), "b": nn.Linear(3, 5, bias=False), "c": nn.Linear(5, 6, bias=False)}
        )
        net["b"].weight = net["a"].weight
        return net

    theirs = scripts(build, lambda t: t.normal_(0, 1))
    del theirs["b.weight"]
    assert_equal(ours, theirs)


def test_layers_and_functions_of_the_users_own_draw_from_the_scripts_generator(spec, write, tmp_path):
    write(
        "import torch\nfrom torch import nn\n"
        "class Own(nn.Module):\n"
        "    def __init__(self, n):\n"
        "        super().__init__()\n"
        "        self.w = nn.Parameter(torch.randn(n))\n"
        "        self.register_buffer('b', torch.rand(n))\n"
        "def own_(t):\n"
        "    t.copy_(torch.randn_like(t) * 5)\n",
        "scripted_own.py",
    )
    text = "layers: [{Linear: [4, 3]}, {scripted_own.py:Own: [6]}, {Linear: [3, 2]}]"
    rules = [parse_rule("*.weight=scripted_own.py:own_", tmp_path)]
    ours = written(spec, tmp_path, text, *rules, allowed=["scripted_own.py"])

    class Own(nn.Module):
        def __init__(self, n):
            super().__init__()
            self.w = nn.Parameter(torch.randn(n))
            self.register_buffer("b", torch.rand(n))

    def fill(parameter):
        parameter.copy_(torch.randn_like(parameter) * 5)

    build = lambda: nn.Sequential(nn.Linear(4, 3), Own(6), nn.Linear(3, 2))  # noqa: E731
    assert_equal(ours, scripts(build, fill, reached=lambda name, _: name.endswith("weight")))


@pytest.mark.filterwarnings("ignore:mean is more than 2 std")
@pytest.mark.parametrize("scheme", LINEAR)
def test_what_does_not_lie_in_memory_row_by_row_has_torchs_bits(scheme, spec, write, tmp_path):
    code = (
        "import torch\nfrom torch import nn\n"
        "class Strided(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.turned = nn.Parameter(torch.zeros(70, 40).t())\n"
        "        self.stepped = nn.Parameter(torch.rand(40, 70)[::2, ::3])\n"
    )
    write(code, "strided.py")
    rules = [parse_rule(f"*={scheme}", tmp_path)]
    ours = written(spec, tmp_path, "layers: [{strided.py:Strided: {}}]", *rules, allowed=["strided.py"])
    names = {}
    exec(code, names)
    assert_equal(ours, scripts(lambda: nn.Sequential(names["Strided"]()), LINEAR[scheme]))


def test_the_global_generators_are_left_alone(spec, tmp_path):
    before = torch.get_rng_state(), random.getstate()
    written(spec, tmp_path, MLP, parse_whole_model("trunc_normal", tmp_path))
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == random.getstate()


def test_elements_that_are_asked_for_are_those_that_are_written(spec, tmp_path):
    out = tmp_path / "x.safetensors"
    rule = parse_whole_model("normal", tmp_path)
    building = partial(build, spec(MLP), seed=7)
    report = initialize(building, "m", [rule], seed=7, out=out, rng="torch", with_values=True)
    again = initialize(building, "m", [rule], seed=7, rng="torch")
    stored = load_file(out)
    for row, without in zip(report.parameters, again.parameters, strict=True):
        assert torch.equal(row.values.tensor, stored[row.name])
        assert row.stats == without.stats


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("threads", [1, 3])
def test_parameters_in_the_same_memory_are_those_that_the_script_leaves(turned, threads, spec, tmp_path):
    def build_net():
        weight = torch.zeros(40, 40)
        views = (weight.t() if turned else weight, weight, weight.t())
        return nn.ParameterList([nn.Parameter(each) for each in views])

    net = build_net()
    built = BuiltModel(net=net, programs=Programs({}), explain=explainer(net), users_code=True)
    rules = [parse_rule("*=xavier_normal", tmp_path)]
    report = initialize(
        lambda: built, "m", rules, seed=7, out=tmp_path / "x.pt", rng="torch", threads=threads, with_values=True
    )
    theirs = scripts(build_net, nn.init.xavier_normal_)
    assert_equal(torch.load(tmp_path / "x.pt"), theirs)
    assert [row.values.nested() for row in report.parameters] == [each.tolist() for each in theirs.values()]
    assert [row.stats.max for row in report.parameters] == [measure(each).max for each in theirs.values()]


@pytest.mark.parametrize("rules", [(), ("*=normal",), ("*=trunc_normal",)])
def test_a_dtype_that_torch_cannot_draw_is_named(rules, spec, tmp_path):
    with pytest.raises(ParamctlError) as caught:
        written(spec, tmp_path, MLP, *(parse_rule(each, tmp_path) for each in rules), dtype="float8_e5m2")
    (problem,) = caught.value.problems
    assert problem.message.endswith("failed: torch draws nothing in float8_e5m2") or (
        problem.message.endswith("cannot fill 0.weight: torch draws nothing in float8_e5m2")
    )
    assert problem.hint == "without --rng torch it is drawn in float32, and rounded"
