"""What a parameter is: plain records that every source yields and every report is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol, TypeAlias

Shape: TypeAlias = tuple[int, ...]
Kind: TypeAlias = Literal["parameter", "buffer", "tensor"]
NestedValues: TypeAlias = "bool | int | float | Mapping[str, float | None] | list[NestedValues] | None"

ITEM_SIZES: Mapping[str, int] = MappingProxyType(
    {
        **dict.fromkeys(("float64", "int64", "uint64", "complex64"), 8),
        **dict.fromkeys(("float32", "int32", "uint32", "complex32", "qint32"), 4),
        **dict.fromkeys(("float16", "bfloat16", "int16", "uint16", "bits16"), 2),
        **dict.fromkeys(("int8", "uint8", "bool", "float4_e2m1fn_x2", "float8_e8m0fnu"), 1),
        **dict.fromkeys(("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"), 1),
        **dict.fromkeys(("qint8", "quint8", "quint4x2", "quint2x4", "bits8", "bits1x8", "bits2x4", "bits4x2"), 1),
        **{f"{kind}{bits}": 1 for kind in ("int", "uint") for bits in range(1, 8)},
        "complex128": 16,
    }
)
"""Bytes of one element, by the canonical name of the dtype (torch's own name without ``torch.``)."""


class Precision(NamedTuple):
    """The machine epsilon of a floating dtype, and its smallest positive number."""

    epsilon: float
    smallest: float


FLOATING_DTYPES: Mapping[str, Precision] = MappingProxyType(
    {
        "float64": Precision(2.0**-52, 2.0**-1074),
        "float32": Precision(2.0**-23, 2.0**-149),
        "float16": Precision(2.0**-10, 2.0**-24),
        "bfloat16": Precision(2.0**-7, 2.0**-133),
        "float8_e4m3fn": Precision(2.0**-3, 2.0**-9),
        "float8_e4m3fnuz": Precision(2.0**-3, 2.0**-10),
        "float8_e5m2": Precision(2.0**-2, 2.0**-16),
        "float8_e5m2fnuz": Precision(2.0**-2, 2.0**-17),
    }
)
"""The dtypes that a model's floating parameters can be cast to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """How many finite elements of a tensor lie between one edge and the next.

    Bin i holds edges[i] ≤ x < edges[i + 1], and the last one its upper edge too. The bins have one width, a power of
    two, and their edges are its multiples; equal elements are one bin without a width, and of no element there is none.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]


class Statistics(NamedTuple):
    """What one pass over a tensor's elements tells.

    `mean`, `std` (of the population, correction=0), `min` and `max` are over the finite elements and None where there
    is none; `norm` is their L2 norm; `zeros`, `nan` and `inf` count elements; `histogram` counts the finite ones by
    their size, where that was asked for.
    """

    mean: float | None
    std: float | None
    min: float | None
    max: float | None
    norm: float
    zeros: int
    nan: int
    inf: int
    histogram: Histogram | None = None

    @property
    def is_finite(self) -> bool:
        """Whether all elements are."""
        return not (self.nan or self.inf)


class Values(Protocol):
    """The elements of a tensor, without the tensor library."""

    def nested(self) -> NestedValues:
        """Return all elements, nested like the shape; a number for a scalar; None for what is not finite."""

    def text(self) -> str:
        """Return the elements as torch prints them: a large tensor is summarised."""


class StorageSpan(NamedTuple):
    """The memory that the elements of a strided tensor take, so that sharing is arithmetic without torch.

    Attributes:
        storage: the number of its storage, counted from 0 in model order.
        offset: its first element, in elements from the start of the storage.
        strides: the elements between two neighbours, for each dimension of its shape.
        itemsize: the bytes of an element.
        storage_nbytes: the bytes of the whole storage; None where nobody tells.
        base: the bytes between what `offset` counts from and the start of the storage of this number; other than 0 only
            where memory that several storages of torch's lie in counts as one.

    """

    storage: int
    offset: int
    strides: tuple[int, ...]
    itemsize: int
    storage_nbytes: int | None = None
    base: int = 0


class ParameterRecord(NamedTuple):
    """One distinct tensor of a model, whatever the number of its names.

    A named tuple, since a model may have millions and a frozen dataclass takes five times as long to make.

    Attributes:
        name: its first name in model order, dotted.
        module: the path of the module that owns it under that name; "" for the root.
        module_type: that module's class; None in a checkpoint.
        kind: how the module holds it.
        shape: its sizes, outermost dimension first.
        dtype: the canonical name of its element type.
        requires_grad: whether backward fills its gradient; None in a checkpoint.
        aliases: its other names, in model order.
        owners: how many distinct (module object, attribute) pairs hold it; 1 with aliases means that one module is used
            several times, more means that several modules share the tensor.
        stats: its statistics, where they were asked for.
        values: its elements, where they were asked for.
        span: the memory of its elements, where it was asked for and there is any: a sparse tensor has none.

    """

    name: str
    module: str
    module_type: str | None
    kind: Kind
    shape: Shape
    dtype: str
    requires_grad: bool | None
    aliases: tuple[str, ...] = ()
    owners: int = 1
    stats: Statistics | None = None
    values: Values | None = None
    span: StorageSpan | None = None

    @property
    def numel(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes that the elements take."""
        return prod(self.shape) * ITEM_SIZES[self.dtype]

    @property
    def histogram(self) -> Histogram | None:
        """The histogram of its elements, where it was asked for."""
        return None if self.stats is None else self.stats.histogram

    @property
    def names(self) -> tuple[str, ...]:
        """All names, the first one first."""
        return (self.name, *self.aliases)


class ModuleRecord(NamedTuple):
    """One place of a module in a model.

    Attributes:
        path: its path; "" for the root.
        type_name: its class; None in a checkpoint.
        same_as: the path at which the same object was met before.
    """

    path: str
    type_name: str | None
    same_as: str | None = None


def join(path: str, name: str) -> str:
    """Return the dotted path of what stands under a name in the module at `path`."""
    return f"{path}.{name}" if path else name


class UnregisteredRecord(NamedTuple):
    """An attribute of a module that holds tensors which are neither parameters nor buffers of the model.

    Attributes:
        name: its dotted name.
        module: the path of the module whose attribute it is; "" for the root.
        module_type: that module's class.
        holder: what it is: ``tensor``, or the type of the container.
        modules: how many modules there are in it, those inside of them aside.
        tensors: how many tensors there are in it, those of its modules included.
        shape: the shape of the tensor; None for a container.
        dtype: the dtype of the tensors; None where they differ.
        numel: the elements of all of them.
        fix: what would register them.
    """

    name: str
    module: str
    module_type: str
    holder: str
    modules: int
    tensors: int
    shape: Shape | None
    dtype: str | None
    numel: int
    fix: str


class Inventory(NamedTuple):
    """What a model holds, in model order.

    Attributes:
        parameters: one record per distinct Parameter object.
        buffers: one record per distinct buffer.
        modules: one record per place of a module, the root first.
        unregistered: what its modules hold besides; None where nobody looked, since no code of the user's is in it.
        unreadable: why the elements of a tensor are not what lies in its file, by the first of its names.
    """

    parameters: tuple[ParameterRecord, ...]
    buffers: tuple[ParameterRecord, ...]
    modules: tuple[ModuleRecord, ...]
    unregistered: tuple[UnregisteredRecord, ...] | None = None
    unreadable: Mapping[str, str] = MappingProxyType({})
