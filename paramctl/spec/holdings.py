"""What the common layers of torch.nn hold, as their arguments tell; about any other layer torch is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from paramctl.records import ITEM_SIZES, Inventory, Kind, ModuleRecord, ParameterRecord, Shape
from paramctl.spec.model import LayerCall

TORCH_VERSION: Final = "2.13"
"""The version of torch whose layers these are."""

_DTYPES: Final = frozenset({"float64", "float32", "float16", "bfloat16"})
_MAX_BYTES: Final = 2**63 - 1
_STRIDES_OF_ONE: Final = (1, (1,), (1, 1), (1, 1, 1))


class _Tensor(NamedTuple):
    name: str
    shape: Shape
    kind: Kind = "parameter"
    dtype: str | None = None


_Tensors: TypeAlias = list[_Tensor]
_Rule: TypeAlias = Callable[..., _Tensors]


class _OnlyTheConstructorKnowsError(Exception):
    """An argument is unusual, or wrong: what comes of it is the constructor's to say."""


def holdings_of(call: LayerCall, dtype: str | None) -> Inventory | None:
    """Return what the layer that a call makes holds, as `paramctl.tensors.collect.take_inventory` would.

    Args:
        call: the layer's class and arguments.
        dtype: what floating parameters are made as; None means float32.

    Returns:
        The records, or None where only the constructor knows: the layer is not a common one, or an argument is unusual
        or wrong.

    """
    if call.reference is not None:
        return None
    if call.name in _WITHOUT_TENSORS:
        return Inventory((), (), (ModuleRecord("", call.name),))
    rule, made_as, arguments = _RULES.get(call.name), dtype or "float32", call.arguments()
    if rule is None or made_as not in _DTYPES or arguments.get("dtype") is not None:
        return None
    parameters: list[ParameterRecord] = []
    buffers: list[ParameterRecord] = []
    try:
        for name, shape, kind, own_dtype in rule(**arguments):
            held_as = own_dtype or made_as
            _require(min(shape, default=1) >= 1 and prod(shape) * ITEM_SIZES[held_as] <= _MAX_BYTES)
            is_parameter = kind == "parameter"
            record = ParameterRecord(name, "", call.name, kind, shape, held_as, is_parameter)
            (parameters if is_parameter else buffers).append(record)
    except _OnlyTheConstructorKnowsError:
        return None
    return Inventory(tuple(parameters), tuple(buffers), (ModuleRecord("", call.name),))


def _require(condition: bool) -> None:  # noqa: FBT001  it reads as `assert` does
    if not condition:
        raise _OnlyTheConstructorKnowsError


def _weight_and_bias(weight: Shape, *, bias: Shape | None) -> _Tensors:
    held = [_Tensor("weight", weight)]
    return held if bias is None else [*held, _Tensor("bias", bias)]


def _repeated(size: int | Shape, dimensions: int) -> Shape:
    return (size,) * dimensions if isinstance(size, int) else size


def _linear(*, in_features: int, out_features: int, bias: bool, **_: object) -> _Tensors:
    return _weight_and_bias((out_features, in_features), bias=(out_features,) if bias else None)


def _bilinear(*, in1_features: int, in2_features: int, out_features: int, bias: bool, **_: object) -> _Tensors:
    return _weight_and_bias((out_features, in1_features, in2_features), bias=(out_features,) if bias else None)


def _convolution(dimensions: int) -> _Rule:
    def held(
        *,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Shape,
        stride: int | Shape,
        padding: int | str | Shape,
        groups: int,
        bias: bool,
        **_: object,
    ) -> _Tensors:
        _require(
            not isinstance(padding, str) or padding == "valid" or (padding == "same" and stride in _STRIDES_OF_ONE)
        )
        _require(groups >= 1 and in_channels % groups == out_channels % groups == 0)
        kernel = _repeated(kernel_size, dimensions)
        return _weight_and_bias((out_channels, in_channels // groups, *kernel), bias=(out_channels,) if bias else None)

    return held


def _transposed_convolution(dimensions: int) -> _Rule:
    def held(
        *,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Shape,
        groups: int,
        bias: bool,
        padding_mode: str,
        **_: object,
    ) -> _Tensors:
        _require(padding_mode == "zeros")
        _require(groups >= 1 and in_channels % groups == out_channels % groups == 0)
        kernel = _repeated(kernel_size, dimensions)
        return _weight_and_bias((in_channels, out_channels // groups, *kernel), bias=(out_channels,) if bias else None)

    return held


def _embedding(
    *, num_embeddings: int, embedding_dim: int, padding_idx: int | None, _freeze: bool, **_: object
) -> _Tensors:
    _require(not _freeze and (padding_idx is None or -num_embeddings <= padding_idx < num_embeddings))
    return _weight_and_bias((num_embeddings, embedding_dim), bias=None)


def _layer_norm(*, normalized_shape: int | Shape, elementwise_affine: bool, bias: bool, **_: object) -> _Tensors:
    shape = _repeated(normalized_shape, 1)
    return _weight_and_bias(shape, bias=shape if bias else None) if elementwise_affine else []


def _rms_norm(*, normalized_shape: int | Shape, elementwise_affine: bool, **_: object) -> _Tensors:
    return _weight_and_bias(_repeated(normalized_shape, 1), bias=None) if elementwise_affine else []


def _group_norm(*, num_groups: int, num_channels: int, affine: bool, bias: bool, **_: object) -> _Tensors:
    _require(num_groups >= 1 and num_channels % num_groups == 0)
    return _weight_and_bias((num_channels,), bias=(num_channels,) if bias else None) if affine else []


def _norm_over_batches(
    *, num_features: int, affine: bool, track_running_stats: bool, bias: bool, **_: object
) -> _Tensors:
    held = _weight_and_bias((num_features,), bias=(num_features,) if bias else None) if affine else []
    if track_running_stats:
        held += [_Tensor(name, (num_features,), "buffer") for name in ("running_mean", "running_var")]
        held.append(_Tensor("num_batches_tracked", (), "buffer", "int64"))
    return held


def _prelu(*, num_parameters: int, **_: object) -> _Tensors:
    return _weight_and_bias((num_parameters,), bias=None)


def _dropout(*, p: float, **_: object) -> _Tensors:
    _require(0 <= p <= 1)
    return []


_RULES: Final[Mapping[str, _Rule]] = MappingProxyType(
    {
        "Linear": _linear,
        "Bilinear": _bilinear,
        "Embedding": _embedding,
        "LayerNorm": _layer_norm,
        "RMSNorm": _rms_norm,
        "GroupNorm": _group_norm,
        "PReLU": _prelu,
        "Dropout": _dropout,
        **{f"Conv{n}d": _convolution(n) for n in (1, 2, 3)},
        **{f"ConvTranspose{n}d": _transposed_convolution(n) for n in (1, 2, 3)},
        **{f"{kind}Norm{n}d": _norm_over_batches for kind in ("Batch", "Instance") for n in (1, 2, 3)},
        **{f"Dropout{n}d": _dropout for n in (1, 2, 3)},
    }
)
"""For a layer a function of its arguments that returns its tensors in the constructor's order."""

_WITHOUT_TENSORS: Final = frozenset(
    {
        "ReLU", "ReLU6", "LeakyReLU", "ELU", "CELU", "SELU", "GELU", "SiLU", "Mish", "Sigmoid", "LogSigmoid", "Tanh",
        "Softplus", "Softsign", "Softmax", "LogSoftmax", "Softmax2d", "Hardswish", "Hardsigmoid", "Identity", "Flatten",
        *(f"{kind}Pool{n}d" for kind in ("Max", "Avg", "AdaptiveMax", "AdaptiveAvg") for n in (1, 2, 3)),
    }
)  # fmt: skip
"""Layers that hold nothing, and whose constructors take whatever fits their signature."""
