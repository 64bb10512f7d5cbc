"""Which input a layer takes, as far as its arguments tell: for the hint where a spec gives no input, or a wrong one."""

from __future__ import annotations

from typing import Final, NamedTuple

from paramctl.records import Shape
from paramctl.spec.model import Container, Layer, ModuleSpec, Repeat


class _Taken(NamedTuple):
    """The argument that the input must fit, in which dimension; the shape; options that give such an input."""

    argument: str
    dimension: int | None
    shape: str
    options: str


_TAKES: Final[dict[str, _Taken]] = {
    "Linear": _Taken("in_features", -1, "[N, {}]", "--input-shape 2,{}"),
    "Embedding": _Taken(
        "num_embeddings", None, "[N, T] of indexes below {}", "--input-shape 2,8 --fill 'randint(0,{})'"
    ),
    "Conv1d": _Taken("in_channels", -2, "[N, {}, L]", "--input-shape 2,{},32"),
    "Conv2d": _Taken("in_channels", -3, "[N, {}, H, W]", "--input-shape 2,{},32,32"),
    "Conv3d": _Taken("in_channels", -4, "[N, {}, D, H, W]", "--input-shape 2,{},16,16,16"),
    "ConvTranspose1d": _Taken("in_channels", -2, "[N, {}, L]", "--input-shape 2,{},32"),
    "ConvTranspose2d": _Taken("in_channels", -3, "[N, {}, H, W]", "--input-shape 2,{},32,32"),
    "ConvTranspose3d": _Taken("in_channels", -4, "[N, {}, D, H, W]", "--input-shape 2,{},16,16,16"),
    "BatchNorm1d": _Taken("num_features", 1, "[N, {}]", "--input-shape 2,{}"),
    "BatchNorm2d": _Taken("num_features", 1, "[N, {}, H, W]", "--input-shape 2,{},32,32"),
    "BatchNorm3d": _Taken("num_features", 1, "[N, {}, D, H, W]", "--input-shape 2,{},16,16,16"),
    "RNN": _Taken("input_size", -1, "[T, N, {}]", "--input-shape 5,2,{}"),
    "LSTM": _Taken("input_size", -1, "[T, N, {}]", "--input-shape 5,2,{}"),
    "GRU": _Taken("input_size", -1, "[T, N, {}]", "--input-shape 5,2,{}"),
    "TransformerEncoderLayer": _Taken("d_model", -1, "[T, N, {}]", "--input-shape 5,2,{}"),
}
"""The layers whose first argument tells their input."""
_ANY_SHAPE: Final = frozenset(
    {"Identity", "Dropout", "ReLU", "GELU", "Sigmoid", "Tanh", "SiLU", "LeakyReLU", "ELU", "Flatten", "PReLU"}
)
"""Layers through which the hint for the next one passes."""


def shape_taken(layer: Layer) -> tuple[str, str] | None:
    """Return the shape that a layer takes, and options that give such an input, if its arguments tell."""
    if layer.call.reference is not None or layer.call.name not in _TAKES:
        return None
    taken, size = _TAKES[layer.call.name], _size_taken(layer)
    return taken.shape.format(size), taken.options.format(size)


def misfit(module: ModuleSpec, given: Shape, *, floating: bool) -> str | None:
    """Say what is wrong with the input that a layer was given, if its arguments tell.

    Args:
        module: the layer.
        given: the input's shape.
        floating: whether the input's elements are floating numbers.

    """
    if isinstance(module, Container) and module.kind in {"ModuleList", "ModuleDict"}:
        return f"a {module.kind} holds modules and cannot be called; to run one after the other write Sequential"
    if not isinstance(module, Layer) or (taken := shape_taken(module)) is None:
        return None
    shape, options = taken
    if floating != (module.call.name != "Embedding"):
        fill = options.partition("--fill ")[2] or "rand"
        return f"it takes {'floating numbers' if fill == 'rand' else 'indexes'}: try --fill {fill}"
    dimension = _TAKES[module.call.name].dimension
    if dimension is None or (-len(given) <= dimension < len(given) and given[dimension] == _size_taken(module)):
        return None
    return f"it takes {shape}"


def _size_taken(layer: Layer) -> object:
    return layer.call.arguments()[_TAKES[layer.call.name].argument]


def first_layer(module: ModuleSpec) -> Layer | None:
    """Return the first layer that tells which input the model takes."""
    if isinstance(module, Layer):
        return None if module.call.name in _ANY_SHAPE else module
    if isinstance(module, Repeat):
        return first_layer(module.body)
    children = module.children if isinstance(module, Container) else ()
    return next((found for child in children if (found := first_layer(child)) is not None), None)
