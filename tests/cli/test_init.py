from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from paramctl.tensors import memory

MLP = "example:mlp"
LARGE = "layers: [{Linear: [300, 200]}, {LayerNorm: 200}, {Linear: [200, 10]}]\n"


def test_without_rules_every_layer_keeps_its_own_values(report):
    rows = report("init", MLP)["parameters"]
    assert all(row["rules"] == [] for row in rows)
    assert all(abs(row["stats"]["max"]) <= 3**-0.5 for row in rows)


@pytest.mark.parametrize(
    "scheme",
    ["uniform", "normal", "trunc_normal", "constant:val=2", "ones", "zeros", "eye", "xavier_uniform", "xavier_normal",
     "kaiming_uniform", "kaiming_normal", "orthogonal", "sparse:sparsity=0.5", "default", "add:value=1", "mul:value=2"],
)  # fmt: skip
def test_every_scheme_gives_what_its_formula_promises(scheme, report, write):
    rows = report("init", write(LARGE), "--scheme", scheme)["parameters"]
    name = scheme.partition(":")[0]
    assert [[rule["scheme"] for rule in row["rules"]] for row in rows] == [[name], ["zeros"], [], [], [name], ["zeros"]]
    assert not any(row["deviates"] for row in rows)
    assert all(row["expected"] is not None for row in rows)


@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_an_option_is_a_yaml_scalar_in_quotes_or_not(quote, report):
    scheme = f"kaiming_normal:nonlinearity={quote}relu{quote}, a=1e-2"
    (rule,) = report("init", MLP, "--scheme", scheme)["parameters"][0]["rules"]
    assert (rule["args"]["nonlinearity"], rule["args"]["a"]) == ("relu", 0.01)


def test_normalisation_layers_keep_their_own_values_under_a_scheme(report, write):
    rows = {row["name"]: row for row in report("init", write(LARGE), "--scheme", "normal")["parameters"]}
    assert (rows["1.weight"]["stats"]["min"], rows["1.weight"]["stats"]["max"]) == (1.0, 1.0)


def test_dirac_is_for_convolutions_and_linear_layers_keep_their_own(report, paramctl, write):
    spec = write("layers: [{Conv2d: [4, 4, 3]}, Flatten, {Linear: [4, 4]}]")
    rows = report("init", spec, "--scheme", "dirac")["parameters"]
    assert [rule["scheme"] for rule in rows[0]["rules"]] == ["dirac"]
    assert rows[2]["rules"] == []
    assert rows[2]["note"] == "dirac is not defined here: it needs 3 to 5 dimensions, and the shape is [4, 4]"
    assert (
        "1 parameter kept the layer's own values: dirac is not defined here"
        in paramctl("init", spec, "--scheme", "dirac").out
    )


def test_order_is_spec_then_scheme_then_rules(report, write):
    spec = write("layers: [{Linear: [2, 2]}]\ninit: [{match: '*', scheme: ones}]")
    words = ("--rule", "*.weight=add:value=1", "--scheme", "constant:val=5", "--rule", "*.weight=mul:value=2")
    rows = report("init", spec, *words, "--values")["parameters"]
    assert [rule["scheme"] for rule in rows[0]["rules"]] == ["ones", "constant", "add", "mul"]
    assert rows[0]["values"] == [[12.0, 12.0]] * 2
    assert rows[1]["values"] == [0.0, 0.0]


def test_the_seed_is_the_command_lines_else_the_specs_else_zero(report, write):
    spec = write("layers: [{Linear: [2, 2]}]\nseed: 7")
    assert report("init", spec)["seed"] == 7
    assert report("init", spec, "--seed", "9")["seed"] == 9
    assert report("init", MLP)["seed"] == 0
    seven, again = report("init", spec, "--values"), report("init", spec, "--values", "--seed", "7")
    assert seven == again


def test_the_values_of_a_script_are_those_of_torchs_one_generator(report):
    import torch
    from torch import nn

    drawn = report("init", MLP, "--scheme", "normal:std=2", "--seed", 5, "--rng", "torch", "--values")
    assert drawn["rng"] == "torch"
    torch.manual_seed(5)
    for name, shape in (("0.weight", (3, 4)), ("2.weight", (1, 3))):
        (values,) = (row["values"] for row in drawn["parameters"] if row["name"] == name)
        assert torch.equal(torch.tensor(values), nn.init.normal_(torch.empty(shape), 0, 2))


def test_a_rule_that_matches_nothing_is_noted_and_done(paramctl):
    result = paramctl("init", MLP, "--rule", "3.*=ones")
    assert (result.code, result.err) == (0, "note: --rule: '3.*' matches no parameter\n")


def test_a_rule_that_matches_a_layer_says_what_its_parameters_are(paramctl):
    result = paramctl("init", MLP, "--rule", "2=ones")
    assert (result.code, result.err) == (0, "note: --rule: '2' matches no parameter; those of the layer are '2.*'\n")


def test_a_rule_with_a_misspelt_name_is_noted_with_the_right_one(paramctl):
    result = paramctl("init", MLP, "--rule", "2.weigth=ones")
    assert result.err == "note: --rule: '2.weigth' matches no parameter; did you mean '2.weight'?\n"


@pytest.mark.parametrize("rng", ["streams", "torch"])
def test_a_function_that_takes_modules_is_told_what_it_is_given(rng, paramctl, write):
    write(
        "from torch import nn\n"
        "def by_module(m):\n"
        "    if isinstance(m, nn.Linear):\n"
        "        nn.init.ones_(m.weight)\n"
        "def by_shape(t):\n"
        "    if t.dim() > 1:\n"
        "        t.data.fill_(1)\n",
        "own_init.py",
    )
    noted = paramctl("init", MLP, "--rng", rng, "--scheme", "own_init.py:by_module", "--rule", "*=own_init.py:by_shape")
    assert noted.err == (
        "note: own_init.py:by_module has changed nothing in 0.weight, 2.weight: "
        "it is called with each parameter, not with a module\n"
    )


def test_a_rule_that_does_not_fit_names_the_parameter_and_why(paramctl):
    result = paramctl("init", MLP, "--rule", "0.bias=kaiming_normal")
    assert result.code == 2
    assert result.err == (
        "error: --rule: kaiming_normal does not fit 0.bias: it needs 2 or more dimensions, and the shape is [3]\n"
        "  hint: a narrower glob, or the scheme for the whole model, leaves such a parameter as it is\n"
    )


def test_a_tied_parameter_is_initialised_once(report, write):
    spec = write("layers: {a: {Linear: [2, 2]}, b: {Linear: [2, 2]}}\ntie: [[a.weight, b.weight]]")
    rows = report("init", spec, "--rule", "*.weight=zeros", "--rule", "*.weight=add:value=1", "--values")["parameters"]
    assert [row["name"] for row in rows] == ["a.weight", "a.bias", "b.bias"]
    assert (rows[0]["aliases"], rows[0]["values"]) == (["b.weight"], [[1.0, 1.0]] * 2)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("rng", ["streams", "torch"])
def test_histograms_are_of_the_values_that_are_written(rng, report, paramctl, write):
    spec = write(LARGE)
    words = ("init", spec, "--scheme", "uniform", "--rng", rng)
    rows = report(*words, "--hist", "--out", "x.safetensors")["parameters"]
    written = safetensors.torch.load_file("x.safetensors")
    for row in rows:
        edges, counts = row["histogram"]["edges"], row["histogram"]["counts"]
        values = written[row["name"]].flatten()
        assert sum(counts) == len(values)
        if len(counts) > 1:
            assert counts[0] == (values < edges[1]).sum().item()
    assert [len(row["histogram"]["counts"]) for row in rows] == [32, 1, 1, 1, 32, 1]
    assert report(*words, "--hist") == report(*words, "--hist", "--threads", "1")
    assert "histogram" in paramctl(*words, "--hist").out.splitlines()[0]
    empty = write("layers: [{Linear: {in_features: 3, out_features: 0}}]", "empty.yaml")
    for row in report("init", empty, "--rng", rng, "--hist")["parameters"]:
        assert row["histogram"] == {"edges": [], "counts": []}


class TestFans:
    SPEC = "layers: [{Conv2d: {in_channels: 30, out_channels: 60, kernel_size: 3, groups: 30}}, {LSTM: [40, 50]}]"

    def test_the_report_has_the_fans_that_schemes_use(self, report, write):
        rows = report("init", write(self.SPEC), "--scheme", "xavier_normal")["parameters"]
        assert [row["fans"] for row in rows] == [
            {"fan_in": 9, "fan_out": 18}, None, {"fan_in": 40, "fan_out": 50}, {"fan_in": 50, "fan_out": 50}, None, None,
        ]  # fmt: skip
        assert rows[0]["expected"]["std"] == pytest.approx((2 / 27) ** 0.5)
        assert not any(row["deviates"] for row in rows)

    def test_with_torchs_fans_the_report_has_torchs(self, report, write):
        rows = report("init", write(self.SPEC), "--scheme", "xavier_normal", "--fan", "torch")["parameters"]
        assert [row["fans"] for row in rows if row["fans"]] == [
            {"fan_in": 9, "fan_out": 540}, {"fan_in": 40, "fan_out": 200}, {"fan_in": 50, "fan_out": 200},
        ]  # fmt: skip
        assert not any(row["deviates"] for row in rows)

    def test_a_scripts_values_have_torchs_fans_and_no_others(self, report, paramctl, write):
        spec = write(self.SPEC)
        words = ("init", spec, "--scheme", "xavier_normal", "--rng", "torch")
        rows = report(*words)["parameters"]
        assert [row["fans"]["fan_out"] for row in rows if row["fans"]] == [540, 200, 200]
        assert not any(row["deviates"] for row in rows)
        assert report(*words, "--fan", "torch")["parameters"] == rows
        refused = paramctl(*words, "--fan", "layer")
        assert (refused.code, refused.out) == (2, "")
        assert refused.err.startswith("error: --fan layer: --rng torch gives a script's values")

    def test_without_a_scheme_that_uses_them_there_are_none(self, report, paramctl):
        assert all(row["fans"] is None for row in report("init", MLP, "--scheme", "normal")["parameters"])
        assert " fan " not in paramctl("init", MLP, "--scheme", "normal").out

    @pytest.mark.parametrize(
        ("scheme", "cell"),
        [("kaiming_normal", " in 9 "), ("kaiming_uniform:mode=fan_out", " out 18 "), ("xavier_uniform", " 9 + 18 ")],
    )
    def test_a_table_shows_what_the_formula_divides_by(self, scheme, cell, paramctl, write, monkeypatch):
        monkeypatch.setenv("COLUMNS", "80")
        out = paramctl("init", write(self.SPEC), "--scheme", scheme).out
        assert cell in out
        assert max(map(len, out.splitlines())) <= 80

    def test_csv_has_a_column_for_each(self, paramctl, write):
        header, first, *_ = paramctl(
            "init", write(self.SPEC), "--scheme", "xavier_normal", "-f", "csv"
        ).out.splitlines()
        row = dict(zip(header.split(","), first.split(","), strict=False))
        assert "fans.fan_in,fans.fan_out,origin,unwritten" in header
        assert first.endswith(",9,18,scheme: xavier_normal,0")
        assert row["name"] == "0.weight"


OWN = """
import torch
from torch import nn
class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.never = nn.Parameter(torch.empty(4))
        self.partly = nn.Parameter(torch.Tensor(2, 3))
        self.partly.data[0] = 1
        self.filled = nn.Parameter(torch.empty(5).normal_())
        self.inner = nn.Linear(2, 2)
"""


class TestOrigins:
    def origins(self, report, *words):
        return {row["name"]: row["origin"] for row in report("init", *words)["parameters"]}

    def test_every_parameter_has_one(self, report, write):
        spec = write(
            "layers: {a: {Linear: [2, 2]}, b: {Linear: [2, 2]}, n: {LayerNorm: 2}}\n"
            "init: [{match: 'a.*', scheme: ones}, {match: 'a.weight', scheme: normal, std: 0.02}]"
        )
        words = ("--scheme", "xavier_normal", "--rule", "b.bias=constant:val=3", "--rule", "n.*=mul:value=2")
        assert self.origins(report, spec) == {
            "a.weight": "rule 2: normal(std=0.02)", "a.bias": "rule 1: ones", "b.weight": "layer default",
            "b.bias": "layer default", "n.weight": "layer default", "n.bias": "layer default",
        }  # fmt: skip
        assert self.origins(report, spec, *words) == {
            "a.weight": "scheme: xavier_normal", "a.bias": "scheme: zeros", "b.weight": "scheme: xavier_normal",
            "b.bias": "rule 3: constant(val=3)", "n.weight": "layer default → rule 4: mul(value=2)",
            "n.bias": "layer default → rule 4: mul(value=2)",
        }  # fmt: skip

    def test_a_tied_tensor_counts_once(self, report, write):
        spec = write("layers: {a: {Linear: [2, 2]}, b: {Linear: [2, 2]}}\ntie: [[a.weight, b.weight]]")
        assert report("init", spec, "--rule", "*.weight=zeros")["origins"] == [
            {"origin": "rule 1: zeros", "parameters": 1, "numel": 4},
            {"origin": "layer default", "parameters": 2, "numel": 4},
        ]

    def test_a_table_sums_them_up(self, paramctl):
        lines = paramctl("init", MLP, "--rule", "*.bias=zeros").out.splitlines()
        assert lines[-4:] == [
            "values from    parameters  elements",
            "───────────────────────────────────",
            "layer default           2        15",
            "rule 1: zeros           2         4",
        ]

    def test_what_a_layer_of_ones_own_never_writes_is_flagged(self, report, paramctl, write):
        write(OWN, "cli_own.py")
        spec = write("layers: [{cli_own.py:Own: }, {cli_own.py:Own: }]")
        rows = report("init", spec, "--allow", "cli_own.py", "--values")["parameters"]
        assert [(row["origin"], row["unwritten"]) for row in rows[:5]] == [
            ("never written", 4), ("partly written", 3), *[("layer default", 0)] * 3,
        ]  # fmt: skip
        assert rows[0]["values"] == [0.0] * 4
        assert rows[1]["values"] == [[1.0] * 3, [0.0] * 3]
        result = paramctl("init", spec, "--allow", "cli_own.py")
        assert result.code == 0
        assert result.err == (
            "note: 0.never, 0.partly (3 of its 6 elements), 1.never and 1 more: never written by the layer; zeros here,"
            " anything elsewhere\n"
        )

    def test_it_is_red(self, paramctl, write, monkeypatch):
        write(OWN, "cli_own_red.py")
        spec = write("layers: [{cli_own_red.py:Own: }]")
        monkeypatch.setenv("FORCE_COLOR", "1")
        out = paramctl("init", spec, "--allow", "cli_own_red.py").out
        assert out.count("\x1b[31mnever written") == 2
        assert out.count("\x1b[31mpartly written") == 2

    def test_what_a_rule_writes_is_not_flagged(self, report, paramctl, write):
        write(OWN, "cli_own_ruled.py")
        spec = write("layers: [{cli_own_ruled.py:Own: }]")
        words = (spec, "--allow", "cli_own_ruled.py", "--rule", "*.never=normal", "--rule", "*.partly=ones")
        assert not any(row["unwritten"] for row in report("init", *words)["parameters"])
        assert paramctl("init", *words).err == ""

    @pytest.mark.parametrize("rng", ["streams", "torch"])
    @pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
    def test_neither_dtype_nor_random_source_changes_that(self, dtype, rng, report, write):
        write(OWN, "cli_own_cast.py")
        spec = write("layers: [{cli_own_cast.py:Own: }]")
        rows = report("init", spec, "--allow", "cli_own_cast.py", "--dtype", dtype, "--rng", rng)["parameters"]
        assert [row["unwritten"] for row in rows] == [4, 3, 0, 0, 0]
        assert [row["stats"]["zeros"] for row in rows] == [4, 3, 0, 0, 0]
        assert not any(row["stats"]["nan"] for row in rows)

    def test_an_outer_layer_may_write_what_an_inner_one_has_allocated(self, report, write):
        write(
            OWN + "class Outer(nn.Module):\n"
            "    def __init__(self, inner: nn.Module):\n"
            "        super().__init__()\n"
            "        self.inner = inner\n"
            "        self.inner.never.data.copy_(torch.ones(4))\n",
            "cli_outer.py",
        )
        spec = write("layers: [{cli_outer.py:Outer: {inner: {cli_outer.py:Own: }}}]")
        rows = report("init", spec, "--allow", "cli_outer.py", "--dtype", "bfloat16")["parameters"]
        assert [(row["origin"], row["unwritten"]) for row in rows[:2]] == [("layer default", 0), ("partly written", 3)]

    @pytest.mark.parametrize("rng", ["streams", "torch"])
    def test_what_a_layer_makes_on_meta_has_no_values(self, rng, report, write):
        write(
            "import torch\nfrom torch import nn\n"
            "class Meta(nn.Module):\n"
            "    def __init__(self):\n"
            "        super().__init__()\n"
            "        self.weight = nn.Parameter(torch.ones(3, device='meta'))\n",
            "cli_meta.py",
        )
        spec = write("layers: [{cli_meta.py:Meta: }]")
        (row,) = report("init", spec, "--allow", "cli_meta.py", "--rng", rng)["parameters"]
        assert (row["origin"], row["unwritten"], row["stats"]["zeros"]) == ("never written", 3, 3)

    @pytest.mark.parametrize("command", [("list", "--stats"), ("grad", "--input-shape", "2")])
    def test_other_commands_that_show_values_note_it_too(self, command, paramctl, write):
        name, *words = command
        write(OWN + "    def forward(self, x):\n        return x * self.never.sum()\n", f"cli_own_{name}.py")
        result = paramctl(
            name, write(f"layers: [{{cli_own_{name}.py:Own: }}]"), "--allow", f"cli_own_{name}.py", *words
        )
        assert result.code == 0
        assert "note: 0.never, 0.partly (3 of its 6 elements): never written by the layer" in result.err


class TestWriting:
    def test_the_file_holds_what_the_report_shows(self, report, tmp_path):
        path = tmp_path / "x.safetensors"
        answer = report("init", MLP, "--scheme", "normal", "--values", "--out", path)
        assert answer["written"] == str(path)
        loaded = safetensors.torch.load_file(path)
        assert {row["name"]: row["values"] for row in answer["parameters"]} == {
            n: t.tolist() for n, t in loaded.items()
        }

    @pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
    def test_equal_calls_write_equal_bytes(self, suffix, paramctl, tmp_path):
        paths = [tmp_path / f"{i}{suffix}" for i in range(2)]
        for path in paths:
            assert paramctl("init", "example:shared", "--out", path).code == 0
            assert paramctl("init", "example:lenet5", "--out", path).code == 0
        assert paths[0].read_bytes() == paths[1].read_bytes()

    def test_processes_write_equal_bytes_whatever_their_threads(self, process, tmp_path, write):
        spec = write("layers: {a: &a {Linear: [200, 200]}, b: *a, c: *a, d: {LSTM: [9, 9]}}")
        for threads in ("1", "2"):
            result = process(
                "init", spec, "--scheme", "orthogonal", "--out", f"{threads}.safetensors", OMP_NUM_THREADS=threads
            )
            assert result.code == 0, result.err
        assert (tmp_path / "1.safetensors").read_bytes() == (tmp_path / "2.safetensors").read_bytes()

    def test_a_tie_is_stored_once_with_its_other_names_in_the_metadata(self, paramctl, tmp_path):
        paramctl("init", "example:shared", "--out", tmp_path / "x.safetensors")
        with safetensors.safe_open(tmp_path / "x.safetensors", "pt") as file:
            assert list(file.keys()) == ["0.weight"]
            assert file.metadata() == {"format": "pt", "1.weight": "0.weight"}

    def test_persistent_buffers_are_written_too(self, paramctl, tmp_path, write):
        paramctl("init", write("layers: [{BatchNorm1d: 3}]"), "--out", "x.pt")
        assert list(torch.load("x.pt", weights_only=True)) == [
            "0.weight", "0.bias", "0.running_mean", "0.running_var", "0.num_batches_tracked",
        ]  # fmt: skip

    @pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
    @pytest.mark.parametrize("rules", [[], ["--scheme", "normal"], ["--rule", "*=constant:val=7"]])
    def test_buffers_have_the_values_that_the_layer_gives_them(self, suffix, rules, paramctl, write):
        spec = write("layers: [{BatchNorm2d: 3}, {InstanceNorm1d: {num_features: 2, track_running_stats: true}}]")
        assert paramctl("init", spec, *rules, "--out", f"x{suffix}").code == 0
        load = safetensors.torch.load_file if suffix == ".safetensors" else torch.load
        written = load(f"x{suffix}")
        fresh = nn.Sequential(nn.BatchNorm2d(3), nn.InstanceNorm1d(2, track_running_stats=True))
        assert {name for name, _ in fresh.named_buffers()} == written.keys() - {"0.weight", "0.bias"}
        for name, buffer in fresh.named_buffers():
            assert written[name].dtype == buffer.dtype, name
            assert torch.equal(written[name], buffer), name

    def test_the_report_has_the_path_as_it_was_typed(self, report, write):
        write("", "sub/x")
        for out in ("x.pt", "sub/../x.safetensors"):
            assert report("init", MLP, "--out", out)["written"] == out
        assert report("init", MLP)["written"] is None

    @pytest.mark.parametrize("out", ["x.npz", "no/x.pt", "x"])
    def test_a_file_that_cannot_be_is_refused_at_once(self, out, paramctl, write):
        write("")
        result = paramctl("init", MLP, "--out", out)
        assert result.code == 2
        assert result.err.startswith("error: --out: ")

    def test_an_error_leaves_the_old_file(self, paramctl, write, tmp_path):
        old = write("precious", "x.safetensors")
        assert paramctl("init", MLP, "--rule", "*=eye", "--out", old).code == 2
        assert old.read_text() == "precious"


class TestMemory:
    """Two parameters of 40,000 bytes, and two of 2,000 in the norm."""

    SPEC = "layers: [{Linear: [100, 100, false]}, {Linear: [100, 100, false]}, {BatchNorm1d: 500}]"

    @pytest.mark.parametrize(
        ("extra", "needed"),
        [
            (["--rule", "0.weight=eye"], "39.1 KiB of memory (40,000 bytes)"),
            (["--rule", "0.weight=eye", "--out", "x.safetensors"], "39.1 KiB of memory (40,000 bytes)"),
            (["--rule", "0.weight=orthogonal"], "156 KiB of memory (160,000 bytes)"),
            (["--values"], "82.0 KiB of memory (84,000 bytes)"),
            (["--out", "x.pt"], "82.0 KiB of memory (84,000 bytes)"),
            (["--values", "--out", "x.pt"], "164 KiB of memory (168,000 bytes)"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, extra, needed, paramctl, write, monkeypatch):
        monkeypatch.setattr(memory, "available_bytes", lambda: 39_999)
        result = paramctl("init", write(self.SPEC), *extra)
        assert (result.code, result.out) == (2, "")
        assert result.err == f"error: the values would take {needed}; 39.1 KiB are available (39,999 bytes)\n"

    def test_what_is_drawn_in_blocks_fits_whatever_its_size(self, paramctl, write, monkeypatch):
        spec = write(self.SPEC)
        monkeypatch.setattr(memory, "available_bytes", lambda: 39_999)
        assert paramctl("init", spec, "--out", "x.safetensors").code == 0
        assert paramctl("init", spec, "--out", "x.pt").code == 2
        assert not Path("x.pt").exists()


class TestCodeOfOnesOwn:
    def test_a_function_from_a_package_in_the_working_directory(self, report, write):
        write("", "init_package/__init__.py")
        write("def twos_(t, value=2):\n    t.fill_(value)\n", "init_package/inits.py")
        rows = report("init", MLP, "--scheme", "init_package.inits:twos_:value=3", "--values")["parameters"]
        assert rows[0]["rules"] == [{"scheme": "init_package.inits:twos_", "args": {"value": 3}}]
        assert rows[0]["values"] == [[3.0] * 4] * 3

    def test_a_function_in_a_spec_must_be_allowed(self, paramctl, report, write):
        write("def twos_(t):\n    t.fill_(2)\n", "cli_inits.py")
        spec = write("layers: [{Linear: [1, 1]}]\ninit: [{match: '*', scheme: cli_inits.py:twos_}]")
        refused = paramctl("init", spec)
        assert refused.code == 2
        assert "hint: if you trust it, add --allow cli_inits.py" in refused.err
        rows = report("init", spec, "--allow", "cli_inits.py", "--values")["parameters"]
        assert [row["values"] for row in rows] == [[[2.0]], [2.0]]

    def test_what_the_function_raises_is_shown_with_its_place(self, paramctl, write):
        write("def f(t):\n    return g(t)\n\ndef g(t):\n    raise ValueError('boom')\n", "cli_faulty.py")
        result = paramctl("init", MLP, "--scheme", "cli_faulty.py:f")
        assert result.code == 2
        assert result.err.splitlines() == [
            "error: --scheme: cli_faulty.py:f on 0.weight failed: ValueError: boom",
            "  hint: raised at cli_faulty.py:2 in f, cli_faulty.py:5 in g",
        ]

    def test_reading_a_spec_runs_no_code_that_was_not_allowed(self, paramctl, write, tmp_path):
        write("import pathlib\npathlib.Path('ran').touch()\n", "cli_evil.py")
        spec = write("layers: [{cli_evil.py:Layer: }, {cli_evil.Layer: }]\ninit: [{match: '*', scheme: cli_evil.py:f}]")
        assert paramctl("init", spec, "--allow", "other.py", "--allow", "cli").code == 2
        assert not (tmp_path / "ran").exists()


def test_a_table_marks_what_is_off(paramctl, write, monkeypatch):
    from paramctl.tensors.initializing import kernels

    right = kernels.ELEMENTWISE["normal"]
    twice = {"normal": lambda shape, *, mean, std: right(shape, mean=mean, std=2 * std)}
    monkeypatch.setattr(kernels, "ELEMENTWISE", {**kernels.ELEMENTWISE, **twice})
    result = paramctl("init", write("layers: [{Linear: [100, 100]}]"), "--scheme", "normal")
    assert "! 0 ± 0.01" in result.out
    assert "1 parameter (!) off by more than five standard errors" in result.out
