"""`gradients` leaves a module as it found it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import paramctl


class Stateful(nn.Module):
    """Has one buffer, and does something to it in forward."""

    def __init__(self, buffer, change):
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.register_buffer("state", buffer)
        self.change = change

    def forward(self, x):
        self.change(self, x)
        return self.linear(x)


def reassign(net, x):
    net.state = net.state + 1


def change_and_reassign(net, x):
    net.state += 1
    net.state = net.state + 1


def keep_input(net, x):
    net.state = x


def register(net, x):
    net.register_buffer("more", x, persistent=False)


def delete(net, x):
    del net.state


def give_new_data(net, x):
    net.state.data = net.state.data + 1


def resize(net, x):
    net.state.resize_(4).fill_(7)


def fail(net, x):
    net.state = None
    raise ValueError("no")


@pytest.mark.parametrize("change", [reassign, change_and_reassign, register, delete, give_new_data, resize, fail])
def test_a_buffer_that_forward_replaces_comes_back_with_its_elements(change):
    net = Stateful(torch.zeros(2), change)
    state = net.state
    try:
        paramctl.gradients(net, torch.rand(1, 2))
    except paramctl.ParamctlError:
        assert change is fail
    assert list(net._buffers) == ["state"]
    assert net.state is state
    assert net.state.tolist() == [0.0, 0.0]
    assert list(net.state_dict()) == ["state", "linear.weight", "linear.bias"]
    assert net._non_persistent_buffers_set == set()


def test_a_sparse_buffer_comes_back():
    net = Stateful(torch.eye(2).to_sparse(), lambda net, _: net.state.mul_(3))
    paramctl.gradients(net, torch.rand(1, 2))
    assert torch.equal(net.state.to_dense(), torch.eye(2))


def test_a_buffer_that_forward_fills_is_empty_again():
    net = Stateful(None, keep_input)
    paramctl.gradients(net, torch.rand(1, 2))
    assert net.state is None


@pytest.mark.parametrize(
    "buffer",
    [
        torch.zeros(1).expand(3),
        torch.zeros(2, 1).expand(2, 3),
        torch.zeros(4).unfold(0, 2, 1),
        torch.zeros(4, 4).t()[1:, ::2],
        torch.zeros(()),
        torch.empty(0, 3),
    ],
    ids=["expanded", "expanded rows", "windows", "strided", "scalar", "empty"],
)
def test_the_elements_of_a_buffer_come_back_however_it_lies_in_memory(buffer):
    def write(net, x):
        torch.as_strided(net.state, (min(1, net.state.numel()),), (1,)).fill_(7)

    net = Stateful(buffer, write).eval()
    report = paramctl.gradients(net, torch.rand(1, 2), train=True)
    assert report.output_shape == (1, 2)
    assert net.state is buffer
    assert torch.equal(net.state, torch.zeros(buffer.shape))
    assert not any(module.training for module in net.modules())


def test_what_cannot_be_restored_does_not_keep_the_rest_from_it():
    class Stubborn(nn.Linear):
        def __setattr__(self, name, value):
            if name == "training" and value is False:
                raise RuntimeError("stays in train mode")
            super().__setattr__(name, value)

    net = nn.Sequential(nn.Linear(2, 2), Stubborn(2, 2), nn.BatchNorm1d(2)).train()
    net[0].training = net[2].training = False
    net[1].__dict__["training"] = False
    net[0].weight.grad = gradient = torch.ones(2, 2)
    with pytest.raises(RuntimeError, match="stays in train mode"):
        paramctl.gradients(net, torch.rand(3, 2), train=True)
    assert [net[0].training, net[2].training] == [False, False]
    assert net[0].weight.grad is gradient
    assert net[0].weight.grad.tolist() == [[1.0] * 2] * 2
    assert net[0].bias.grad is None
    assert net[2].running_mean.tolist() == [0.0, 0.0]


def test_a_gradient_that_cannot_be_copied_leaves_those_before_it():
    class Uncopyable(torch.Tensor):
        def clone(self, *args, **kwargs):
            raise RuntimeError("no copy")

        def detach(self):
            return self

    net = nn.Linear(2, 2)
    net.weight.grad = gradient = torch.ones(2, 2)
    net.bias.grad = torch.ones(2).as_subclass(Uncopyable)
    with pytest.raises(RuntimeError, match="no copy"):
        paramctl.gradients(net, torch.rand(1, 2))
    assert net.weight.grad is gradient


def test_hooks_of_the_module_act():
    net = nn.Linear(2, 2)
    optimizer = torch.optim.SGD([net.bias], lr=1.0)
    net.bias.register_post_accumulate_grad_hook(lambda _: optimizer.step())
    before = net.bias.detach().clone()
    paramctl.gradients(net, torch.rand(1, 2))
    assert torch.allclose(net.bias, before - 1)
    assert net.bias.grad is None


@pytest.mark.parametrize("layer", [nn.Embedding, nn.EmbeddingBag])
def test_the_rows_that_an_embedding_shortens_come_back(layer):
    net = layer(5, 3, max_norm=0.1)
    before = net.weight.detach().clone()
    paramctl.gradients(net, torch.tensor([[0, 1], [1, 2]]))
    assert torch.equal(net.weight, before)


def test_the_first_call_in_a_process_draws_nothing_from_the_callers_generators(process):
    done = process(
        code="import random, numpy, torch\n"
        "def states(): return random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist()\n"
        "net, given = torch.nn.Linear(2, 2), torch.ones(1, 2)\nbefore = states()\n"
        "import paramctl\n"
        "str(paramctl.list_parameters(net)), str(paramctl.gradients(net, given))\n"
        "print(before == states())\n"
    )
    assert (done.out, done.err) == ("True\n", "")
