"""Memory that constructors allocate and never write is found, and whatever is written is never taken for it."""

from __future__ import annotations

import copy
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from paramctl.tensors.initializing.unwritten import FreshMemory

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64, torch.complex128]


class Holder(nn.Module):
    def __init__(self, make):
        super().__init__()
        made = make()
        self.weight = made if isinstance(made, nn.Parameter) else nn.Parameter(made, requires_grad=False)


def unwritten(make):
    """Return how many elements of what is made are taken for unwritten, and the parameter."""
    with FreshMemory() as fresh:
        holder = Holder(make)
    return fresh.release(holder).get(id(holder.weight), 0), holder.weight


def _inference():
    with torch.inference_mode():
        made = torch.empty(3, 4)
    return made.clone()


def _in_a_thread():
    from threading import Thread

    weight = torch.empty(3, 4)
    thread = Thread(target=weight.fill_, args=(1,))
    thread.start()
    thread.join()
    return weight


NEVER = {
    "empty": lambda: torch.empty(3, 4),
    "the legacy constructor": lambda: torch.Tensor(3, 4),
    "a typed legacy constructor": lambda: torch.FloatTensor(3, 4),
    "new": lambda: torch.ones(1).new(3, 4),
    "new_empty": lambda: torch.ones(1).new_empty(3, 4),
    "empty_like": lambda: torch.empty_like(torch.ones(3, 4)),
    "empty_strided": lambda: torch.empty_strided((3, 4), (1, 3)),
    "empty_permuted": lambda: torch.empty_permuted((3, 4), (1, 0)),
    "to_empty": lambda: nn.Linear(4, 3, bias=False, device="meta").to_empty(device="cpu").weight,
    "skip_init": lambda: nn.utils.skip_init(nn.Linear, 4, 3, bias=False).weight,
    "a clone": lambda: torch.empty(3, 4).clone(),
    "a deep copy": lambda: copy.deepcopy(nn.Parameter(torch.empty(3, 4))),
    "a conversion": lambda: torch.empty(3, 4).half(),
    "a conversion of a conversion": lambda: torch.empty(3, 4, dtype=torch.float16).bfloat16().double(),
    "a transposed view": lambda: torch.empty(4, 3).t(),
    "a part": lambda: torch.empty(9, 4)[2:5],
    "what is computed from it": lambda: torch.empty(3, 4) * 0.02,
    "an inference tensor": _inference,
    "shared memory": lambda: torch.empty(3, 4).share_memory_(),
}


@pytest.mark.parametrize("how", NEVER)
def test_what_is_never_written_is_found(how):
    count, weight = unwritten(NEVER[how])
    assert count == 12
    assert not weight.any(), "and does not depend on what memory held"


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_larger_floating_dtype_is_followed(dtype):
    count, weight = unwritten(lambda: torch.empty(3, 4, dtype=dtype))
    assert count == 12
    assert not weight.any()


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.int8, torch.int64, torch.bool])
def test_what_cannot_hold_a_mark_is_zero_and_not_flagged(dtype):
    count, weight = unwritten(lambda: torch.empty(3, 4, dtype=dtype))
    assert count == 0
    assert not weight.view(torch.uint8).any()


def written(fill, make=lambda: torch.empty(3, 4)):
    def build():
        weight = nn.Parameter(make())
        with torch.no_grad():
            fill(weight)
        return weight

    return build


def _with_numpy(weight):
    weight.detach().numpy()[:] = 1.5


def _with_a_pointer(weight):
    import ctypes

    ctypes.memset(weight.data_ptr(), 0x11, weight.numel() * weight.element_size())


def _with_columns(weight):
    for column in weight.unbind(1):
        column.fill_(2)


def _with_data(weight):
    weight.data = torch.ones(3, 4)


def _with_set(weight):
    weight.set_(torch.ones(3, 4))


def _with_out(weight):
    torch.mul(torch.randn(3, 4), 2, out=weight.detach())


def _with_a_state(weight):
    layer = nn.Linear(4, 3, bias=False)
    layer.weight = weight
    layer.load_state_dict({"weight": torch.ones(3, 4)})


def _with_nan(weight):
    weight.fill_(float("nan"))


def _with_computed_nan(weight):
    weight.copy_(torch.zeros(3, 4) / torch.zeros(3, 4))


WRITTEN = {
    "normal_": written(lambda weight: weight.normal_()),
    "uniform_ of the data": written(lambda weight: weight.data.uniform_(-1, 1)),
    "fill_": written(lambda weight: weight.fill_(0.5)),
    "zero_": written(lambda weight: weight.zero_()),
    "an index": written(lambda weight: weight.__setitem__(..., 3.0)),
    "a mask": written(lambda weight: weight.masked_fill_(torch.ones(3, 4, dtype=torch.bool), 1)),
    "copy_": written(lambda weight: weight.copy_(torch.arange(12).view(3, 4))),
    "views": written(_with_columns),
    "a flat view": written(lambda weight: weight.view(-1).fill_(1)),
    "as_strided": written(lambda weight: weight.as_strided((12,), (1,)).fill_(1)),
    "data": written(_with_data),
    "set_": written(_with_set),
    "out": written(_with_out),
    "NumPy": written(_with_numpy),
    "a pointer": written(_with_a_pointer),
    "a state": written(_with_a_state),
    "NaN": written(_with_nan),
    "a computed NaN": written(_with_computed_nan),
    "NaN in half": written(_with_nan, lambda: torch.empty(3, 4, dtype=torch.float16)),
    "NaN in bfloat16": written(_with_nan, lambda: torch.empty(3, 4, dtype=torch.bfloat16)),
    "foreach": written(lambda weight: torch._foreach_zero_([weight])),
    "an array of its own": lambda: torch.from_numpy(np.ones((3, 4), np.float32)),
    "a buffer": lambda: torch.frombuffer(bytearray(48), dtype=torch.float32).view(3, 4),
    "a list": lambda: torch.tensor([[1.0, 2.0]]),
    "another thread": _in_a_thread,
    "concatenated": lambda: torch.cat([torch.empty(1, 4).fill_(1), torch.ones(2, 4)]),
    "converted": lambda: torch.empty(3, 4).normal_().half(),
    **{
        scheme: written(lambda weight, scheme=scheme: getattr(nn.init, scheme)(weight, **({"sparsity": 0.5} if scheme == "sparse_" else {})))
        for scheme in ("normal_", "uniform_", "trunc_normal_", "ones_", "zeros_", "eye_", "xavier_uniform_", "xavier_normal_",
                       "kaiming_uniform_", "kaiming_normal_", "orthogonal_", "sparse_")
    },
    "dirac_": written(nn.init.dirac_, lambda: torch.empty(4, 3, 3)),
}  # fmt: skip


@pytest.mark.parametrize("how", WRITTEN)
def test_what_is_written_is_never_flagged_and_keeps_its_bits(how):
    torch.manual_seed(0)
    count, weight = unwritten(WRITTEN[how])
    assert count == 0
    torch.manual_seed(0)
    plain = WRITTEN[how]()
    assert torch.equal(weight.isnan(), plain.isnan())
    assert torch.equal(weight.nan_to_num(), plain.nan_to_num())


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_partly_written_is_counted(dtype):
    def make():
        weight = nn.Parameter(torch.empty(3, 4, dtype=dtype))
        weight.data[1] = 7
        weight.data[2, :2] = 7
        return weight

    count, weight = unwritten(make)
    assert count == 6
    assert weight.real.sum().item() == 42


def test_of_a_complex_number_both_parts_must_be_written():
    def make():
        weight = nn.Parameter(torch.empty(3, dtype=torch.complex64))
        weight.data.real.fill_(1)
        return weight

    count, weight = unwritten(make)
    assert count == 3
    assert weight.tolist() == [1, 1, 1]


def test_parameters_that_share_memory_are_counted_each():
    class Views(nn.Module):
        def __init__(self):
            super().__init__()
            whole = torch.empty(6)
            self.whole, self.part = nn.Parameter(whole), nn.Parameter(whole[:3])

    with FreshMemory() as fresh:
        module = Views()
    assert fresh.release(module) == {id(module.whole): 6, id(module.part): 3}


def test_what_another_constructor_writes_later_is_written():
    fresh = FreshMemory()
    with fresh:
        inner = Holder(lambda: torch.empty(3))
    with fresh:
        inner.weight.data.fill_(1)
    assert fresh.release(inner) == {}


def test_memory_that_no_parameter_holds_is_zero_too():
    class Cached(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("cache", torch.empty(3))
            self.kept = [torch.empty(4)[1:], torch.empty(2) + 1, torch.ones(2)]

    with FreshMemory() as fresh:
        module = Cached()
    assert fresh.release(module) == {}
    assert module.cache.tolist() == [0] * 3
    assert module.kept[0].tolist() == [0] * 3
    assert module.kept[2].tolist() == [1, 1]


@pytest.mark.parametrize("layer", [nn.Linear, nn.LSTM, nn.GRUCell, nn.Bilinear, nn.MultiheadAttention, nn.Conv1d])
def test_torchs_own_layers_write_everything_as_they_would_otherwise(layer):
    arguments = {nn.Bilinear: (4, 2, 3), nn.Conv1d: (4, 2, 3)}.get(layer, (4, 2))
    torch.manual_seed(0)
    plain = layer(*arguments)
    torch.manual_seed(0)
    with FreshMemory() as fresh:
        module = layer(*arguments)
    assert fresh.release(module) == {}
    assert all(map(torch.equal, module.parameters(), plain.parameters()))


def test_tensors_without_memory_are_left_alone():
    with FreshMemory() as fresh:
        module = nn.Sequential(nn.LazyLinear(3), nn.Linear(2, 2, device="meta"))
        torch.empty(3, layout=torch.sparse_coo)
    assert fresh.release(module) == {}


def test_following_memory_does_not_import_the_compiler():
    code = (
        "import sys, torch\n"
        "from paramctl.tensors.initializing.unwritten import FreshMemory\n"
        "with FreshMemory() as fresh:\n    layer = torch.nn.Linear(3, 4).half()\n"
        "fresh.release(layer)\n"
        "print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
