"""Which input a layer takes, as far as its arguments tell: for the hint where a spec gives no input, or a wrong one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from paramctl.records import Shape
from paramctl.spec.model import Container, Layer, ModuleSpec, Repeat


class _Taken(NamedTuple):
    """The argument that the input must fit, in which dimension; the shape; options that give such an input."""

    argument: str
    dimension: int | None
    shape: str
    options: str


class _Expected(NamedTuple):
    """What the input of one layer must be: these sizes, from this dimension on; the same in words and as options."""

    sizes: Shape
    dimension: int | None
    shape: str
    options: str

    def admits(self, given: Shape) -> bool:
        """Tell whether an input of this shape has the sizes."""
        if self.dimension is None:
            return True
        if self.dimension == -1:
            return given[-len(self.sizes) :] == self.sizes
        return -len(given) <= self.dimension < len(given) and given[self.dimension] == self.sizes[0]


_INDEXES: Final = ("[N, T] of indexes below {}", "--input-shape 2,8 --fill 'randint(0,{})'")
_FEATURES: Final = ("[N, {}]", "--input-shape 2,{}")
_STEPS: Final = ("[T, N, {}]", "--input-shape 5,2,{}")
_BATCH_FIRST: Final = ("[N, T, {}]", "--input-shape 2,5,{}")
_LINE: Final = ("[N, {}, L]", "--input-shape 2,{},32")
_IMAGE: Final = ("[N, {}, H, W]", "--input-shape 2,{},32,32")
_VOLUME: Final = ("[N, {}, D, H, W]", "--input-shape 2,{},16,16,16")

_TAKES: Final[dict[str, _Taken]] = {
    "Linear": _Taken("in_features", -1, *_FEATURES),
    "Embedding": _Taken("num_embeddings", None, *_INDEXES),
    "EmbeddingBag": _Taken("num_embeddings", None, *_INDEXES),
    "Conv1d": _Taken("in_channels", -2, *_LINE),
    "Conv2d": _Taken("in_channels", -3, *_IMAGE),
    "Conv3d": _Taken("in_channels", -4, *_VOLUME),
    "ConvTranspose1d": _Taken("in_channels", -2, *_LINE),
    "ConvTranspose2d": _Taken("in_channels", -3, *_IMAGE),
    "ConvTranspose3d": _Taken("in_channels", -4, *_VOLUME),
    "BatchNorm1d": _Taken("num_features", 1, *_FEATURES),
    "BatchNorm2d": _Taken("num_features", 1, *_IMAGE),
    "BatchNorm3d": _Taken("num_features", 1, *_VOLUME),
    "SyncBatchNorm": _Taken("num_features", 1, *_LINE),
    "InstanceNorm1d": _Taken("num_features", -2, *_LINE),
    "InstanceNorm2d": _Taken("num_features", -3, *_IMAGE),
    "InstanceNorm3d": _Taken("num_features", -4, *_VOLUME),
    "GroupNorm": _Taken("num_channels", 1, *_LINE),
    "LayerNorm": _Taken("normalized_shape", -1, *_FEATURES),
    "RMSNorm": _Taken("normalized_shape", -1, *_FEATURES),
    "PReLU": _Taken("num_parameters", 1, *_FEATURES),
    "RNN": _Taken("input_size", -1, *_STEPS),
    "LSTM": _Taken("input_size", -1, *_STEPS),
    "GRU": _Taken("input_size", -1, *_STEPS),
    "RNNCell": _Taken("input_size", -1, *_FEATURES),
    "LSTMCell": _Taken("input_size", -1, *_FEATURES),
    "GRUCell": _Taken("input_size", -1, *_FEATURES),
    "TransformerEncoderLayer": _Taken("d_model", -1, *_STEPS),
}
"""The layers that take one tensor, and an argument of which tells its size."""
_ANY_SHAPE: Final = frozenset(
    {
        "Identity", "Flatten", "Dropout", "AlphaDropout", "ReLU", "ReLU6", "LeakyReLU", "RReLU", "PReLU", "ELU", "SELU",
        "CELU", "GELU", "SiLU", "Mish", "Sigmoid", "LogSigmoid", "Tanh", "Softplus", "Softsign", "Tanhshrink",
        "Hardsigmoid", "Hardswish", "Hardtanh", "Hardshrink", "Softshrink", "Threshold",
    }
)  # fmt: skip
"""Layers through which the hint for the next one passes, unless their arguments tell a size."""


def shape_taken(layer: Layer) -> tuple[str, str] | None:
    """Return the shape that a layer takes, and options that give such an input, if its arguments tell."""
    expected = _expected(layer)
    return None if expected is None else (expected.shape, expected.options)


def shape_taken_by(name: str, arguments: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return what `shape_taken` does for a layer of torch.nn of this name; arguments that are missing tell nothing."""
    expected = _expected_by(name, arguments)
    return None if expected is None else (expected.shape, expected.options)


def _expected(layer: Layer) -> _Expected | None:
    if layer.call.reference is not None:
        return None
    arguments = layer.call.arguments()
    if layer.call.name == "TransformerEncoder":
        inner = arguments["encoder_layer"]
        return _expected(inner) if isinstance(inner, Layer) else None
    return _expected_by(layer.call.name, arguments)


def _expected_by(name: str, arguments: Mapping[str, Any]) -> _Expected | None:
    taken = _TAKES.get(name)
    if taken is None or taken.argument not in arguments:
        return None
    size = arguments[taken.argument]
    sizes = size if isinstance(size, tuple) else (size,)
    if not sizes or (name == "PReLU" and size == 1):  # one slope is for all elements
        return None
    words = _BATCH_FIRST if arguments.get("batch_first") else (taken.shape, taken.options)
    shape, options = words[0].format(", ".join(map(str, sizes))), words[1].format(",".join(map(str, sizes)))
    return _Expected(sizes, taken.dimension, shape, options)


def misfit(module: ModuleSpec, given: Shape, *, floating: bool) -> str | None:
    """Say what is wrong with the input that a layer was given, if its arguments tell.

    Args:
        module: the layer.
        given: the input's shape.
        floating: whether the input's elements are floating numbers.

    """
    if isinstance(module, Container) and module.kind in {"ModuleList", "ModuleDict"}:
        return f"a {module.kind} holds modules and cannot be called; to run one after the other write Sequential"
    expected = _expected(module) if isinstance(module, Layer) else None
    if expected is None:
        return None
    fill = expected.options.partition("--fill ")[2] or "rand"
    if floating != (fill == "rand"):
        return f"it takes {'floating numbers' if fill == 'rand' else 'indexes'}: try --fill {fill}"
    return None if expected.admits(given) else f"it takes {expected.shape}"


def first_layer(module: ModuleSpec) -> Layer | None:
    """Return the first layer that tells which input the model takes."""
    if isinstance(module, Layer):
        return None if module.call.name in _ANY_SHAPE and _expected(module) is None else module
    if isinstance(module, Repeat):
        return first_layer(module.body)
    children = module.children if isinstance(module, Container) else ()
    return next((found for child in children if (found := first_layer(child)) is not None), None)
