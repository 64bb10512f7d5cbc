"""Tensors -> the memory that they lie in: the address and the size of each storage, and which of them meet."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from itertools import compress, islice, starmap
from operator import add, eq, le
from typing import NamedTuple

import torch

_ADDRESS_BITS = 64
"""Addresses are those of a device; above these bits stands which."""


class Memory(NamedTuple):
    """Where tensors lie.

    Attributes:
        keys: the `id()` of each tensor that has a storage. These lists are no dicts, since each access to a dict of a
            million addresses waits for memory.
        addresses: the address of each one's storage; negative, and no address, where no memory stands behind it.
        sizes: the bytes of that storage.
        odd: the tensors that are not all elements of their storage, each once and in order.
        without: the tensors that have no storage.
    """

    keys: list[int]
    addresses: list[int]
    sizes: list[int]
    odd: set[int]
    without: list[torch.Tensor]

    def storages(self, wanted: Container[int]) -> dict[int, Region]:
        """Return the storages of those tensors that are wanted."""
        every = zip(self.keys, self.addresses, self.sizes, strict=True)
        return {key: Region(address, nbytes) for key, address, nbytes in every if key in wanted}


class Region(NamedTuple):
    """Memory that one storage, or several that meet, lie in."""

    start: int
    nbytes: int


def storages_of(ids: Iterable[int], tensors: Iterable[torch.Tensor]) -> Memory:
    """Return where tensors lie; `ids` are the `id()` of each."""
    keys, addresses, sizes, odd, without = memory = Memory([], [], [], set(), [])
    for key, tensor in zip(ids, tensors, strict=True):
        try:
            storage = tensor.untyped_storage()
            address = storage.data_ptr()
        except RuntimeError:  # a sparse tensor, or a wrapper around others, has none
            without.append(tensor)
            continue
        if not address:  # on meta, or empty: the description of the storage tells it from others
            address = -storage._cdata  # noqa: SLF001  torch has no public identity of a storage
        elif not tensor.is_cpu:
            address += (tensor.get_device() + 1) << _ADDRESS_BITS
        keys.append(key)
        addresses.append(address)
        nbytes = storage.nbytes()
        sizes.append(nbytes)
        if nbytes != tensor.nbytes or not tensor.is_contiguous():
            odd.add(key)
    return memory


def find_meeting(tensors: Mapping[int, torch.Tensor]) -> set[int]:
    """Return, of tensors by their `id()`, those whose storage is another one's too, or meets it in memory."""
    memory = storages_of(tensors.keys(), tensors.values())
    met = repeated_in(memory.addresses) | regions_of(memory.addresses, memory.sizes).keys()
    return {key for key, address in zip(memory.keys, memory.addresses, strict=True) if address in met}


def regions_of(addresses: Sequence[int], sizes: Sequence[int]) -> dict[int, Region]:
    """Return, by the address of each storage that meets another one, the memory that they lie in.

    Arrays of other libraries become storages of torch's that know nothing of each other.
    """
    if min(addresses, default=0) < 0:
        pairs = [(start, nbytes) for start, nbytes in zip(addresses, sizes, strict=True) if start > 0]
        addresses, sizes = [start for start, _ in pairs], [nbytes for _, nbytes in pairs]
    if _are_apart(addresses, sizes):
        return {}
    storages = sorted(zip(addresses, sizes, strict=True))
    regions: list[list[tuple[int, int]]] = []
    end = 0
    for storage in storages:
        if storage[0] >= end:
            regions.append([storage])
        elif storage != regions[-1][-1]:
            regions[-1].append(storage)
        end = max(end, sum(storage))
    found: dict[int, Region] = {}
    for region in regions:
        if len(region) > 1:
            start, _ = region[0]
            whole = Region(start, max(starmap(add, region)) - start)
            found |= dict.fromkeys([address for address, _ in region], whole)
    return found


def _are_apart(starts: Sequence[int], sizes: Sequence[int]) -> bool:
    """Tell whether no memory meets another one: whenever one begins, all that began before have ended."""
    ends = sorted(map(add, starts, sizes))
    return all(map(le, ends, islice(sorted(starts), 1, None)))


def repeated_in(numbers: list[int]) -> set[int]:
    """Return the numbers that are there more than once; those of objects made in a row are all but sorted."""
    ordered = sorted(numbers)
    return set(compress(ordered, map(eq, ordered, islice(ordered, 1, None))))
