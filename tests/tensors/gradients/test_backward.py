from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
from torch import nn

import paramctl
from paramctl.errors import ParamctlError, failure
from paramctl.tensors.gradients.backward import Wanted, run_passes
from paramctl.tensors.gradients.loss import Objective
from paramctl.tensors.user_code import describe


def run(net, *inputs, passes=1, keep=True):
    def explain(running, error, operation=None):
        return failure(f"{[type(each.module).__name__ for each in running]} in {operation}: {describe(error)}")

    objective = Objective(torch.sum, "sum")
    return run_passes(net, inputs, lambda _: objective, passes=passes, explain=explain, wanted=Wanted(values=keep))


def test_gradients_are_those_of_torch():
    net, given = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1)), torch.rand(2, 4)
    result = run(net, given)
    expected = torch.autograd.grad(net(given).sum(), list(net.parameters()))
    assert all(torch.allclose(ours, theirs) for ours, theirs in zip(result.gradients, expected, strict=True))
    assert result.loss == pytest.approx(net(given).sum().item())
    assert result.output_shape == (2, 1)
    assert result.before == [None] * 4


def test_gradients_add_up_over_passes():
    net, given = nn.Linear(3, 2), torch.rand(5, 3)
    once = [gradient.clone() for gradient in run(net, given).gradients]
    net.zero_grad()
    thrice = run(net, given, passes=3).gradients
    assert all(torch.allclose(3 * one, three) for one, three in zip(once, thrice, strict=True))


def test_a_gradient_that_is_there_before_is_measured_before():
    net = nn.Linear(3, 2)
    net.weight.grad = torch.full((2, 3), 2.0)
    assert run(net, torch.rand(1, 3)).before[0].mean == 2.0


def test_what_is_frozen_or_unused_gets_none():
    class Partial(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x):
            return self.used(x)

    net = Partial()
    net.used.bias.requires_grad_(False)
    result = run(net, torch.rand(1, 2))
    assert [gradient is None for gradient in result.gradients] == [False, True, True, True]


@pytest.mark.parametrize("width", [3, 300])
def test_a_gradient_that_a_hook_of_the_models_own_takes_is_not_called_unused(width):
    net = nn.Linear(width, width)

    def step(parameter):
        parameter.grad = None

    net.weight.register_post_accumulate_grad_hook(step)
    report = paramctl.gradients(net, torch.ones(1, width))
    assert [row.reason for row in report.parameters] == ["taken", None]


def test_a_model_without_any_path_to_the_loss_is_no_failure():
    net = nn.Linear(2, 2).requires_grad_(False)
    assert run(net, torch.rand(1, 2)).gradients == [None, None]


def test_a_sparse_gradient_is_made_dense():
    net = nn.Embedding(5, 2, sparse=True)
    assert run(net, torch.tensor([1, 1])).gradients[0].tolist() == [[0, 0], [2, 2], [0, 0], [0, 0], [0, 0]]


def test_the_modules_that_were_running_are_known_after_a_failure():
    net = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Linear(4, 1)))
    seen = []

    def explain(running, error, operation=None):
        seen.extend((type(each.module).__name__, str(each)) for each in running)
        return failure(str(error))

    with pytest.raises(Exception, match="cannot be multiplied"):
        run_passes(net, (torch.rand(5, 2),), lambda _: Objective(torch.sum, ""), passes=1, explain=explain)
    assert seen == [("Sequential", "[5, 2]"), ("Sequential", "[5, 3]"), ("Linear", "[5, 3]")]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


@pytest.mark.parametrize("error", [RuntimeError, ValueError, SystemExit])
def test_a_failure_in_backward_is_reported(error):
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            raise error("no way back")

    class Net(nn.Linear):
        def forward(self, x):
            return Once.apply(super().forward(x))

    with pytest.raises(ParamctlError, match=rf"\['Net'\] in Once: {error.__name__}: no way back"):
        run(Net(2, 2), torch.rand(1, 2))


def test_an_output_that_is_no_tensor_is_reported():
    class Net(nn.Linear):
        def forward(self, x):
            return "text"

    with pytest.raises(Exception, match="the model returned no tensor but str"):
        run(Net(2, 2), torch.rand(1, 2))


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (lambda output: output, r"the loss is a tensor of \[1, 2\], and backward needs a tensor of one element"),
        (lambda output: 3.0, "the loss is a float"),
        (lambda output: output.missing, "computing the loss failed: AttributeError"),
        (lambda output: output.sum() * 1j, "the loss is a complex number"),
    ],
)
def test_a_loss_that_backward_cannot_start_from_is_named(objective, message):
    def fail(running, error):
        raise AssertionError

    with pytest.raises(ParamctlError, match=message):
        run_passes(nn.Linear(2, 2), (torch.rand(1, 2),), lambda _: Objective(objective, ""), passes=1, explain=fail)


def test_a_failure_that_forward_caught_is_not_blamed_for_the_next_one():
    class Inner(nn.Module):
        def forward(self, x):
            raise RuntimeError("first")

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Inner()

        def forward(self, x):
            try:
                return self.inner(x)
            except RuntimeError:
                return x

    class Second(nn.Module):
        def forward(self, x):
            raise RuntimeError("second")

    seen = []

    def explain(running, error, operation=None):
        seen.extend(type(each.module).__name__ for each in running)
        return failure(str(error))

    with pytest.raises(ParamctlError, match="second"):
        run_passes(
            nn.Sequential(Outer(), Second()),
            (torch.rand(1),),
            lambda _: Objective(torch.sum, ""),
            passes=1,
            explain=explain,
        )
    assert seen == ["Sequential", "Second"]


def test_a_layer_that_works_in_place_changes_no_input():
    net = nn.Sequential(nn.LeakyReLU(0.5, inplace=True), nn.Linear(3, 1))
    given = torch.tensor([[-1.0, 2.0, -3.0]])
    once = [gradient.clone() for gradient in run(net, given).gradients]
    net.zero_grad()
    twice = run(net, given, passes=2).gradients
    assert given.tolist() == [[-1.0, 2.0, -3.0]]
    assert all(torch.equal(2 * one, two) for one, two in zip(once, twice, strict=True))


def test_the_gradient_of_an_input_is_not_the_callers():
    given = torch.rand(1, 2, requires_grad=True)
    run(nn.Linear(2, 2), given)
    assert given.grad is None


class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient


@pytest.mark.parametrize(("through", "freed"), [(lambda x: 2 * x, True), (Double.apply, False)])
def test_a_large_gradient_is_freed_unless_code_may_add_to_it_again(through, freed):
    class Net(nn.Linear):
        def forward(self, x):
            return through(super().forward(x))

    net, given = Net(300, 300), torch.rand(2, 300)
    result = run(net, given, keep=False)
    assert (net.weight.grad is None) == freed
    net.zero_grad()
    kept = run(net, given)
    assert result.gradients == [None, None]
    assert result.after[0].norm == pytest.approx(kept.gradients[0].double().norm().item())
    assert result.after[0].norm == pytest.approx(kept.after[0].norm)


def test_a_gradient_that_another_pass_adds_to_is_not_freed_before():
    net, given = nn.Linear(300, 300), torch.rand(2, 300)
    once = run(net, given, keep=False).after[0].norm
    net.zero_grad()
    result = run(net, given, passes=3, keep=False)
    assert result.after[0].norm == pytest.approx(3 * once, rel=1e-5)
    assert [norms[0] for norms in result.norms] == pytest.approx([once, 2 * once], rel=1e-5)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process's peak memory")
def test_gradients_that_nobody_keeps_take_little_memory(process):
    code = (
        "import torch; from torch import nn; from pathlib import Path\n"
        "from paramctl.tensors.gradients.backward import run_passes\nfrom paramctl.tensors.gradients.loss import Objective\n"
        "def status(field):\n"
        "    lines = Path('/proc/self/status').read_text().splitlines()\n"
        "    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024\n"
        "def run(net, given):\n"
        "    run_passes(net, (given,), lambda _: Objective(torch.sum, ''), passes=1, explain=None)\n"
        "run(nn.Linear(8, 8), torch.rand(2, 8))\n"
        "net, given = nn.Sequential(*[nn.Linear(1500, 1500) for _ in range(30)]), torch.rand(2, 1500)\n"
        "before = status('VmRSS')\nrun(net, given)\nprint(status('VmHWM') - before)\n"
    )
    assert float(process(code=code).out) < 130  # all gradients are 257 MiB


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process's peak memory")
def test_sparse_gradients_are_made_dense_one_at_a_time(process):
    code = (
        "import resource, torch, paramctl; from torch import nn\n"
        "class Tables(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.tables = nn.ModuleList([nn.Embedding(100_000, 64, sparse=True) for _ in range(10)])\n"
        "        for each in self.tables:\n"
        "            each.weight.grad = torch.zeros(100_000, 64).to_sparse(1)\n"
        "    def forward(self, given):\n"
        "        return sum(each(given).sum() for each in self.tables)\n"
        "def peak():\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "paramctl.gradients(nn.Linear(8, 8), torch.rand(2, 8))\n"
        "net, given = Tables(), torch.arange(5)\n"
        "before = peak()\nparamctl.gradients(net, given)\nprint(peak() - before)\n"
    )
    assert float(process(code=code).out) < 130  # one of them is 24 MiB, all are 244


@pytest.mark.parametrize("uses", [False, True])
def test_nothing_stays_behind_when_forward_fails(uses):
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(3, 3))
    cached = torch.is_autocast_cache_enabled()
    with pytest.raises(ParamctlError, match="1 \\(Linear\\) failed in forward"):
        paramctl.gradients(net, torch.rand(1, 2), uses=uses, health=uses, autocast="bfloat16" if uses else None)
    assert torch.is_autocast_cache_enabled() == cached
    assert not torch.is_autocast_enabled("cpu")
    assert not torch.nn.modules.module._global_forward_hooks
    assert not torch.nn.modules.module._global_forward_pre_hooks
    assert all(parameter.grad is None and not parameter._post_accumulate_grad_hooks for parameter in net.parameters())


def test_a_failure_in_backward_leaves_the_gradients_that_were_there():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].bias.grad = gradient = torch.ones(2)

    def spoil(output):
        squared = output.exp()
        squared += 1
        return squared.sum()

    with pytest.raises(ParamctlError, match=r"failed in backward|backward failed"):
        paramctl.gradients(net, torch.rand(1, 2), loss=spoil)
    assert net[1].bias.grad is gradient
    assert gradient.tolist() == [1.0, 1.0]
    assert net[0].weight.grad is None


class Refuses(torch.autograd.Function):
    """Fails in backward."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        raise ValueError("no")


class RefusesInThread(nn.Sequential):
    """Makes its last node in a thread, with a number that one of its layers' nodes has, too."""

    def forward(self, x):
        first, returned = torch.autograd._get_sequence_nr(), []
        given = super().forward(x)

        def run():
            while torch.autograd._get_sequence_nr() < first + 2:
                torch.ones(1, requires_grad=True).neg()
            returned.append(Refuses.apply(given))

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return returned[0]


def test_a_failure_in_backward_of_what_a_thread_computed_is_blamed_on_no_layer():
    net = RefusesInThread(*(nn.Linear(2, 2) for _ in range(3)))
    with pytest.raises(ParamctlError, match=r"^backward failed: ValueError: no"):
        paramctl.gradients(net, torch.rand(1, 2))


class Grows(nn.Linear):
    """Gets one more parameter when it first runs, in front of those that it has."""

    def forward(self, x):
        if not hasattr(self, "child"):
            self.scale, self.child = nn.Parameter(torch.ones(2)), True
        return super().forward(x) * self.scale


@pytest.mark.parametrize("health", [False, True])
def test_a_model_that_makes_parameters_in_forward_is_refused_until_it_has_them(health):
    net, given = Grows(2, 2), torch.ones(1, 2)
    with pytest.raises(
        ParamctlError, match=r"forward adds, removes or replaces parameters of the model: scale"
    ) as caught:
        paramctl.gradients(net, given, health=health)
    assert "run the model once before" in str(caught.value)
    assert len(paramctl.gradients(net, given, health=health).parameters) == 3
