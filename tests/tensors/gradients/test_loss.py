from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch
from torch.nn import functional

from paramctl.errors import ParamctlError
from paramctl.spec.model import Fill, InputSpec
from paramctl.tensors import streams
from paramctl.tensors.gradients.loss import Output, draw_input, draw_tensor, find_output, make_objective, objective_of

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


class Pair(NamedTuple):
    index: torch.Tensor
    scores: torch.Tensor


@dataclass
class Answer:
    index: torch.Tensor
    scores: torch.Tensor
    loss: torch.Tensor | None = None


FLOATING, INDEX, LOSS = torch.rand(2), torch.tensor([1]), torch.tensor(3.0)


@pytest.mark.parametrize(
    ("returned", "path"),
    [
        (FLOATING, "output"),
        ((INDEX, {"logits": FLOATING}), "output[1]['logits']"),
        ({"a": None, "b": [FLOATING]}, "output['b'][0]"),
        (Pair(INDEX, FLOATING), "output.scores"),
        (Answer(INDEX, FLOATING), "output.scores"),
        (Answer(INDEX, FLOATING, LOSS), "output.scores"),
        ({"loss": LOSS, "logits": FLOATING}, "output['logits']"),
        ({"logits": FLOATING, "loss": FLOATING}, "output['logits']"),
    ],
)
def test_the_first_floating_tensor_of_an_output_is_found(returned, path):
    found = find_output(returned, wants_loss=False)
    assert found.tensor is FLOATING
    assert (found.path, found.is_loss) == (path, False)


@pytest.mark.parametrize(
    ("returned", "path"),
    [
        ({"logits": FLOATING, "loss": LOSS}, "output['loss']"),
        (Answer(INDEX, FLOATING, LOSS), "output.loss"),
    ],
)
def test_the_loss_that_a_model_returns_is_found_where_it_is_wanted(returned, path):
    assert find_output(returned, wants_loss=True) == Output(LOSS, path, is_loss=True)


@pytest.mark.parametrize("loss", [None, FLOATING, INDEX, 3.0])
def test_what_is_no_real_number_is_no_loss(loss):
    assert find_output({"loss": loss, "logits": FLOATING}, wants_loss=True).tensor is FLOATING


def test_an_output_that_holds_itself_has_an_end():
    returned = [INDEX]
    returned += [returned, FLOATING]
    assert find_output(returned, wants_loss=False).path == "output[2]"


def test_a_loss_alone_is_an_output_too():
    assert find_output({"loss": LOSS}, wants_loss=False) == Output(LOSS, "output['loss']")


def test_an_output_without_a_floating_tensor_is_its_first_tensor_and_one_without_tensors_none():
    assert find_output([None, INDEX], wants_loss=True) == Output(INDEX, "output[1]")
    for returned in ({"a": None}, "text", None, Answer, 3):
        assert find_output(returned, wants_loss=True) is None


def test_only_a_loss_that_is_not_named_gives_way_to_the_models_own():
    own = Output(LOSS, "output['loss']", is_loss=True)
    assert objective_of(own, None, RAND, 0).described == "the model's own"
    assert objective_of(own, None, RAND, 0).compute(LOSS) == 3
    assert objective_of(Output(FLOATING), None, RAND, 0).described == "the sum of the output"
    assert objective_of(Output(FLOATING), "mean", RAND, 0).described == "the mean of the output"


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
