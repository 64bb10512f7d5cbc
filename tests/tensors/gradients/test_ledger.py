"""The uses of a parameter add up to the gradient that torch leaves, however the parameter is used."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  the field's name for it
from torch.utils.checkpoint import checkpoint

import paramctl


@pytest.fixture(autouse=True)
def _same_values_in_every_run():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def uses_of(net, *inputs, **options):
    """Return the uses of each parameter by its name, once they are seen to add up to its gradient."""
    report = paramctl.gradients(net, *inputs, uses=True, values=True, **options)
    found = {}
    for row, parameter in zip(report.parameters, net.parameters(), strict=True):
        found[row.name] = row.uses
        if row.uses is None:
            assert row.uses_note
        elif row.values is None:
            assert row.uses == []
        else:
            before = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.to_dense()
            total = before + sum(each.values.tensor.to_dense() for each in row.uses)
            assert torch.allclose(total, row.values.tensor, rtol=1e-5, atol=1e-7, equal_nan=True), row.name
            for each in row.uses:
                finite = each.values.tensor[each.values.tensor.isfinite()]
                assert each.norm == pytest.approx(finite.norm().item(), rel=1e-5)
    return found


def told(uses):
    return [(each.module, each.op) for each in uses]


class Net(nn.Module):
    """Has the modules that it is given, and a forward that is given too."""

    def __init__(self, forward, **parts):
        super().__init__()
        self._run = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *args):
        return self._run(self, *args)


class TestUses:
    def test_a_layer_used_twice_on_one_contributes_three_and_three(self):
        layer = nn.Linear(1, 1, bias=False)
        nn.init.constant_(layer.weight, 3)
        (uses,) = uses_of(nn.Sequential(layer, layer), torch.ones(1, 1)).values()
        assert [each.values.nested() for each in uses] == [[[3.0]], [[3.0]]]
        assert [(each.module, each.op, each.call, each.pass_number) for each in uses] == [
            ("0", "linear", 1, 1),
            ("1", "linear", 2, 1),
        ]
        assert [(each.norm, each.cosine) for each in uses] == [(3.0, 1.0), (3.0, 1.0)]

    def test_a_parameter_that_is_used_once_has_one_use(self):
        uses = uses_of(nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1)), torch.rand(2, 4))
        assert {name: told(each) for name, each in uses.items()} == {
            "0.weight": [("0", "linear")],
            "0.bias": [("0", "linear")],
            "2.weight": [("2", "linear")],
            "2.bias": [("2", "linear")],
        }
        assert all(each.cosine == 1.0 for (each,) in uses.values())

    def test_a_block_used_twice_is_named_by_its_positions(self):
        block = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
        uses = uses_of(nn.Sequential(block, nn.ReLU(), block), torch.rand(2, 3))
        assert told(uses["0.0.weight"]) == [("0.0", "linear"), ("2.0", "linear")]

    def test_a_layer_with_two_names_has_the_first_of_them(self):
        layer = nn.Linear(3, 3)
        net = Net(lambda self, x: self.second(self.first(x)), first=layer, second=layer)
        assert told(uses_of(net, torch.rand(2, 3))["first.weight"]) == [("first", "linear")] * 2

    def test_tied_embeddings_are_used_by_both_their_modules(self):
        net = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 9, bias=False))
        net[1].weight = net[0].weight
        uses = uses_of(net, torch.tensor([[1, 2, 2]]), loss="cross_entropy")
        assert told(uses["0.weight"]) == [("0", "embedding"), ("1", "linear")]

    def test_a_sparse_embedding_may_be_tied_too(self):
        def forward(self, x):
            return F.linear(self.embed(x), self.embed.weight)

        uses = uses_of(Net(forward, embed=nn.Embedding(9, 4, sparse=True)), torch.tensor([1, 2, 2]))
        assert told(uses["embed.weight"]) == [("embed", "embedding"), ("", "linear")]

    def test_functional_use_is_the_callers(self):
        def forward(self, x):
            return F.linear(self.embed(x), self.embed.weight)

        uses = uses_of(Net(forward, embed=nn.Embedding(9, 4)), torch.tensor([1, 2]))
        assert told(uses["embed.weight"]) == [("embed", "embedding"), ("", "linear")]

    @pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
    def test_a_recurrent_layer_is_one_operation_over_all_steps(self, kind):
        net = Net(lambda self, x: self.rnn(self.rnn(x)[0])[0], rnn=kind(3, 3))
        uses = uses_of(net, torch.rand(5, 2, 3))
        assert all(len(each) == 2 and {one.module for one in each} == {"rnn"} for each in uses.values())
        assert {one.op for each in uses.values() for one in each} <= {"rnn_tanh", "lstm", "gru"}

    def test_a_cell_is_used_at_every_step(self):
        def forward(self, x):
            state = torch.zeros(2, 3)
            for step in x:
                state = self.cell(step, state)
            return state

        uses = uses_of(Net(forward, cell=nn.GRUCell(3, 3)), torch.rand(5, 2, 3))
        assert [each.call for each in uses["cell.weight_hh"]] == [1, 2, 3, 4, 5]

    def test_attention_is_one_operation(self):
        net = Net(
            lambda self, x: self.attention(x, x, self.attention(x, x, x)[0])[0], attention=nn.MultiheadAttention(4, 2)
        )
        uses = uses_of(net, torch.rand(3, 2, 4))
        assert all(told(each) == [("attention", "multi_head_attention_forward")] * 2 for each in uses.values())

    def test_a_transformer_used_twice_adds_up(self):
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1)
        uses = uses_of(nn.Sequential(layer, layer), torch.rand(3, 2, 8))
        assert told(uses["0.linear1.weight"]) == [("0.linear1", "linear"), ("1.linear1", "linear")]

    def test_a_checkpointed_block_is_used_once_for_each_call(self):
        def forward(self, x):
            for _ in range(3):
                x = checkpoint(self.block, x, use_reentrant=False)
            return x

        uses = uses_of(Net(forward, block=nn.Sequential(nn.Linear(3, 3), nn.Tanh())), torch.rand(2, 3))
        assert told(uses["block.0.weight"]) == [("block.0", "linear")] * 3

    def test_a_view_is_a_use_with_all_that_is_done_with_it(self):
        def forward(self, x):
            turned = self.layer.weight.T
            return self.layer(x) @ turned + x @ turned + self.layer.weight[0] + self.layer.weight.view(3, 3).chunk(3)[1]

        uses = uses_of(Net(forward, layer=nn.Linear(3, 3)), torch.rand(2, 3))
        assert [each.op for each in uses["layer.weight"]] == ["T", "linear", "getitem", "view"]

    @pytest.mark.parametrize(
        ("forward", "operations"),
        [
            (lambda self, x: x @ self.w @ self.w, ["matmul", "matmul"]),
            (lambda self, x: x @ torch.cat([self.w, self.w]).reshape(3, 6), ["cat"]),
            (lambda self, x: self.w * self.w + self.w, ["mul", "add"]),
            (lambda self, x: x.clone().add_(self.w[:2]) - self.w[0], ["getitem", "getitem"]),
            (lambda self, x: torch.einsum("ij,jk->ik", x, self.w) + (2 - self.w)[:2], ["einsum", "rsub"]),
            (lambda self, x: torch.stack([self.w.sum(), x.sum(), self.w.prod()]), ["sum", "prod"]),
            (lambda self, x: x @ self.w + (x @ self.w).detach() + x @ self.w.data, ["matmul"]),
            (lambda self, x: torch.func.vmap(lambda row: self.w @ row)(x) @ self.w, ["matmul", "matmul"]),
            (lambda self, x: torch.utils.checkpoint.checkpoint(torch.matmul, x, self.w, use_reentrant=False) @ self.w, ["matmul", "matmul"]),
        ],
        ids=["twice in a row", "twice in one call", "both sides", "in place", "einsum", "scalars", "detached", "vmap", "checkpoint"],
    )  # fmt: skip
    def test_a_use_is_a_call_of_an_operation(self, forward, operations):
        uses = uses_of(Net(forward, w=nn.Parameter(torch.rand(3, 3))), torch.rand(2, 3))
        assert [each.op for each in uses["w"]] == operations

    def test_an_autograd_function_of_ones_own_is_a_use_by_its_name(self):
        class Twice(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x, w):
                ctx.save_for_backward(x, w)
                return 2 * x @ w

            @staticmethod
            def backward(ctx, gradient):
                x, w = ctx.saved_tensors
                return 2 * gradient @ w.T, 2 * x.T @ gradient

        net = Net(lambda self, x: Twice.apply(Twice.apply(x, self.w), self.w), w=nn.Parameter(torch.rand(3, 3)))
        assert told(uses_of(net, torch.rand(2, 3))["w"]) == [("", "Twice")] * 2

    def test_parametrized_weights_are_used_where_they_are_made(self):
        layer = nn.utils.parametrizations.weight_norm(nn.Linear(3, 3))
        uses = uses_of(nn.Sequential(layer, layer), torch.rand(2, 3))
        assert told(uses["0.parametrizations.weight.original1"]) == [
            ("0.parametrizations.weight.0", "_weight_norm"),
            ("1.parametrizations.weight.0", "_weight_norm"),
        ]

    def test_the_uses_of_a_gradient_penalty_add_up(self):
        def forward(self, x):
            x = x.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(self.layer(x).tanh().sum(), x, create_graph=True)
            return gradient.pow(2)

        uses = uses_of(Net(forward, layer=nn.Linear(3, 3)), torch.rand(2, 3))
        assert told(uses["layer.weight"]) == [("layer", "linear")]

    def test_a_loss_that_uses_parameters_is_outside_the_model(self):
        layer = nn.Linear(3, 3)
        uses = uses_of(layer, torch.rand(2, 3), loss=lambda output: output.sum() + layer.weight.pow(2).sum())
        assert told(uses["weight"]) == [("", "linear"), (None, "pow")]

    @pytest.mark.parametrize("own", [False, True])
    def test_autocast_does_not_melt_uses_into_one(self, own):
        def forward(self, x):
            with torch.autocast("cpu", torch.bfloat16, enabled=own):
                return self.layer(self.layer(x)).float()

        net = Net(forward, layer=nn.Linear(3, 3)) if own else nn.Sequential(*[nn.Linear(3, 3)] * 2)
        (weight, _) = uses_of(net, torch.rand(2, 3), autocast=None if own else "bfloat16").values()
        assert [each.op for each in weight] == ["linear", "linear"]

    def test_compiled_code_is_looked_into(self):
        layer = nn.Linear(3, 3)
        net = Net(lambda self, x: self.block(x), block=torch.compile(nn.Sequential(layer, layer), backend="eager"))
        uses = uses_of(net, torch.rand(2, 3))
        assert [each.op for each in uses["block._orig_mod.0.weight"]] == ["linear", "linear"]

    def test_what_has_no_gradient_has_no_uses(self):
        net = Net(lambda self, x: self.used(x), used=nn.Linear(2, 2), unused=nn.Linear(2, 2))
        net.used.bias.requires_grad_(False)
        uses = uses_of(net, torch.rand(1, 2))
        assert [uses[name] for name in ("used.bias", "unused.weight", "unused.bias")] == [[], [], []]

    def test_cosines_tell_which_uses_pull_apart(self):
        net = Net(lambda self, x: 3 * self.w[:1].sum() - self.w[:1].sum(), w=nn.Parameter(torch.ones(2)))
        assert [each.cosine for each in uses_of(net, torch.ones(1))["w"]] == [1.0, -1.0]
        net = Net(lambda self, x: self.w.sum() - self.w.sum(), w=nn.Parameter(torch.ones(2)))
        assert [each.cosine for each in uses_of(net, torch.ones(1))["w"]] == [None, None]

    def test_contributions_that_are_not_finite_add_up_too(self):
        net = Net(lambda self, x: (self.w / 0).sum() - (self.w * math.nan).sum(), w=nn.Parameter(torch.zeros(2)))
        uses = uses_of(net, torch.ones(1))["w"]
        assert [(each.cosine, each.norm, each.nan, each.inf) for each in uses] == [(None, 0, 0, 2), (None, 0, 2, 0)]
        net = Net(lambda self, x: (self.w * math.nan).sum(), w=nn.Parameter(torch.zeros(2)))
        assert [each.nan for each in uses_of(net, torch.ones(1))["w"]] == [2]


class TestPasses:
    def test_every_pass_contributes(self):
        net = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5))
        uses = uses_of(net, torch.rand(2, 3), passes=3, train=True)
        assert [(each.pass_number, each.call) for each in uses["0.weight"]] == [(1, 1), (2, 1), (3, 1)]

    def test_calls_are_counted_within_a_pass(self):
        layer = nn.Linear(1, 1)
        uses = uses_of(nn.Sequential(layer, layer), torch.ones(1, 1), passes=2)
        assert [(each.pass_number, each.call) for each in uses["0.weight"]] == [(1, 1), (1, 2), (2, 1), (2, 2)]

    def test_uses_are_added_to_the_gradient_that_was_there_before(self):
        net = nn.Linear(3, 2)
        net.weight.grad = torch.ones(2, 3)
        report = paramctl.gradients(net, torch.rand(2, 3), uses=True)
        assert report.parameters[0].uses_note == "added to the gradient that was there before"
        assert len(uses_of(net, torch.rand(2, 3))["weight"]) == 1


class TestWhatCannotBeToldApart:
    def note(self, net, *inputs, **options):
        report = paramctl.gradients(net, *inputs, uses=True, **options)
        row = report.parameters[0]
        assert row.uses is None
        assert row.grad is not None
        return row.uses_note

    def test_a_reentrant_checkpoint_runs_a_backward_of_its_own(self):
        def forward(self, x):
            return checkpoint(
                self.layer, checkpoint(self.layer, x.requires_grad_(), use_reentrant=True), use_reentrant=True
            )

        net, given = Net(forward, layer=nn.Linear(3, 3)), torch.rand(2, 3)
        assert "use_reentrant=False shows its uses" in self.note(net, given)
        expected = torch.autograd.grad(net.layer(net.layer(given)).sum(), net.layer.weight)[0]
        assert paramctl.gradients(net, given).parameters[0].grad.norm == pytest.approx(expected.norm().item())

    def test_a_reentrant_checkpoint_beside_a_use_that_is_seen(self):
        net = Net(
            lambda self, x: self.layer(checkpoint(self.layer, x.requires_grad_(), use_reentrant=True)),
            layer=nn.Linear(3, 3),
        )
        assert "a backward of its own" in self.note(net, torch.rand(2, 3))

    def test_a_backward_in_forward_adds_what_is_no_use(self):
        def forward(self, x):
            self.layer(x).sum().backward()
            return self.layer(x)

        note = self.note(Net(forward, layer=nn.Linear(3, 3)), torch.rand(2, 3))
        assert note == "something was added to the gradient before backward: forward runs one of its own"

    def test_modules_in_threads_of_their_own_number_their_nodes_alike(self):
        def forward(self, x):
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(self.layer, x).result() + self.layer(x)

        note = self.note(Net(forward, layer=nn.Linear(3, 3)), torch.rand(2, 3))
        assert note == "forward computes in threads of its own, and what they do cannot be told apart"

    @pytest.mark.parametrize("earlier", [0, 500])
    def test_operations_in_threads_of_their_own_are_nobodys(self, earlier):
        def compute(weight, x):
            for _ in range(earlier):
                torch.mul(weight, 1)
            return x @ weight @ weight

        def forward(self, x):
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(compute, self.weight, x).result()

        note = self.note(Net(forward, weight=nn.Parameter(torch.rand(3, 3))), torch.rand(2, 3))
        assert "thread" in note

    def test_what_ran_before_forward_is_not_called_the_loss(self):
        net = Net(lambda self, x: x @ self.doubled, weight=nn.Parameter(torch.rand(3, 3)))
        net.doubled = net.weight * 2
        note = self.note(net, torch.rand(2, 3))
        assert note == "an operation on it ran before forward, or in another thread, where nobody looked on"

    @pytest.mark.parametrize("passes", [1, 2])
    def test_a_parameter_that_is_the_loss_was_used_by_no_operation(self, passes):
        net = Net(lambda self, x: x * self.weight, weight=nn.Parameter(torch.tensor(2.0)))
        note = self.note(net, torch.ones(1), loss=lambda _: net.weight, passes=passes)
        assert note == "no operation on it was seen: it is the loss itself, or something writes to its gradient"

    @pytest.mark.parametrize("used", [False, True])
    def test_a_function_that_writes_to_the_gradient_of_a_parameter_is_no_use(self, used):
        class Writes(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x, net):
                ctx.net = net
                return x.clone()

            @staticmethod
            def backward(ctx, gradient):
                weight = ctx.net.weight
                weight.grad = torch.ones(3, 3) + (0 if weight.grad is None else weight.grad)
                return gradient, None

        def forward(self, x):
            return Writes.apply(x.requires_grad_(), self) + (x @ self.weight if used else 0)

        note = self.note(Net(forward, weight=nn.Parameter(torch.rand(3, 3))), torch.rand(2, 3))
        assert "something" in note

    @pytest.mark.parametrize("times", [1, 2])
    def test_a_hook_of_the_models_changes_the_sum(self, times):
        layer = nn.Linear(3, 3)
        layer.weight.register_hook(lambda gradient: 5 * gradient)
        note = self.note(nn.Sequential(*[layer] * times), torch.rand(2, 3))
        assert note == "a hook on the parameter changes its gradient"

    def test_a_hook_behind_the_sum_is_noticed(self):
        layer = nn.Linear(3, 3)
        layer.weight.register_post_accumulate_grad_hook(lambda weight: setattr(weight, "grad", 2 * weight.grad))
        assert "something else changes it" in self.note(nn.Sequential(layer, layer), torch.rand(2, 3))


def test_looking_at_uses_changes_no_gradient():
    net = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.Linear(4, 4))
    net[2].weight = net[0].weight
    given = torch.rand(3, 4)
    plain, split = (
        paramctl.gradients(net, given, uses=uses, values=True, train=True, passes=2) for uses in (False, True)
    )
    for one, other in zip(plain.parameters, split.parameters, strict=True):
        assert torch.equal(one.values.tensor, other.values.tensor)
