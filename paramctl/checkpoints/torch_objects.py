"""The names in a pickle of torch.save -> what stands for each: tensors, placeholders, or nothing that is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from paramctl.checkpoints.harmless import DISTRIBUTED_TENSORS, HARMLESS
from paramctl.checkpoints.pickle_values import Call, Global, PickleError, key_of
from paramctl.checkpoints.stored import MAX_DIMENSIONS, contiguous_strides, span_of
from paramctl.records import ITEM_SIZES, Shape

_LARGEST: Final = 2**63 - 1


class Storage(NamedTuple):
    """A storage that a pickle refers to: its bytes, and those before this view of it (in legacy files alone)."""

    key: str
    dtype: str
    nbytes: int
    first: int = 0


class Tensor(NamedTuple):
    """A tensor in a pickle; two that are equal are the same elements.

    Attributes:
        storage: what its elements lie in; None for one without elements of its own, or that is not strided.
        offset: the number of its first element.
        shape: its sizes.
        strides: the steps between its elements.
        dtype: its dtype.
        unreadable: why its elements are not what lies in the storage; None where they are.

    """

    storage: Storage | None
    offset: int
    shape: Shape
    strides: Shape
    dtype: str
    unreadable: str | None = None


_STORAGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
        "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
        "ByteStorage": "uint8", "BoolStorage": "bool", "ComplexDoubleStorage": "complex128",
        "ComplexFloatStorage": "complex64", "QUInt8Storage": "quint8", "QInt8Storage": "qint8",
        "QInt32Storage": "qint32", "QUInt4x2Storage": "quint4x2", "QUInt2x4Storage": "quint2x4",
        "UntypedStorage": "uint8",
    }
)  # fmt: skip
"""The dtype of each class of storages."""

_SCHEMES: Final = frozenset(
    {
        "per_tensor_affine", "per_channel_affine", "per_tensor_symmetric", "per_channel_symmetric",
        "per_channel_affine_float_qparams", "strided", "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr",
        "sparse_bsc", "contiguous_format", "channels_last", "channels_last_3d", "preserve_format",
    }
)  # fmt: skip
"""Constants of torch that a pickle may name."""


def is_known(name: Global) -> bool:
    """Tell whether a pickle of torch.save may have a name."""
    return name in CALLS or str(name) in HARMLESS or dtype_named(name) is not None or _is_constant(name)


def dtype_named(name: object) -> str | None:
    """Return the dtype that a name in a pickle means, if it means one."""
    known = isinstance(name, Global) and name.module == "torch" and name.name in ITEM_SIZES
    return name.name if known and isinstance(name, Global) else None


def _is_constant(name: Global) -> bool:
    return (name.module in {"torch", "torch.storage"} and name.name in _STORAGES) or (
        name.module == "torch" and name.name in _SCHEMES
    )


def storage(identifier: Any) -> Storage:
    """Return the storage that a persistent id means, in the form of either of torch's containers.

    Raises:
        PickleError: if it means none.

    """
    match identifier:
        case ("storage", Global() as kind, str() as key, _, int() as numel, *view) if len(view) <= 1:
            dtype = _STORAGES.get(kind.name)
        case _:
            dtype = None
    if dtype is None:
        raise PickleError("a persistent id names no storage")
    if not 0 <= numel <= _LARGEST:
        raise PickleError(f"the storage {key!r} has no number of elements")
    itemsize = ITEM_SIZES[dtype]
    if not view or view[0] is None:
        return Storage(key, dtype, numel * itemsize)
    match view[0]:
        case (str(), int() as first, int() as size) if first >= 0 and size >= 0 and first + size <= numel:
            return Storage(key, dtype, size * itemsize, first * itemsize)
        case _:
            raise PickleError(f"a view of the storage {key!r} is none")


def sizes(given: Any, what: str) -> Shape:
    """Return sizes, strides or offsets as they stand in a pickle.

    Raises:
        PickleError: if they are none, or if the sizes of a shape overflow 64 bits.

    """
    if type(given) is not tuple or any(type(size) is not int or not 0 <= size <= _LARGEST for size in given):
        raise PickleError(f"the {what} of a tensor are no tuple of sizes")
    if len(given) > MAX_DIMENSIONS:
        raise PickleError(f"a tensor has {len(given):,} dimensions; torch takes {MAX_DIMENSIONS}")
    product = 1
    for size in given if what == "shape" else ():
        product *= max(size, 1)
        if product > _LARGEST:
            raise PickleError("the sizes of a tensor overflow 64 bits")
    return given


def _strided(held: Any, offset: Any, shape: Any, strides: Any, dtype: str | None, unreadable: str | None) -> Tensor:
    if not isinstance(held, Storage):
        raise PickleError("a tensor lies in no storage")
    shape, strides = sizes(shape, "shape"), sizes(strides, "strides")
    if len(shape) != len(strides):
        raise PickleError(f"a tensor has {len(shape)} sizes and {len(strides)} strides")
    if type(offset) is not int or offset < 0:
        raise PickleError("the offset of a tensor is no number of elements")
    kind = held.dtype if dtype is None else dtype
    span = span_of(shape, strides)
    if span and (offset + span) * ITEM_SIZES[kind] > held.nbytes:
        raise PickleError(
            f"a tensor of {list(shape)[:16]} reaches byte {(offset + span) * ITEM_SIZES[kind]:,} of the storage "
            f"{held.key!r}, which has {held.nbytes:,}"
        )
    return Tensor(held, offset, shape, strides, kind, unreadable)


def _tensor(
    held: Any, offset: Any, shape: Any, strides: Any, _grad: Any = False, _hooks: Any = None, metadata: Any = None
) -> Tensor:
    return _strided(held, offset, shape, strides, None, _flipped(metadata))


def _tensor_of_dtype(
    held: Any, offset: Any, shape: Any, strides: Any, _grad: Any, _hooks: Any, dtype: Any, metadata: Any = None
) -> Tensor:
    return _strided(held, offset, shape, strides, _dtype(dtype), _flipped(metadata))


def _dtype(name: Any) -> str:
    dtype = dtype_named(name)
    if dtype is None:
        raise PickleError("the dtype of a tensor is none that torch has")
    return dtype


def _flipped(metadata: Any) -> str | None:
    if isinstance(metadata, dict) and (metadata.get("conj") or metadata.get("neg")):
        stored = "conjugate" if metadata.get("conj") else "negative"
        return f"its file holds its {stored}: it was a lazy view as it was saved"
    return None


def _quantized(held: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    return _strided(held, offset, shape, strides, None, "it is quantized")


def _distributed(kind: Any, dtype: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    if not isinstance(kind, Global) or str(kind) not in DISTRIBUTED_TENSORS:
        raise PickleError("what wraps a tensor is no DTensor")
    steps = sizes(strides, "strides")
    return Tensor(None, 0, sizes(shape, "shape"), steps, _dtype(dtype), "its file holds the part of one process")


def _meta(dtype: Any, shape: Any, strides: Any, _grad: Any) -> Tensor:
    steps = sizes(strides, "strides")
    return Tensor(None, 0, sizes(shape, "shape"), steps, _dtype(dtype), "it is on the meta device")


def _sparse(_layout: Any, data: Any) -> Tensor:
    tensors = [each for each in data if isinstance(each, Tensor)] if isinstance(data, tuple) else []
    shapes = [each for each in data if type(each) is tuple] if isinstance(data, tuple) else []
    if not tensors or not shapes:
        raise PickleError("a sparse tensor has no values or no sizes")
    shape = sizes(shapes[-1], "shape")
    return Tensor(None, 0, shape, contiguous_strides(shape), tensors[-1].dtype, "it is sparse")


def _first(data: Any, *_: Any) -> Any:
    return data


def _rebuilt(function: Any, _kind: Any, arguments: Any, _state: Any) -> Any:
    """Return the tensor that a tensor with attributes, or of a subclass, was."""
    known = isinstance(function, Global) and CALLS.get(function) not in {None, _rebuilt}
    if not known or type(arguments) is not tuple:
        told = function if isinstance(function, Global) else "what is to rebuild a tensor"
        raise PickleError(f"{told} rebuilds no tensor that is known")
    return CALLS[function](*arguments)


def _ordered(pairs: Any = ()) -> dict[Any, Any]:
    made: dict[Any, Any] = dict(pairs) if isinstance(pairs, dict) else {}
    for pair in pairs if isinstance(pairs, list | tuple) else ():
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise PickleError("an OrderedDict is not made of pairs")
        made[key_of(pair[0])] = pair[1]
    return made


def _with_default(_factory: Any = None, pairs: Any = ()) -> dict[Any, Any]:
    return _ordered(pairs)


def _size(given: Any = ()) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, list | tuple) else ()


CALLS: Final[Mapping[Global, Call]] = MappingProxyType(
    {
        Global("torch._utils", "_rebuild_tensor"): _tensor,
        Global("torch._utils", "_rebuild_tensor_v2"): _tensor,
        Global("torch._utils", "_rebuild_tensor_v3"): _tensor_of_dtype,
        Global("torch._utils", "_rebuild_qtensor"): _quantized,
        Global("torch._utils", "_rebuild_sparse_tensor"): _sparse,
        Global("torch._utils", "_rebuild_meta_tensor_no_storage"): _meta,
        Global("torch._utils", "_rebuild_wrapper_subclass"): _distributed,
        Global("torch._utils", "_rebuild_parameter"): _first,
        Global("torch._utils", "_rebuild_parameter_with_state"): _first,
        Global("torch._tensor", "_rebuild_from_type_v2"): _rebuilt,
        Global("torch", "Size"): _size,
        Global("collections", "OrderedDict"): _ordered,
        Global("collections", "Counter"): _ordered,
        Global("collections", "defaultdict"): _with_default,
    }
)
"""What stands for the calls that tensors and dicts are made by."""


def unknown(names: Iterable[Global]) -> list[Global]:
    """Return the names that are no part of a checkpoint."""
    return [name for name in names if not is_known(name)]
