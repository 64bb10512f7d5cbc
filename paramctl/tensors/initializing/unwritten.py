"""Which elements of a module's parameters no code has written since their memory was allocated.

While constructors run, fresh memory is filled with a mark: a NaN whose payload no arithmetic makes. What is written
loses it, however it is written: through a view, `.data`, `out=`, NumPy, a pointer. So what still has the mark at the
end was never written, or was computed from what was not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode


class _Mark(NamedTuple):
    """The bits of a mark, as an integer of the same size."""

    dtype: torch.dtype
    bits: int


_MARKS: Final[Mapping[torch.dtype, _Mark]] = MappingProxyType(
    {
        torch.float64: _Mark(torch.int64, 0x7FF9_A3C7_5E1B_2D4F),
        torch.float32: _Mark(torch.int32, 0x7FE5_A3C7),
        torch.float16: _Mark(torch.int16, 0x7ED5),
        torch.bfloat16: _Mark(torch.int16, 0x7FD5),
    }
)
"""By the dtype, of a complex one by that of its parts. Smaller ones have no NaN to spare, and integers none at all."""
_ALLOCATING: Final = frozenset(
    getattr(torch.ops.aten, name)
    for name in ("empty", "empty_like", "empty_permuted", "empty_strided", "new_empty", "new_empty_strided")
)
_CONVERTING: Final = torch.ops.aten._to_copy  # noqa: SLF001  the operator behind `Tensor.to`
_CHUNK: Final = 1 << 20
"""Elements that are compared with the mark at a time, since the result takes memory too."""


class FreshMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Marks what this thread allocates on the CPU while the mode is entered; what can hold no mark is zeroed.

    In the end `release` zeroes the marks that are left, so that no value depends on what memory held before.
    `allocated` is told of each tensor before its memory is touched, and may refuse it.
    """

    def __init__(self, allocated: Callable[[torch.Tensor], None] = lambda _: None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self._allocated = allocated
        self._marked: list[tuple[StorageWeakRef, torch.dtype]] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Leave torch.compile alone: else torch imports it, for a second and a half, at the first operator."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call an operator, and mark what it has allocated and not written."""
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket in _ALLOCATING and _has_memory(result):
            self._allocated(result)
            self._mark(result)
        elif func.overloadpacket is _CONVERTING and _has_memory(args[0]) and _has_memory(result):
            self._keep_marks(args[0], result)
        return result

    def release(self, module: nn.Module) -> dict[int, int]:
        """Zero every mark, and return how many elements of each parameter had one, by the parameter's `id()`."""
        marked = [(each, count) for each in (*module.parameters(), *module.buffers()) if (count := _count(each))]
        for tensor, _ in marked:
            _erase(tensor.untyped_storage(), tensor.dtype.to_real())
        for reference, dtype in self._marked:
            storage = torch.UntypedStorage._new_with_weak_ptr(reference.cdata)  # noqa: SLF001
            if storage is not None:
                _erase(storage, dtype)
        return {id(tensor): count for tensor, count in marked if isinstance(tensor, nn.Parameter)}

    def _mark(self, fresh: torch.Tensor) -> None:
        dtype = fresh.dtype.to_real()
        if dtype in _MARKS:
            _integers(fresh).fill_(_MARKS[dtype].bits)
            self._remember(fresh)
        else:
            _whole(fresh.untyped_storage(), torch.uint8).zero_()

    def _keep_marks(self, source: torch.Tensor, result: torch.Tensor) -> None:
        """Mark what a conversion to another dtype has made of marks: it keeps no payload."""
        if source.dtype == result.dtype or source.is_complex() != result.is_complex() or not _count(source):
            return
        places = _integers(source) == _MARKS[source.dtype.to_real()].bits
        if result.dtype.to_real() in _MARKS:
            _integers(result)[places] = _MARKS[result.dtype.to_real()].bits
            self._remember(result)
        else:
            result[places] = 0

    def _remember(self, marked: torch.Tensor) -> None:
        reference = StorageWeakRef(marked.untyped_storage())  # type: ignore[no-untyped-call]  # as above
        self._marked.append((reference, marked.dtype.to_real()))


def _has_memory(value: object) -> bool:
    """Tell whether a value is a plain tensor in memory: one of a class of its own may keep its elements elsewhere."""
    return (
        isinstance(value, torch.Tensor)
        and type(value) in {torch.Tensor, nn.Parameter}
        and value.device.type == "cpu"
        and value.layout is torch.strided
        and not value.is_quantized
    )


def _integers(tensor: torch.Tensor) -> torch.Tensor:
    """Return the bits of a tensor's numbers; those of a complex one stand along a last dimension."""
    numbers = torch.view_as_real(tensor.detach().resolve_conj()) if tensor.is_complex() else tensor.detach()
    return numbers.view(_MARKS[numbers.dtype].dtype)


def _count(tensor: torch.Tensor) -> int:
    """Count the elements that are marked, of a complex one also those whose one part is."""
    if not _has_memory(tensor) or tensor.dtype.to_real() not in _MARKS:
        return 0
    bits, parts = _MARKS[tensor.dtype.to_real()].bits, 2 if tensor.is_complex() else 1
    chunks = torch.split(_integers(tensor).reshape(-1, parts), _CHUNK)
    return sum(int((chunk == bits).any(dim=1).sum()) for chunk in chunks)


def _erase(storage: torch.UntypedStorage, dtype: torch.dtype) -> None:
    """Zero the marks in a storage that holds numbers of a dtype; memory without any is not written."""
    for chunk in torch.split(_whole(storage, _MARKS[dtype].dtype), _CHUNK):
        places = chunk == _MARKS[dtype].bits
        if places.any():
            chunk[places] = 0


def _whole(storage: torch.UntypedStorage, dtype: torch.dtype) -> torch.Tensor:
    """Return the memory of a storage as a vector of a dtype."""
    return torch.empty(0, dtype=dtype, device="cpu").set_(storage, 0, (storage.nbytes() // dtype.itemsize,), (1,))
