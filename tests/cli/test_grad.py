from __future__ import annotations

import pytest
import torch
from torch import nn

from paramctl.tensors import memory

MLP = "example:mlp"


@pytest.mark.parametrize(
    "name",
    ["mlp", "shared", "lenet5", "alexnet", "resnet18", pytest.param("vgg16", marks=pytest.mark.slow)],
)
def test_every_shipped_spec_with_an_input_runs(name, report):
    answer = report("grad", f"example:{name}")
    assert all(row["grad"] is not None and row["grad"]["nan"] == 0 for row in answer["parameters"])
    assert all(row["before"] is None for row in answer["parameters"])


def test_the_gradients_are_those_of_torch(report):
    rows = report("list", MLP, "--values")["parameters"]
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))
    net.load_state_dict({row["name"]: torch.tensor(row["values"]) for row in rows})
    answer = report("grad", MLP, "--fill", "arange", "--loss", "mean", "--values")
    loss = net(torch.arange(8.0).reshape(2, 4)).mean()
    loss.backward()
    assert answer["loss"] == pytest.approx(loss.item())
    for row, parameter in zip(answer["parameters"], net.parameters(), strict=True):
        assert torch.allclose(torch.tensor(row["values"]), parameter.grad)
        assert row["grad"]["norm"] == pytest.approx(parameter.grad.norm().item(), abs=1e-7)


def test_a_histogram_is_of_the_gradient(report, paramctl, write):
    spec = write(
        "layers: [{Linear: [4, 1]}, {Linear: [1, 1]}]\ninput: {shape: [2, 4], fill: arange}\nfreeze: [1.bias]\ninit: [{match: '*', scheme: ones}]"
    )
    first, second, _, frozen = report("grad", spec, "--hist")["parameters"]
    assert first["grad"]["min"] == first["histogram"]["edges"][0] == 4
    assert first["grad"]["max"] == first["histogram"]["edges"][-1] == 10
    assert [count for count in first["histogram"]["counts"] if count] == [1, 1, 1, 1]
    assert second["histogram"] == {"edges": [2.0, 2.0], "counts": [1]}
    assert frozen["histogram"] is None
    lines = paramctl("grad", spec, "--hist").out.splitlines()
    assert lines[1].split() == ["name", "before", "mean", "std", "min", "histogram", "max", "norm"]
    assert "  4  █    █    ▅▅   █   10  " in lines[3]
    assert "histogram" not in paramctl("grad", spec).out


def test_gradients_add_up_over_passes(report):
    once, thrice = (report("grad", "example:shared", "--passes", n, "--values") for n in (1, 3))
    assert (once["passes"], thrice["passes"]) == (1, 3)
    assert once["parameters"][0]["values"] == [[6.0]]
    assert thrice["parameters"][0]["values"] == [[18.0]]
    assert thrice["loss"] == 9.0


def test_the_input_and_the_passes_follow_the_seed(report, write):
    spec = write("layers: [{Linear: [4, 4]}, {Dropout: 0.5}, {Linear: [4, 1]}]\ninput: {shape: [3, 4]}")
    assert report("grad", spec) == report("grad", spec)
    assert report("grad", spec)["loss"] != report("grad", spec, "--seed", "1")["loss"]


def test_train_mode_drops_and_eval_mode_does_not(report, write):
    spec = write("layers: [{Dropout: 0.5}]\ninput: {shape: [100], fill: ones}")
    assert report("grad", spec, "--mode", "eval")["loss"] == 100
    assert report("grad", spec)["loss"] != 100
    assert report("grad", spec)["loss"] == report("grad", spec, "--mode", "train")["loss"]


def test_the_command_line_replaces_shape_fill_and_loss_of_the_spec(report, write):
    spec = write("layers: [{Linear: [3, 2]}]\ninput: {shape: [5, 3], fill: ones}\nloss: mean")
    answer = report("grad", spec, "--input-shape", "2,7,3", "--fill", "zeros", "--loss", "cross_entropy")
    assert answer["output_shape"] == [2, 7, 2]
    assert answer["objective"] == "cross entropy against random classes, 2 in dimension 2"
    assert all(
        value == 0
        for row in report("grad", spec, "--fill", "zeros", "--values")["parameters"][:1]
        for each in row["values"]
        for value in each
    )


def test_indexes_reach_an_embedding(report, write):
    spec = write(
        "layers: [{Embedding: [10, 4]}, {Linear: [4, 2]}]\ninput: {shape: [2, 5], fill: {randint: {low: 0, high: 10}}}"
    )
    assert report("grad", spec)["output_shape"] == [2, 5, 2]
    assert report("grad", spec, "--fill", "randint(3,4)", "--values")["parameters"][0]["values"][0] == [0.0] * 4


def test_that_no_gradient_was_there_before_gives_way_first(paramctl, monkeypatch):
    monkeypatch.setenv("COLUMNS", "65")
    assert "\nleft out for want of space: before\n" in paramctl("grad", "example:lenet5").out


def test_what_got_no_gradient_and_why_is_said(paramctl, report, write):
    write(
        "from torch import nn\n"
        "class Half(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.used, self.unused = nn.Linear(2, 2), nn.Linear(2, 2)\n"
        "    def forward(self, x):\n"
        "        return self.used(x)\n",
        "grad_half.py",
    )
    spec = write("layers: [grad_half.py:Half]\ninput: {shape: [1, 2]}\nfreeze: ['*.used.bias']")
    rows = report("grad", spec, "--allow", "grad_half.py")["parameters"]
    assert [(row["name"], row["reason"]) for row in rows] == [
        ("0.used.weight", None),
        ("0.used.bias", "frozen"),
        ("0.unused.weight", "unused"),
        ("0.unused.bias", "unused"),
    ]
    page = paramctl("grad", spec, "--allow", "grad_half.py").out
    assert "3 parameters without a gradient: 1 frozen, 2 unused: no path leads from the loss to them" in page


def test_a_wholly_frozen_model_runs(report, write):
    spec = write("layers: [{Linear: [2, 1]}]\ninput: {shape: [1, 2]}\nfreeze: ['*']")
    assert [row["reason"] for row in report("grad", spec)["parameters"]] == ["frozen", "frozen"]


def test_the_output_of_a_recurrent_layer_is_the_first_floating_tensor_of_it(report, write):
    answer = report("grad", write("layers: [{LSTM: [3, 4]}]\ninput: {shape: [5, 2, 3]}"))
    assert (answer["output"], answer["output_shape"]) == ("output[0]", [5, 2, 4])


def test_without_an_input_the_error_says_which_one_the_first_layer_takes(paramctl, write):
    result = paramctl("grad", write("layers: [ReLU, {Conv2d: [3, 8, 5]}]"))
    assert result.code == 2
    assert result.err.splitlines() == [
        "error: spec.yaml: there is no input for a forward pass",
        "  hint: its first layer, Conv2d(3, 8, 5), takes [N, 3, H, W]: try --input-shape 2,3,32,32",
    ]
    result = paramctl("grad", "example:gpt2")
    assert (
        "hint: its first layer, Embedding(num_embeddings=50257, embedding_dim=768), takes [N, T] of indexes below 50257"
        in result.err
    )


def test_a_model_too_large_is_refused_before_it_is_allocated(paramctl, monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 2**31)
    result = paramctl("grad", "example:llama2_70b", "--input-shape", "1,8", "--fill", "randint(0,9)")
    assert result.code == 2
    assert result.err == (
        "error: parameters, gradients and the input would take 257 GiB of memory (275,906,592,800 bytes); "
        "2.0 GiB are available (2,147,483,648 bytes)\n"
    )


@pytest.mark.parametrize(
    ("layers", "shape", "message"),
    [
        ("[{Conv2d: [3, 8, 3]}]", "1,4,9,9", "layer 0, Conv2d(3, 8, 3) failed in forward on an input of [1, 4, 9, 9]"),
        (
            "[{ModuleList: [ReLU]}]",
            "1",
            "layer 0, ModuleList failed in forward on an input of [1]: NotImplementedError",
        ),
        ("[{Residual: [{Linear: [2, 3]}]}]", "1,2", "layer 0, Residual failed in forward on an input of [1, 2]"),
        (
            "[{TransformerEncoderLayer: [8, 2]}]",
            "3,2,7",
            "layer 0, TransformerEncoderLayer(8, 2), in its MultiheadAttention,",
        ),
        (
            "{a: {Sequential: {b: {Linear: [2, 2]}}}}",
            "1,3",
            "layer a.b, Linear(2, 2) failed in forward on an input of [1, 3]",
        ),
        (
            "[{Repeat: {times: 2, layer: {Linear: [2, 3]}}}]",
            "1,2",
            "layer 0.1, Linear(2, 3) failed in forward on an input of [1, 3]",
        ),
        ("[{Embedding: [5, 2]}]", "1,3", "layer 0, Embedding(5, 2) failed in forward on an input of [1, 3]"),
    ],
)
def test_a_failure_in_forward_names_layer_arguments_and_shape_once(layers, shape, message, paramctl, write):
    result = paramctl("grad", write(f"layers: {layers}"), "--input-shape", shape)
    assert result.code == 2
    assert message in result.err
    assert result.err.startswith("error: spec.yaml:1:")
    assert result.err.count("error:") == 1


@pytest.mark.parametrize(
    ("layers", "words", "hint"),
    [
        ("[{Linear: [4, 2]}]", ["--input-shape", "1,4", "--fill", "randint(0,9)"], "it takes floating numbers: try --fill rand"),
        ("[{Embedding: [9, 2]}]", ["--input-shape", "1,4"], "it takes indexes: try --fill 'randint(0,9)'"),
        ("[{Conv2d: [3, 8, 5]}]", ["--input-shape", "1,4,9,9"], "it takes [N, 3, H, W]"),
        ("[{BatchNorm1d: 3}]", ["--input-shape", "1,3"], "enlarge the batch, or add --mode eval"),
        ("[{LSTM: [3, 4]}, {Linear: [4, 1]}]", ["--input-shape", "5,2,3"], "take it apart in a layer of your own"),
        ("[{ModuleDict: {a: ReLU}}]", ["--input-shape", "1"], "a ModuleDict holds modules and cannot be called"),
    ],
)  # fmt: skip
def test_the_hint_after_a_failure_in_forward_is_about_what_is_wrong(layers, words, hint, paramctl, write):
    result = paramctl("grad", write(f"layers: {layers}"), *words)
    assert result.code == 2
    assert f"hint: {hint}" in result.err or hint in result.err.splitlines()[-1]


def test_a_tuple_that_reaches_a_layer_is_named(paramctl, write):
    result = paramctl("grad", write("layers: [{LSTM: [3, 4]}, {Linear: [4, 1]}]"), "--input-shape", "5,2,3")
    assert "failed in forward on an input of a tuple" in result.err


def test_what_a_layer_of_ones_own_refers_to_elsewhere_stays_its_parameter(report, write):
    write(
        "import torch\nfrom torch import nn\n"
        "class Listed(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.first = nn.Parameter(torch.zeros(2))\n"
        "        self.second = nn.Parameter(torch.zeros(2))\n"
        "        self.every = [self.first, self.second]\n"
        "        self.first.register_hook(lambda gradient: 5 * gradient)\n"
        "    def forward(self, x):\n"
        "        return x + sum(self.every)\n",
        "listed.py",
    )
    spec = write("layers: [{listed.py:Listed: }]\ninput: {shape: [2]}\ninit: [{match: '*', scheme: ones}]")
    answer = report("grad", spec, "--allow", "listed.py", "--values")
    assert [row["values"] for row in answer["parameters"]] == [[5.0, 5.0], [1.0, 1.0]]
    assert 4 <= answer["loss"] < 6


def test_a_failure_of_the_users_backward_is_no_bug(paramctl, write):
    write(
        "import torch\nfrom torch import nn\n"
        "class Stop(torch.autograd.Function):\n"
        "    @staticmethod\n"
        "    def forward(ctx, x): return x.clone()\n"
        "    @staticmethod\n"
        "    def backward(ctx, grad): raise SystemExit('stop')\n"
        "class Layer(nn.Linear):\n"
        "    def forward(self, x): return Stop.apply(super().forward(x))\n",
        "stopping.py",
    )
    spec = write("layers: [{stopping.py:Layer: [2, 2]}]\ninput: {shape: [1, 2]}")
    result = paramctl("grad", spec, "--allow", "stopping.py")
    assert result.code == 2
    assert result.err.startswith(
        "error: spec.yaml:1:10: layer 0, Layer(2, 2) failed in backward of its operation 'Stop'"
    )
    assert "SystemExit: stop" in result.err


def test_a_device_that_is_not_there_is_refused(paramctl):
    result = paramctl("grad", MLP, "--device", "cuda:77")
    assert result.code == 2
    assert "cannot use the device 'cuda:77'" in result.err


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
def test_a_cuda_device_gives_the_same_gradients(report):
    here, there = report("grad", "example:lenet5"), report("grad", "example:lenet5", "--device", "cuda")
    for one, two in zip(here["parameters"], there["parameters"], strict=True):
        assert one["grad"]["norm"] == pytest.approx(two["grad"]["norm"], rel=1e-3)


def test_the_uses_of_the_chapters_example_are_three_and_three(paramctl, report):
    (row,) = report("grad", "example:shared", "--uses", "--values")["parameters"]
    assert row["uses"] == [
        {"module": "0", "op": "linear", "call": 1, "pass": 1, "norm": 3.0, "cosine": 1.0, "values": [[3.0]]},
        {"module": "1", "op": "linear", "call": 2, "pass": 1, "norm": 3.0, "cosine": 1.0, "values": [[3.0]]},
    ]
    assert row["uses_note"] is None
    page = paramctl("grad", "example:shared", "--uses", "--values").out
    assert "0.weight     1  0       linear        3    1.00\n" in page
    assert "0.weight, call 2: linear in 1\ntensor([[3.]])\n" in page


def test_uses_and_growth_are_shown_pass_by_pass(paramctl, report):
    (row,) = report("grad", "example:shared", "--uses", "--passes", "3")["parameters"]
    assert row["norms"] == [6.0, 12.0, 18.0]
    assert [(each["pass"], each["call"]) for each in row["uses"]] == [(n, call) for n in (1, 2, 3) for call in (1, 2)]
    page = paramctl("grad", "example:shared", "--uses", "--passes", "3").out
    assert "6 → 12 → 18" in page
    assert "0.weight     3     2  1       linear" in page
    assert "6 → 12 → … → 60" in paramctl("grad", "example:shared", "--passes", "10").out


def test_uses_that_cannot_be_told_apart_are_null_with_the_reason(paramctl, report, write):
    write(
        "from torch import nn\nfrom torch.utils.checkpoint import checkpoint\n"
        "class Again(nn.Linear):\n"
        "    def forward(self, x): return checkpoint(super().forward, x.requires_grad_(), use_reentrant=True)\n",
        "again.py",
    )
    spec = write("layers: [{again.py:Again: [2, 2]}]\ninput: {shape: [1, 2]}")
    row = report("grad", spec, "--allow", "again.py", "--uses")["parameters"][0]
    assert row["uses"] is None
    assert "use_reentrant=False" in row["uses_note"]
    assert row["grad"]["norm"] > 0
    page = paramctl("grad", spec, "--allow", "again.py", "--uses").out
    assert "uses of 0.weight and 1 more cannot be told apart" in page


def test_reports_as_csv_have_a_column_for_what_was_asked(paramctl):
    header = paramctl("grad", "example:mlp", "--uses", "--health", "--passes", "2", "--format", "csv").out.splitlines()[
        0
    ]
    assert header.endswith("reason,norms,ratio,uses,uses_note")
    assert paramctl("grad", "example:mlp", "--format", "csv").out.splitlines()[0].endswith("reason")


DEEP = "layers: {body: {Repeat: {times: 9, layers: [{Linear: [8, 8]}, Sigmoid]}}, head: {Linear: [8, 1]}}\ninput: {shape: [3, 8]}"


def test_a_check_that_finds_something_exits_with_one(paramctl, write):
    spec = write(DEEP)
    result = paramctl("grad", spec, "--fail-on", "nan,vanishing")
    assert result.code == 1
    assert result.err.startswith("note: --fail-on: vanishing (body.0.0.weight, body.0.0.bias")
    assert "vanishing  norm below 1e-06" in result.out
    assert paramctl("grad", spec, "--fail-on", "nan,unused").code == 0
    assert paramctl("grad", spec, "--fail-on", "vanishing", "--vanishing", "1e-30").code == 0
    assert paramctl("grad", spec, "--fail-on", "exploding", "--exploding", "0").code == 1
    assert paramctl("grad", spec, "--fail-on", "ratio", "--max-ratio", "0").code == 1
    assert paramctl("grad", spec, "--health").code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--fail-on", "nan,unsed"), "error: --fail-on: there is no check 'unsed'\n  hint: did you mean 'unused'?\n"),
        (("--fail-on", "all"), "hint: the checks are nan, exploding, vanishing, dead, unused, frozen, ratio"),
        (("--vanishing", "-1"), "error: --vanishing: a limit is a number of 0 or more, not -1.0"),
        (("--max-ratio", "nan"), "error: --max-ratio: a limit is a number of 0 or more, not nan"),
    ],
)
def test_a_check_or_a_limit_that_is_none_is_refused(words, message, paramctl):
    result = paramctl("grad", MLP, *words)
    assert result.code == 2
    assert message in result.err


@pytest.mark.parametrize("limit", [("--vanishing", "1e-6"), ("--exploding", "1e9"), ("--max-ratio", "3")])
def test_a_limit_asks_for_the_checks_that_it_is_for(report, limit):
    asked = {"--vanishing": "vanishing", "--exploding": "exploding", "--max-ratio": "ratio"}[limit[0]]
    limits = report("grad", MLP, *limit)["health"]["limits"]
    assert limits == {"vanishing": 1e-6, "exploding": 1e3, "ratio": 10.0} | {asked: float(limit[1])}
    assert "health" not in report("grad", MLP)


@pytest.mark.parametrize(
    ("words", "noted"),
    [
        ((), "note: the input: rand is 0 everywhere in int64; randint(0,N) draws integers below N\n"),
        (
            ("--input", "2,3:int32"),
            "note: the input: rand is 0 everywhere in int32; randint(0,N) draws integers below N\n",
        ),
        (("--input", "2,3:int64:randint(0,5)"), ""),
        (("--input", "2,3:int64:zeros"), ""),
    ],
)
def test_an_input_of_integers_that_rand_leaves_at_zero_is_noted(words, noted, paramctl, write):
    result = paramctl("grad", write("layers: [{Embedding: [5, 2]}]\ninput: {shape: [2, 3], dtype: int64}"), *words)
    assert (result.code, result.err) == (0, noted)


def test_health_stands_beside_the_contract_in_json(report, write):
    answer = report("grad", write(DEEP), "--health")
    assert answer["health"]["limits"] == {"vanishing": 1e-6, "exploding": 1e3, "ratio": 10.0}
    (finding,) = answer["health"]["findings"]
    assert (finding["check"], finding["detail"]) == ("vanishing", None)
    assert all(0 < row["ratio"] < 10 for row in answer["parameters"] if row["name"].endswith("weight"))


def test_the_flow_is_drawn_layer_by_layer(paramctl, report, write, monkeypatch):
    spec = write(DEEP)
    flow = report("grad", spec, "--flow")["flow"]
    assert [each["module"] for each in flow] == [*(f"body.{i}.0" for i in range(9)), "head"]
    assert flow[0]["norm"] < flow[8]["norm"]
    monkeypatch.setenv("COLUMNS", "80")
    lines = paramctl("grad", spec, "--flow").out.splitlines()
    bars = [line.count("█") for line in lines[-10:]]
    assert bars == sorted(bars)
    assert all(len(line) <= 80 for line in lines)


@pytest.mark.parametrize("columns", [40, 32])
def test_the_flow_is_drawn_smaller_in_a_narrow_terminal(paramctl, write, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = paramctl("grad", write(DEEP), "--flow").out.splitlines()
    first = max(i for i, line in enumerate(lines) if line.startswith("layer"))
    assert all(len(line) <= columns for line in lines[first:])
    bars = [line.count("█") for line in lines[first + 2 :]]
    assert bars == sorted(bars)
    assert len(set(bars)) > 3


def test_a_terminal_without_blocks_gets_ascii(process, write):
    shown = process("grad", write(DEEP), "--flow", PYTHONIOENCODING="ascii", COLUMNS="80").out
    assert shown.isascii()
    assert "head" in shown.splitlines()[-1]
    assert "@@@@@@@@" in shown.splitlines()[-1]
    assert "?" not in shown


def test_autocast_runs_forward_in_the_other_dtype(report):
    exact = report("grad", "example:lenet5")["loss"]
    mixed = report("grad", "example:lenet5", "--autocast", "bfloat16")
    assert mixed["loss"] != exact
    assert mixed["loss"] == pytest.approx(exact, rel=0.05)
    assert (
        float(torch.tensor(mixed["loss"]).bfloat16()) == mixed["loss"] or mixed["objective"] != "the sum of the output"
    )


def test_a_failure_in_backward_names_the_layer_and_the_operation(paramctl, write):
    write(
        "from torch import nn\n"
        "class Spoils(nn.Module):\n"
        "    def forward(self, x):\n"
        "        y = x.exp()\n"
        "        y += 1\n"
        "        return y\n",
        "spoils.py",
    )
    spec = write(
        "layers:\n  - {Linear: [2, 2]}\n  - {spoils.py:Spoils: }\n  - {Linear: [2, 1]}\ninput: {shape: [1, 2]}"
    )
    result = paramctl("grad", spec, "--allow", "spoils.py")
    assert result.code == 2
    assert result.err.startswith("error: spec.yaml:3:5: layer 1, Spoils() failed in backward of its operation 'exp': ")
    assert "modified by an inplace operation" in result.err


NOT_FINITE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.w, self.spare = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
        self.z = nn.Parameter(torch.ones(2, dtype=torch.complex64))

    def forward(self, x):
        return (self.w * float("nan")).sum() + (self.w[:1] * float("inf")).sum() + self.w.sum() + self.z.abs().sum()
"""


def test_what_is_not_finite_in_a_contribution_is_counted_beside_its_norm(paramctl, report, write):
    write(NOT_FINITE, "net.py")
    words = ("grad", "net.py:Net", "--input-shape", "1", "--uses")
    uses = [(each["norm"], each.get("nan"), each.get("inf")) for each in report(*words)["parameters"][0]["uses"]]
    assert uses == [(0, 3, 0), (0, 0, 1), (pytest.approx(3**0.5), None, None)]
    lines = paramctl(*words).out.splitlines()
    start = next(i for i, line in enumerate(lines) if "operation" in line)
    assert [line.split()[-4:] for line in (lines[start], *lines[start + 2 : start + 5])] == [
        ["norm", "cosine", "nan", "inf"],
        ["–", "–", "3", "0"],
        ["0", "–", "0", "1"],
        ["1.73", "–", "0", "0"],
    ]


def test_what_never_has_a_norm_does_not_grow(paramctl, write):
    write(NOT_FINITE, "net.py")
    lines = paramctl("grad", "net.py:Net", "--input-shape", "1", "--passes", "3").out.splitlines()
    growth = {line.split()[0]: line.split(maxsplit=2)[-1] for line in lines[3:6]}
    assert all(growth[name].endswith(" –") and "→" not in growth[name] for name in ("w", "spare"))
    assert growth["z"].endswith("1.41 → 2.83 → 4.24")


@pytest.mark.parametrize("words", [("grad", "--input-shape", "1"), ("list", "--stats"), ("init", "--scheme", "zeros")])
def test_statistics_of_complex_elements_are_said_to_be_of_magnitudes(words, paramctl, write):
    write(NOT_FINITE, "net.py")
    command, *others = words
    assert (
        "note: z: statistics of complex elements are those of their magnitudes\n"
        in paramctl(command, "net.py:Net", *others).err
    )
