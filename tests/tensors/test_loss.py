from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from paramctl.errors import ParamctlError
from paramctl.spec.model import Fill, InputSpec
from paramctl.tensors import streams
from paramctl.tensors.loss import draw_input, draw_tensor, first_tensor, make_objective

RAND = Fill("rand")


def test_fills_are_what_they_are_called():
    def draw(fill):
        return draw_tensor((50, 40), fill, torch.float32, torch.Generator().manual_seed(0))

    assert torch.equal(draw(Fill("ones")), torch.ones(50, 40))
    assert torch.equal(draw(Fill("zeros")), torch.zeros(50, 40))
    assert torch.equal(draw(Fill("arange")), torch.arange(2000.0).reshape(50, 40))
    assert draw(RAND).min() >= 0
    assert draw(RAND).max() < 1
    assert draw(Fill("randn")).std() == pytest.approx(1, rel=0.1)
    drawn = draw(Fill("randint", -2, 3))
    assert drawn.unique().tolist() == [-2, -1, 0, 1, 2]


@pytest.mark.parametrize(
    ("spec", "dtype"),
    [
        (InputSpec(shape=(2,)), torch.float64),
        (InputSpec(shape=(2,), fill=Fill("arange")), torch.float64),
        (InputSpec(shape=(2,), fill=Fill("randint", 0, 5)), torch.int64),
        (InputSpec(shape=(2,), fill=Fill("randint", 0, 5), dtype="float32"), torch.float32),
        (InputSpec(shape=(2,), dtype="int32", fill=Fill("ones")), torch.int32),
    ],
)
def test_an_input_has_the_models_dtype_unless_it_is_given_or_a_randint(spec, dtype):
    assert draw_input(spec, torch.float64, 0).dtype == dtype


def test_an_input_depends_on_the_seed_alone():
    spec = InputSpec(shape=(3, 4))
    assert torch.equal(draw_input(spec, torch.float32, 5), draw_input(spec, torch.float32, 5))
    assert not torch.equal(draw_input(spec, torch.float32, 5), draw_input(spec, torch.float32, 6))


def test_the_first_floating_tensor_of_an_output_is_found():
    tensor, indices = torch.rand(2), torch.tensor([1])
    assert first_tensor(tensor) == (tensor, "output")
    assert first_tensor((indices, {"logits": tensor})) == (tensor, "output[1]['logits']")
    assert first_tensor([indices])[1] == "output[0]"
    assert first_tensor({"a": None}) is None
    assert first_tensor("text") is None


@pytest.mark.parametrize(
    ("shape", "classes", "dimension"),
    [((4,), 4, 0), ((2, 5), 5, 1), ((2, 5, 7), 7, 2), ((2, 5, 7, 3), 5, 1), ((2, 5, 3, 3, 3), 5, 1)],
)
def test_cross_entropy_finds_the_classes(shape, classes, dimension):
    output = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    objective = make_objective("cross_entropy", output, RAND, 3)
    assert objective.described == f"cross entropy against random classes, {classes} in dimension {dimension}"
    target_shape = tuple(size for i, size in enumerate(shape) if i != dimension)
    target = torch.randint(classes, target_shape, generator=streams.generator(3, "target"))
    moved = output.movedim(dimension, 0 if len(shape) == 1 else 1)
    assert objective.compute(output) == functional.cross_entropy(moved, target)


@pytest.mark.parametrize("shape", [(), (0, 5)])
def test_cross_entropy_without_classes_is_refused(shape):
    with pytest.raises(ParamctlError, match="cross_entropy needs classes"):
        make_objective("cross_entropy", torch.empty(shape), RAND, 0)


def test_mse_compares_with_a_target_filled_like_the_input():
    output = torch.rand(2, 3)
    ones = make_objective("mse", output, Fill("ones"), 0)
    assert ones.compute(output) == functional.mse_loss(output, torch.ones(2, 3))
    assert ones.described == "mean squared error against ones"
    assert make_objective("mse", output, Fill("randint", 0, 5), 0).described == "mean squared error against rand"


def test_sum_and_mean():
    output = torch.arange(4.0)
    assert make_objective("sum", output, RAND, 0).compute(output) == 6
    assert make_objective("mean", output, RAND, 0).compute(output) == 1.5
