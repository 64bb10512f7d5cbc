"""Which input a layer takes, as far as its arguments tell: for the hint where a spec gives no input, or a wrong one."""

from __future__ import annotations

from typing import Final

from paramctl.spec.model import Container, Layer, ModuleSpec, Repeat

_TAKES: Final[dict[str, tuple[str, str, str]]] = {
    "Linear": ("in_features", "[N, {}]", "--input-shape 2,{}"),
    "Embedding": ("num_embeddings", "[N, T] of indexes below {}", "--input-shape 2,8 --fill 'randint(0,{})'"),
    "Conv1d": ("in_channels", "[N, {}, L]", "--input-shape 2,{},32"),
    "Conv2d": ("in_channels", "[N, {}, H, W]", "--input-shape 2,{},32,32"),
    "Conv3d": ("in_channels", "[N, {}, D, H, W]", "--input-shape 2,{},16,16,16"),
    "ConvTranspose1d": ("in_channels", "[N, {}, L]", "--input-shape 2,{},32"),
    "ConvTranspose2d": ("in_channels", "[N, {}, H, W]", "--input-shape 2,{},32,32"),
    "ConvTranspose3d": ("in_channels", "[N, {}, D, H, W]", "--input-shape 2,{},16,16,16"),
    "BatchNorm1d": ("num_features", "[N, {}]", "--input-shape 2,{}"),
    "BatchNorm2d": ("num_features", "[N, {}, H, W]", "--input-shape 2,{},32,32"),
    "BatchNorm3d": ("num_features", "[N, {}, D, H, W]", "--input-shape 2,{},16,16,16"),
    "RNN": ("input_size", "[T, N, {}]", "--input-shape 5,2,{}"),
    "LSTM": ("input_size", "[T, N, {}]", "--input-shape 5,2,{}"),
    "GRU": ("input_size", "[T, N, {}]", "--input-shape 5,2,{}"),
    "TransformerEncoderLayer": ("d_model", "[T, N, {}]", "--input-shape 5,2,{}"),
}
"""For a layer: the argument that its input must fit, which is its first; the shape; options that give such an input."""
_ANY_SHAPE: Final = frozenset(
    {"Identity", "Dropout", "ReLU", "GELU", "Sigmoid", "Tanh", "SiLU", "LeakyReLU", "ELU", "Flatten", "PReLU"}
)
"""Layers through which the hint for the next one passes."""


def shape_taken(layer: Layer) -> tuple[str, str] | None:
    """Return the shape that a layer takes, and options that give such an input, if its arguments tell."""
    if layer.call.reference is not None or layer.call.name not in _TAKES:
        return None
    argument, shape, options = _TAKES[layer.call.name]
    size = layer.call.keywords.get(argument, layer.call.positional[0] if layer.call.positional else None)
    return shape.format(size), options.format(size)


def first_layer(module: ModuleSpec) -> Layer | None:
    """Return the first layer that tells which input the model takes."""
    if isinstance(module, Layer):
        return None if module.call.name in _ANY_SHAPE else module
    if isinstance(module, Repeat):
        return first_layer(module.body)
    children = module.children if isinstance(module, Container) else ()
    return next((found for child in children if (found := first_layer(child)) is not None), None)
