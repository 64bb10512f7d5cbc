"""What is drawn block by block has the bits of what torch draws at once."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from paramctl.errors import ParamctlError
from paramctl.spec.rules import parse_rule
from paramctl.tensors import streams
from paramctl.tensors.building.build import build
from paramctl.tensors.initializing.blocks import BLOCK, CHUNK, chunks_of
from paramctl.tensors.initializing.kernels import ELEMENTWISE, WHOLE
from paramctl.tensors.initializing.materialize import plan_drawings

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
    for chunk in chunks_of(len(values)):
        for start, block in drawing.draw_chunk(seed, chunk):
            values[start : start + len(block)] = block
    return values


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", ODD)
def test_blocks_have_the_bits_of_the_whole(scheme, size, spec, tmp_path):
    drawing = drawing_of(spec, tmp_path, size, 1, scheme)
    assert drawing.is_blockwise
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
    expected = torchs(torch.empty(300, 401), streams.generator(3, "0.weight", 0, 0))
    assert torch.equal(joined(drawing, 3), expected.flatten())


@pytest.mark.parametrize("scheme", ["orthogonal", "eye", "sparse:sparsity=0.5"])
def test_what_no_element_can_be_drawn_without_the_others_is_not_blockwise(scheme, spec, tmp_path):
    assert not drawing_of(spec, tmp_path, 3, 3, scheme).is_blockwise


@pytest.mark.parametrize("scheme", ["normal:std=2", "uniform"])
def test_each_chunk_of_a_giant_parameter_is_torchs_under_a_stream_of_its_own(scheme, spec, tmp_path):
    rows = 2 * CHUNK + 7
    drawing = drawing_of(spec, tmp_path, rows, 1, scheme)
    expected = torch.empty(rows)
    for chunk, part in enumerate(torch.split(expected, CHUNK)):
        stream = streams.generator(3, "0.weight", 0, chunk)
        part.normal_(0, 2, generator=stream) if scheme.startswith("normal") else part.uniform_(generator=stream)
    assert torch.equal(drawing.draw(3).flatten(), expected)


def test_a_chunk_can_be_drawn_without_those_before_it(spec, tmp_path):
    drawing = drawing_of(spec, tmp_path, CHUNK + BLOCK, 1, "trunc_normal")
    alone = torch.cat([block.clone() for _, block in drawing.draw_chunk(3, 1)])
    assert torch.equal(alone, drawing.draw(3)[CHUNK:, 0])


@pytest.mark.parametrize("scheme", ["default", "normal:std=0.02", "normal,add:value=1"])
@pytest.mark.parametrize("row", [0, 700, 1999])
def test_a_padding_row_is_zero_in_whichever_blocks_it_lies(scheme, row, spec, tmp_path):
    built = build(spec(f"layers: [{{Embedding: [2000, 100, {row}]}}]"), seed=3)
    rules = [parse_rule(f"0.weight={each}", tmp_path) for each in scheme.split(",")]
    (drawing,), _ = plan_drawings(built.net, built.programs, rules)
    assert drawing.is_blockwise
    zero = (joined(drawing, 3).view(2000, 100) == 0).all(dim=1)
    assert zero.nonzero().tolist() == [[row]]


def test_values_that_are_there_are_changed_block_by_block(spec, write, tmp_path):
    write("from torch import nn\nclass Own(nn.Linear): pass\n", "blocks_own.py")
    built = build(spec("layers: [{blocks_own.py:Own: [300, 301]}]", "blocks_own.py"), seed=0)
    before = built.net[0].weight.detach().clone()
    drawings, _ = plan_drawings(built.net, built.programs, [parse_rule("0.weight=add:value=2", tmp_path)])
    assert drawings[0].is_blockwise
    assert torch.equal(drawings[0].draw(0), before + 2)


@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (3, 0)])
def test_a_tensor_without_elements_has_no_blocks(rows, columns, spec, tmp_path):
    assert not drawing_of(spec, tmp_path, rows, columns).is_blockwise


def test_numbers_that_overflow_together_name_rule_and_parameter(spec, tmp_path):
    with pytest.raises(ParamctlError, match=r"uniform cannot fill 0\.weight"):
        joined(drawing_of(spec, tmp_path, 3, 3, "uniform:a=-3e38,b=3e38"), 0)


def test_every_elementwise_scheme_is_a_kernel():
    assert not ELEMENTWISE.keys() & WHOLE.keys()
