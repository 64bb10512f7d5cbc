"""A parameter of a layer -> the fans of the layer's computation, where torch's rule for shapes errs.

Glorot & Bengio 2010 and He et al. 2015 scale a weight by the number of terms that are added up: for one output forward
(fan_in), for the gradient of one input backward (fan_out). torch tells both from the shape, as of a Linear layer or a
convolution without groups. Of a Bilinear layer its fan_out is that of the first input.
"""

from __future__ import annotations

from math import prod
from typing import TypeAlias

from torch import nn

from paramctl.fans import FanRule, Fans, torch_fans
from paramctl.records import Shape
from paramctl.tensors.collect import module_at

_Convolution: TypeAlias = nn.Conv1d | nn.Conv2d | nn.Conv3d
_Transposed: TypeAlias = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d


def fans_of(net: nn.Module, name: str, shape: Shape, rule: FanRule) -> Fans | None:
    """Return the fans of a parameter of a model; None where its shape has less than two dimensions."""
    if len(shape) < 2:
        return None
    counted = _layer_fans(*_place(net, name), shape) if rule == "layer" else None
    return counted or torch_fans(shape)


def _place(net: nn.Module, name: str) -> tuple[nn.Module, str]:
    """Return the layer and the attribute that a name stands for, also behind a parametrization, norm or pruning."""
    match name.split("."):
        case [*path, "parametrizations", attribute, _]:
            return module_at(net, ".".join(path)), attribute
        case [*path, attribute]:
            layer = module_at(net, ".".join(path))
    attribute = attribute.removesuffix("_orig")
    direction = attribute.removesuffix("_v")  # of what `torch.nn.utils.weight_norm` splits into this and a magnitude
    return layer, direction if hasattr(layer, f"{direction}_g") else attribute


def _layer_fans(layer: nn.Module, attribute: str, shape: Shape) -> Fans | None:
    """Return the fans of a weight of one of torch.nn's layers; None where they are torch's, or nothing is known.

    A class of the user's own may hold something else under the same name, so a shape that the layer would not give its
    weight tells nothing.
    """
    if isinstance(layer, nn.MultiheadAttention) and attribute == "in_proj_weight":
        return Fans(shape[1], shape[0] // 3)
    if isinstance(layer, nn.MultiheadAttention) and attribute in {"bias_k", "bias_v"}:
        # A key and a value that stand beside those that are computed, as the rows of an embedding do.
        return Fans(1, layer.embed_dim)
    if isinstance(layer, nn.RNNBase | nn.RNNCellBase) and attribute.startswith(("weight_ih", "weight_hh")):
        # Each gate is a matrix of its own, and they are stacked along the first dimension.
        return Fans(shape[1], layer.hidden_size)
    if attribute != "weight":
        return None
    if isinstance(layer, _Convolution) and shape == _kernel_shape(layer, layer.out_channels, layer.in_channels):
        # As in He et al., fan_out does not count that a stride reaches fewer outputs.
        receptive = prod(layer.kernel_size)
        return Fans(shape[1] * receptive, shape[0] // layer.groups * receptive)
    if isinstance(layer, _Transposed) and shape == _kernel_shape(layer, layer.in_channels, layer.out_channels):
        return Fans(_met_by_an_output(layer), shape[1] * prod(layer.kernel_size))
    if isinstance(layer, nn.Embedding | nn.EmbeddingBag) and shape == (layer.num_embeddings, layer.embedding_dim):
        # A row is looked up: an output is one element of it, and nothing is added up. A bag adds up as many as it is
        # given, which the layer does not know.
        return Fans(1, layer.embedding_dim)
    if isinstance(layer, nn.LayerNorm | nn.RMSNorm):
        return Fans(1, 1)
    return None


def _kernel_shape(layer: _Convolution | _Transposed, first: int, second: int) -> Shape:
    return first, second // layer.groups, *layer.kernel_size


def _met_by_an_output(layer: _Transposed) -> int:
    """Return how many products an output of a transposed convolution sums up, on average over the outputs.

    With a stride of s, an output meets one in s of the kernel's taps in that direction.
    """
    taps = prod(max(size / stride, 1) for size, stride in zip(layer.kernel_size, layer.stride, strict=True))
    return max(round(layer.in_channels // layer.groups * taps), 1)
