"""What is drawn block by block has the bits of what torch draws at once."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from paramctl.errors import ParamctlError
from paramctl.spec.rules import parse_rule
from paramctl.tensors import streams
from paramctl.tensors.blocks import draw_blocks, is_blockwise
from paramctl.tensors.build import build
from paramctl.tensors.kernels import ELEMENTWISE, KERNELS
from paramctl.tensors.materialize import plan_drawings
from paramctl.tensors.statistics import BLOCK

SCHEMES = ["default", "uniform:a=-2,b=3", "normal:mean=1,std=2", "constant:val=3", "ones", "zeros", "xavier_uniform:gain=2",
           "xavier_normal", "kaiming_uniform:a=0.3", "kaiming_normal:mode=fan_out,nonlinearity=relu"]  # fmt: skip
ODD = [1, 15, 16, 17, BLOCK - 1, BLOCK, BLOCK + 1, BLOCK + 15, BLOCK + 16, 2 * BLOCK + 7, 3 * BLOCK + 20]


def drawing_of(spec, tmp_path, rows, columns, *schemes, dtype="float32"):
    read = spec(f"layers: [{{Linear: [{columns}, {rows}]}}]\ndtype: {dtype}")
    built = build(read, seed=3)
    drawings, _ = plan_drawings(
        built.net, built.programs, [parse_rule(f"0.weight={each}", tmp_path) for each in schemes]
    )
    return drawings[0]


def joined(drawing, seed):
    values = torch.full((drawing.plan.target.record.numel,), float("nan"), dtype=drawing.tensor.dtype)
    for start, block in draw_blocks(drawing, seed):
        values[start : start + len(block)] = block
    return values


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", ODD)
def test_blocks_have_the_bits_of_the_whole(scheme, size, spec, tmp_path):
    drawing = drawing_of(spec, tmp_path, size, 1, scheme)
    assert is_blockwise(drawing)
    assert torch.equal(joined(drawing, 3), drawing.draw(3).flatten())


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16", "float8_e4m3fn"])
def test_every_floating_dtype_is_drawn_alike(dtype, spec, tmp_path):
    drawing = drawing_of(spec, tmp_path, 300, 301, "normal:std=2", "add:value=0.1", "mul:value=3", dtype=dtype)
    blocks, whole = joined(drawing, 3), drawing.draw(3).flatten()
    assert torch.equal(blocks.double(), whole.double())


@pytest.mark.parametrize(
    ("scheme", "torchs"),
    [
        ("normal:std=0.5", lambda t, g: nn.init.normal_(t, 0.0, 0.5, generator=g)),
        ("uniform", lambda t, g: nn.init.uniform_(t, generator=g)),
        ("xavier_uniform", lambda t, g: nn.init.xavier_uniform_(t, generator=g)),
        ("xavier_normal:gain=1.5", lambda t, g: nn.init.xavier_normal_(t, 1.5, generator=g)),
        ("kaiming_uniform:a=0.1", lambda t, g: nn.init.kaiming_uniform_(t, 0.1, generator=g)),
        ("kaiming_normal:mode=fan_out", lambda t, g: nn.init.kaiming_normal_(t, mode="fan_out", generator=g)),
    ],
)
def test_the_values_are_those_of_torch_under_the_parameters_own_stream(scheme, torchs, spec, tmp_path):
    drawing = drawing_of(spec, tmp_path, 300, 401, scheme)
    expected = torchs(torch.empty(300, 401), streams.generator(3, "0.weight", 0))
    assert torch.equal(joined(drawing, 3), expected.flatten())


@pytest.mark.parametrize("scheme", ["orthogonal", "trunc_normal", "eye", "sparse:sparsity=0.5"])
def test_what_no_element_can_be_drawn_without_the_others_is_not_blockwise(scheme, spec, tmp_path):
    assert not is_blockwise(drawing_of(spec, tmp_path, 3, 3, scheme))


def test_a_padding_row_and_what_has_values_already_are_not_blockwise(spec, write, tmp_path):
    write("from torch import nn\nclass Own(nn.Linear): pass\n", "blocks_own.py")
    text = "layers: [{Embedding: [5, 3, 1]}, {blocks_own.py:Own: [2, 2]}]"
    built = build(spec(text, "blocks_own.py"), seed=0)
    drawings, _ = plan_drawings(built.net, built.programs, [])
    assert [is_blockwise(drawing) for drawing in drawings] == [False, False, False]


@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (3, 0)])
def test_a_tensor_without_elements_has_no_blocks(rows, columns, spec, tmp_path):
    assert not is_blockwise(drawing_of(spec, tmp_path, rows, columns))


def test_numbers_that_overflow_together_name_rule_and_parameter(spec, tmp_path):
    with pytest.raises(ParamctlError, match=r"uniform cannot fill 0\.weight"):
        joined(drawing_of(spec, tmp_path, 3, 3, "uniform:a=-3e38,b=3e38"), 0)


def test_every_elementwise_scheme_is_a_kernel():
    assert ELEMENTWISE.keys() < KERNELS.keys()
