"""The values that rules give: their promise, their streams, and functions of the user's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from paramctl.errors import ParamctlError
from paramctl.rules import InitRule
from paramctl.spec.rules import parse_rule, parse_whole_model
from paramctl.tensors.building.build import build
from paramctl.tensors.initializing.materialize import materialize, plan_drawings
from paramctl.tensors.initializing.targets import describe_measured
from paramctl.tensors.statistics import measure


def values(read, *rules, seed=0, **options):
    built = build(read, seed=seed, **options)
    drawings, _ = plan_drawings(built.net, built.programs, [*read.rules, *rules])
    return {drawing.plan.target.record.name: drawing.draw(seed) for drawing in drawings}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "scheme", ["default", "normal", "kaiming_uniform", "orthogonal", "sparse:sparsity=0.3", "trunc_normal"]
)
def test_values_depend_on_seed_name_and_shape_and_on_no_other_layer(scheme, spec, here):
    rule = parse_rule(f"*.weight={scheme}", here)
    small = values(spec("layers: {fc: {Linear: [40, 30]}}"), rule)
    large = values(spec("layers: {first: {Linear: [7, 40]}, fc: {Linear: [40, 30]}, last: {Linear: [30, 3]}}"), rule)
    other_order = values(spec("layers: {last: {Linear: [30, 3]}, fc: {Linear: [40, 30]}}"), rule)
    assert torch.equal(small["fc.weight"], large["fc.weight"])
    assert torch.equal(small["fc.bias"], large["fc.bias"])
    assert torch.equal(large["last.weight"], other_order["last.weight"])
    renamed = values(spec("layers: {fd: {Linear: [40, 30]}}"), rule)
    reseeded = values(spec("layers: {fc: {Linear: [40, 30]}}"), rule, seed=1)
    assert not torch.equal(small["fc.weight"], renamed["fd.weight"])
    assert not torch.equal(small["fc.weight"], reseeded["fc.weight"])


def test_a_parameter_does_not_depend_on_its_siblings(spec, here):
    plain = values(spec("layers: [{Linear: [4, 3]}]"))
    ruled = values(spec("layers: [{Linear: [4, 3]}]"), parse_rule("*.weight=normal", here))
    assert torch.equal(plain["0.bias"], ruled["0.bias"])


def test_what_a_later_rule_overwrites_leaves_no_trace(spec, here):
    read = spec("layers: [{Linear: [4, 3]}]")
    once = values(read, parse_rule("*=normal", here))
    twice = values(read, parse_rule("*=uniform", here), parse_rule("*=mul:value=5", here), parse_rule("*=normal", here))
    assert torch.equal(once["0.weight"], twice["0.weight"])


def test_two_draws_for_one_parameter_are_independent(spec, here, write):
    write("import torch\ndef noise(t):\n    t += torch.randn(t.shape)\n", "noise_init.py")
    read = spec("layers: [{Linear: [100, 100]}]")
    normal = values(read, parse_rule("*.weight=normal:std=1", here))["0.weight"]
    both = values(read, parse_rule("*.weight=normal:std=1", here), parse_rule("*.weight=noise_init.py:noise", here))[
        "0.weight"
    ]
    noise = both - normal
    correlation = torch.corrcoef(torch.stack([normal.flatten(), noise.flatten()]))[0, 1]
    assert abs(correlation) < 0.05


def test_values_of_a_smaller_dtype_are_the_rounded_values_of_float32(spec, here):
    read = spec("layers: [{Linear: [20, 30]}, {LSTM: [4, 5]}]")
    rule = parse_rule("*.weight*=kaiming_normal", here)
    full, half = values(read, rule), values(read, rule, dtype="bfloat16")
    for name, tensor in full.items():
        assert half[name].dtype == torch.bfloat16
        assert torch.equal(half[name], tensor.to(torch.bfloat16)), name


@pytest.mark.parametrize("dtype", ["float64", "float16", "float8_e4m3fn", "float8_e5m2"])
@pytest.mark.parametrize(
    "scheme", ["normal", "uniform", "orthogonal", "eye", "trunc_normal", "constant:val=0.5", "mul:value=2"]
)
def test_every_scheme_fills_every_floating_dtype(scheme, dtype, spec, here):
    tensor = values(spec("layers: [{Linear: [6, 5]}]"), parse_rule(f"*.weight={scheme}", here), dtype=dtype)["0.weight"]
    assert tensor.dtype == getattr(torch, dtype)
    assert tensor.double().isfinite().all()


def test_a_padding_row_is_zero_whatever_sets_the_weight(spec, here):
    read = spec("layers: [{Embedding: {num_embeddings: 5, embedding_dim: 3, padding_idx: -1}}]")
    for rules in (
        [],
        [parse_whole_model("normal", here)],
        [parse_rule("*=ones", here), parse_rule("*=add:value=1", here)],
    ):
        weight = values(read, *rules)["0.weight"]
        assert torch.equal(weight[4], torch.zeros(3))
        assert weight[:4].abs().min() > 0


def test_a_padding_row_of_a_tied_weight_stays_zero(spec, here):
    read = spec(
        "layers: {head: {Linear: [3, 5, false]}, embed: {Embedding: {num_embeddings: 5, embedding_dim: 3, padding_idx: 1}}}\n"
        "tie: [[head.weight, embed.weight]]"
    )
    weight = values(read, parse_rule("*=ones", here))["head.weight"]
    assert weight.sum(dim=1).tolist() == [3, 0, 3, 3, 3]


def test_a_tied_parameter_has_the_default_of_the_layer_whose_name_stands_first(spec):
    layers = "layers: {embed: {Embedding: [300, 200]}, head: {Linear: [200, 300, false]}}\n"
    as_embedding = values(spec(layers + "tie: [[embed.weight, head.weight]]"))["embed.weight"]
    as_linear = values(spec(layers + "tie: [[head.weight, embed.weight]]"))["embed.weight"]
    assert as_embedding.std() == pytest.approx(1.0, rel=0.02)
    assert as_linear.std() == pytest.approx(1 / (3 * 200) ** 0.5, rel=0.02)


def test_an_empty_parameter_is_left_alone(spec, here):
    read = spec("layers: [{Linear: [0, 3]}]")
    assert values(read, parse_rule("*.weight=kaiming_uniform", here))["0.weight"].shape == (3, 0)


class TestFunctionsOfTheUsersOwn:
    def test_a_function_changes_the_tensor_in_place_and_autograd_does_not_see_it(self, spec, here, write):
        write(
            "import torch\n"
            "def half_(t, value=0.5):\n"
            "    assert not torch.is_grad_enabled()\n"
            "    assert isinstance(t, torch.nn.Parameter) and t.requires_grad and t.is_leaf\n"
            "    t[...] = value\n",
            "half_init.py",
        )
        tensor = values(spec("layers: [{Linear: [2, 2]}]"), parse_rule("*.weight=half_init.py:half_:value=0.25", here))[
            "0.weight"
        ]
        assert tensor.tolist() == [[0.25, 0.25], [0.25, 0.25]]
        assert tensor.grad_fn is None

    def test_it_may_replace_the_data_of_its_argument(self, spec, here, write):
        write("import torch\ndef f(t):\n    t.data = torch.full_like(t.data, 7)\n", "data_init.py")
        tensor = values(spec("layers: [{Linear: [2, 2]}]"), parse_rule("*=data_init.py:f", here))["0.bias"]
        assert tensor.tolist() == [7, 7]

    def test_its_draws_from_any_global_generator_follow_seed_and_name(self, spec, here, write):
        write(
            "import random, numpy, torch\n"
            "def f(t):\n"
            "    t[0] = torch.rand(1).item()\n"
            "    t[1] = random.random()\n"
            "    t[2] = numpy.random.rand()\n",
            "draws_init.py",
        )
        read, rule = spec("layers: [{Linear: [1, 3]}, {Linear: [1, 3]}]"), parse_rule("*.bias=draws_init.py:f", here)
        import numpy as np

        np.random.rand()
        first, again = values(read, rule), values(read, rule)
        assert torch.equal(first["0.bias"], again["0.bias"])
        assert not torch.any(first["0.bias"] == first["1.bias"])

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ("raise ValueError('boom')", "ValueError: boom"),
            ("return t * 2", "returned another tensor than that of 0.bias"),
            ("t.data = t.data.repeat(2)", r"made 0.bias \[4\] of torch.float32"),
            ("import sys; sys.exit(3)", "SystemExit: 3"),
        ],
    )
    def test_what_does_not_work_in_place_is_an_error(self, body, message, spec, here, write):
        name = f"bad_init_{abs(hash(body))}.py"
        write(f"def f(t):\n    {body}\n", name)
        with pytest.raises(ParamctlError, match=message):
            values(spec("layers: [{Linear: [2, 2]}]"), parse_rule(f"*.bias={name}:f", here))

    def test_what_is_no_function_is_an_error(self, spec, here, write):
        write("f = 3\n", "number_init.py")
        with pytest.raises(ParamctlError, match=r"number_init\.py:f is not a function"):
            values(spec("layers: [{Linear: [2, 2]}]"), parse_rule("*=number_init.py:f", here))

    def test_what_its_module_draws_or_seeds_while_it_is_imported_reaches_no_parameter(self, spec, here, write):
        write("import torch\ntorch.manual_seed(5)\ntorch.rand(9)\ndef f(t):\n    t.uniform_()\n", "seeding_init.py")
        read, rule = spec("layers: [{Linear: [2, 2]}]"), parse_rule("*=seeding_init.py:f", here)
        first, again, other = values(read, rule), values(read, rule), values(read, rule, seed=1)
        assert torch.equal(first["0.weight"], again["0.weight"])
        assert not torch.equal(first["0.weight"], other["0.weight"])

    def test_a_layer_of_ones_own_may_change_the_layers_that_it_is_given(self, spec, here, write):
        write(
            "from torch import nn\n"
            "class Wrap(nn.Module):\n"
            "    def __init__(self, inner: nn.Module, bias: float):\n"
            "        super().__init__()\n"
            "        self.inner = nn.utils.parametrizations.spectral_norm(inner)\n"
            "        self.inner.bias.data.fill_(bias)\n",
            "wrap_layer.py",
        )
        read = spec("layers: [{wrap_layer.py:Wrap: {inner: {Linear: [3, 4]}, bias: 5}}]", "wrap_layer.py")
        built = build(read, seed=0)
        drawings, _ = plan_drawings(built.net, built.programs, ())
        drawn = {drawing.plan.target.record.name: drawing.draw(0) for drawing in drawings}
        assert drawn["0.inner.bias"].tolist() == [5.0] * 4
        assert drawn["0.inner.parametrizations.weight.original"].abs().max() <= 3**-0.5
        assert all(buffer.norm().item() == pytest.approx(1) for _, buffer in built.net.named_buffers())
        again = values(read)
        assert all(torch.equal(drawn[name], again[name]) for name in drawn)

    def test_a_layer_of_ones_own_keeps_what_its_constructor_wrote(self, spec, here, write):
        write(
            "import torch\nfrom torch import nn\n"
            "class Own(nn.Module):\n"
            "    def __init__(self):\n"
            "        super().__init__()\n"
            "        self.scale = nn.Parameter(torch.full((3,), 0.5))\n"
            "        self.noise = nn.Parameter(torch.randn(3))\n"
            "        self.inner = nn.Linear(3, 3)\n"
            "        self.register_buffer('steps', torch.arange(3))\n",
            "own_layer.py",
        )
        one = values(spec("layers: [{own_layer.py:Own: }]", "own_layer.py"))
        two = values(spec("layers: [{own_layer.py:Own: }, {own_layer.py:Own: }]", "own_layer.py"))
        assert one["0.scale"].tolist() == [0.5] * 3
        assert all(torch.equal(one[name], two[name]) for name in one)
        assert not torch.equal(two["0.noise"], two["1.noise"])
        assert one["0.inner.weight"].abs().max() <= 3**-0.5
        default = values(spec("layers: [{own_layer.py:Own: }]", "own_layer.py"), parse_rule("*=default", here))
        assert all(torch.equal(one[name], default[name]) for name in one)


class TestMaterialising:
    def test_every_tensor_gets_memory_and_ties_are_kept(self, spec):
        read = spec(
            "layers: {a: &a {Linear: [2, 2]}, b: *a, norm: {BatchNorm1d: 2}, c: {Linear: [2, 2]}}\n"
            "tie: [[a.weight, c.weight]]\nfreeze: [c.bias]"
        )
        built = build(read, seed=0)
        drawings, _ = plan_drawings(built.net, built.programs, ())
        materialize(built.net, drawings, built.programs, 0)
        net = built.net
        assert not any(tensor.is_meta for tensor in (*net.parameters(), *net.buffers()))
        assert net.a is net.b
        assert net.c.weight is net.a.weight
        assert not net.c.bias.requires_grad
        assert isinstance(net.a.weight, nn.Parameter)
        assert torch.equal(net.norm.running_var, torch.ones(2))
        assert net.norm.num_batches_tracked.item() == 0

    def test_a_recurrent_layer_runs_afterwards(self, spec):
        built = build(spec("layers: [{LSTM: [2, 3]}]"), seed=0)
        drawings, _ = plan_drawings(built.net, built.programs, ())
        materialize(built.net, drawings, built.programs, 0)
        assert built.net[0](torch.rand(4, 1, 2))[0].shape == (4, 1, 3)


class TestDescribing:
    def describe(self, read, *rules):
        built = build(read, seed=0)
        drawings, _ = plan_drawings(built.net, built.programs, rules)
        return {row.name: row for row in (describe_measured(each, measure(each.draw(0))) for each in drawings)}

    def test_the_default_of_a_layer_promises_the_moments_of_its_formula(self, spec):
        rows = self.describe(spec("layers: [{Linear: [300, 200]}, {BatchNorm1d: 200}]"))
        assert rows["0.weight"].expected.std == pytest.approx((1 / 300 / 3) ** 0.5)
        assert rows["1.weight"].expected.mean == 1
        assert not any(row.deviates for row in rows.values())
        assert rows["0.weight"].rules == ()

    def test_a_function_promises_nothing(self, spec, write, here):
        write("def f(t):\n    t.fill_(1)\n", "plain_init.py")
        rows = self.describe(spec("layers: [{Linear: [3, 2]}]"), parse_rule("*.bias=plain_init.py:f", here))
        assert rows["0.bias"].expected is None
        assert rows["0.bias"].deviates is None
        assert str(rows["0.bias"].rules[0]) == "plain_init.py:f"

    def test_a_wrong_scale_is_marked(self, spec, here):
        def wrong(tensor):
            tensor.normal_(0, 0.02)

        read = spec("layers: [{Linear: [100, 100]}]")
        built = build(read, seed=0)
        rule = parse_rule("*.weight=normal:std=0.01", here)
        drawings, _ = plan_drawings(built.net, built.programs, [rule])
        values = drawings[0].draw(0)
        wrong(values)
        assert describe_measured(drawings[0], measure(values)).deviates

    def test_a_callable_is_named_by_its_qualified_name(self, spec):
        def own_(tensor):
            tensor.zero_()

        rows = self.describe(spec("layers: [{Linear: [3, 2]}]"), InitRule(match="*.bias", scheme=own_, options={}))
        assert rows["0.bias"].rules[0].scheme.endswith("own_")


class TestComplexParameters:
    SPEC = "layers: [{Linear: {in_features: 200, out_features: 100, dtype: complex64}}]"

    def test_a_formula_of_real_numbers_promises_nothing(self, spec, here):
        built = build(spec(self.SPEC), seed=0)
        drawings, _ = plan_drawings(built.net, built.programs, [parse_rule("*.weight=normal:std=1", here)])
        row = describe_measured(drawings[0], measure(drawings[0].draw(0)))
        assert (row.expected, row.deviates) == (None, None)

    def test_a_scheme_for_a_whole_model_zeroes_the_biases(self, spec, here):
        drawn = values(spec(self.SPEC), parse_whole_model("xavier_normal", here))
        assert not drawn["0.bias"].any()

    @pytest.mark.parametrize("scheme", ["orthogonal", "trunc_normal"])
    def test_what_torch_cannot_do_is_refused(self, scheme, spec, here):
        with pytest.raises(ParamctlError, match="it needs real elements, and the dtype is complex64"):
            values(spec(self.SPEC), parse_rule(f"0.weight={scheme}", here))


@pytest.mark.parametrize(
    "scheme",
    [
        "constant:val=1e40",
        "uniform:b=1e40",
        "uniform:a=-3e38,b=3e38",
        "xavier_uniform:gain=1e40",
        "kaiming_normal:a=1e200",
    ],
)
def test_numbers_that_overflow_together_are_an_error_that_names_rule_and_parameter(scheme, spec, here):
    name = scheme.partition(":")[0]
    with pytest.raises(ParamctlError, match=f"{name} cannot fill 0.weight: (RuntimeError|OverflowError)"):
        values(spec("layers: [{Linear: [2, 2]}]"), parse_rule(f"0.weight={scheme}", here))
