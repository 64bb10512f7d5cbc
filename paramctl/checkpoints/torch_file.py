"""A file of torch.save, in its zip or its older form -> the object in it, and where its storages lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

from paramctl.checkpoints.pickle_machine import Machine
from paramctl.checkpoints.pickle_opcodes import OPCODES
from paramctl.checkpoints.pickle_values import Call, Global, PickleError
from paramctl.checkpoints.pickled_modules import find_module, with_states
from paramctl.checkpoints.reading import OpenFile, clipped, opened
from paramctl.checkpoints.torch_objects import CALLS, Storage, storage, unknown
from paramctl.checkpoints.window import Window
from paramctl.checkpoints.zip_archive import SIGNATURE, Extent, ZipArchive, read_archive
from paramctl.errors import ParamctlError, failure
from paramctl.records import ITEM_SIZES

MAX_PICKLE: Final = 256 * 2**20
"""The longest pickle, in bytes, that is followed; tensors are not in it."""
_MAGIC: Final = 0x1950A86A20F9469CFC6C
_PROTOCOL: Final = 1001
_TAR: Final = (257, b"ustar")
_LENGTH: Final = 8
_LONGEST_NAME: Final = 80


class TorchFile(NamedTuple):
    """What a file holds: plain values, with the tensors among them; and the stretch of the file of each storage."""

    root: Any
    storages: Mapping[str, Extent]


def read_torch_file(path: Path, name: str, *, with_modules: bool = False) -> TorchFile:
    """Read what a file of torch.save holds; the elements of its tensors are not read, and nothing in it is run.

    Args:
        path: the file.
        name: what messages call it.
        with_modules: whether the state of a module that was pickled whole is taken, too. Its class is not imported.

    Raises:
        ParamctlError: naming what is wrong at which byte, what it would import, or what kind of file it is.

    """
    with opened(path, name) as file:
        return read_saved(file, with_modules=with_modules)


def read_saved(file: OpenFile, *, with_modules: bool = False) -> TorchFile:
    """Read what an open file holds; see `read_torch_file`."""
    if file.size == 0:
        raise file.wrong("the file is empty", byte=0)
    if file.read(0, 4) == SIGNATURE:
        return _read_zip(file, with_modules=with_modules)
    offset, magic = _TAR
    if file.read(offset, len(magic)) == magic:
        raise file.wrong(
            "it is a tar archive, as torch before 0.1.10 wrote: load and save it with a torch of that time"
        )
    return _read_legacy(file, with_modules=with_modules)


def _read_zip(file: OpenFile, *, with_modules: bool) -> TorchFile:
    archive = read_archive(file)
    if "constants.pkl" in archive.records:
        raise file.wrong("it is a TorchScript archive, which holds a program and no state dict")
    if "data.pkl" not in archive.records:
        raise file.wrong("the zip archive has no data.pkl: torch.save did not write it")
    _check_byte_order(file, archive)
    start, nbytes = archive.extent(file, "data.pkl")
    used: dict[str, Storage] = {}

    def load(identifier: Any) -> Storage:
        held = storage(identifier)
        if f"data/{held.key}" not in archive.records:
            raise PickleError(f"there is no record data/{held.key} for a storage")
        return _known(used, held)

    root = _follow(file, Window(file, start, start + nbytes), nbytes, load, with_modules=with_modules)
    storages = {key: archive.extent(file, f"data/{key}") for key in used}
    for key, held in used.items():
        if storages[key].nbytes < held.nbytes:
            message = f"the record has {storages[key].nbytes:,} bytes; its storage has {held.nbytes:,}"
            raise file.wrong(message, tensor=f"data/{key}")
    return TorchFile(root, storages)


def _known(used: dict[str, Storage], held: Storage) -> Storage:
    """Note a storage; of one that is referred to in several ways, the longest."""
    known = used.setdefault(held.key, held)
    if held.nbytes > known.nbytes:
        used[held.key] = held
    return held


def _check_byte_order(file: OpenFile, archive: ZipArchive) -> None:
    if "byteorder" in archive.records:
        start, nbytes = archive.extent(file, "byteorder")
        order = file.read(start, min(nbytes, 16))
        if order != b"little":
            raise file.wrong(f"its byte order is {order!r}; only little-endian files are read", byte=start)


def _read_legacy(file: OpenFile, *, with_modules: bool) -> TorchFile:
    """Read the form before torch 1.6: pickles one behind the other, then the storages in the order of their keys."""
    window = Window(file, 0, file.size)
    magic = _follow(file, window, MAX_PICKLE, _no_storage, "it is no file of torch.save: ")
    if magic != _MAGIC:
        raise file.wrong("it is a pickle, but not of torch.save", byte=0)
    if _follow(file, window, MAX_PICKLE, _no_storage) != _PROTOCOL:
        raise file.wrong("it is of a protocol of torch.save that is unknown", byte=window.position)
    system = _follow(file, window, MAX_PICKLE, _no_storage)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise file.wrong("only little-endian files are read", byte=window.position)
    used: dict[str, Storage] = {}

    def load(identifier: Any) -> Storage | Global:
        match identifier:
            case ("module", Global() as kind, _, _):  # the class of a pickled module, with its source
                return kind
        held = storage(identifier)
        whole = Storage(held.key, held.dtype, identifier[4] * ITEM_SIZES[held.dtype])
        _known(used, whole)
        return held

    root = _follow(file, window, MAX_PICKLE, load, with_modules=with_modules)
    keys = _follow(file, window, MAX_PICKLE, _no_storage)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or set(keys) != used.keys():
        raise file.wrong("the list of storages is not that of the tensors", byte=window.position)
    storages: dict[str, Extent] = {}
    start = window.position
    for key in keys:
        numel = int.from_bytes(file.read(start, _LENGTH), "little", signed=True)
        expected = used[key].nbytes
        if numel * ITEM_SIZES[used[key].dtype] != expected or start + _LENGTH + expected > file.size:
            raise file.wrong(f"the storage {key} is not {expected:,} bytes long, or the file ends in it", byte=start)
        storages[key] = Extent(start + _LENGTH, expected)
        start += _LENGTH + expected
    return TorchFile(root, storages)


def _no_storage(_: Any) -> NoReturn:
    raise PickleError("there is a storage where there is none in a file of torch.save")


def _follow(
    file: OpenFile,
    window: Window,
    nbytes: int,
    load: Call,
    otherwise: str = "",
    *,
    with_modules: bool = False,
) -> Any:
    """Follow one pickle, and refuse what it would import.

    Of a module that is taken apart, the classes do not matter, but functions that would be called do.

    Raises:
        ParamctlError: naming what is wrong at which byte, or what it would import.

    """
    root, machine, damage = follow(file, window, nbytes, CALLS, load, otherwise)
    taken_apart = with_modules and find_module(root) is not None
    refused = unknown(machine.called if taken_apart else machine.globals)
    if refused:
        raise refusal(file, machine.globals, refused) if taken_apart else _refusal(file, root, machine.globals, refused)
    if damage is not None:
        raise damage
    return with_states(root) if taken_apart else root


def follow(
    file: OpenFile, window: Window, nbytes: int, calls: Mapping[Global, Call], load: Call, otherwise: str = ""
) -> tuple[Any, Machine, ParamctlError | None]:
    """Follow one pickle; what it would import is for the caller to judge, before any damage that cut it short.

    Raises:
        ParamctlError: if it is longer than what is read.

    """
    start = window.position
    if nbytes > MAX_PICKLE:
        raise file.wrong(f"the pickle has {nbytes:,} bytes; {MAX_PICKLE:,} are read", byte=start)
    machine = Machine(window, calls, load)
    try:
        return machine.run(OPCODES), machine, None
    except PickleError as error:
        return None, machine, file.wrong(f"{otherwise}{error.message}", byte=error.byte)


def _refusal(file: OpenFile, root: Any, places: Mapping[Global, int], refused: list[Global]) -> ParamctlError:
    """Return the error for names that are no part of a checkpoint: a whole module, or whatever else would be run."""
    holder = find_module(root)
    if holder is None:
        return refusal(file, places, refused)
    key, module = holder
    where = "" if key is None else f" under {key!r}"
    message = f"it holds a pickled module of the class {module}{where}, not the state of one"
    hint = (
        f"name its class and load the state into it: paramctl list FILE.py:{module.name} --weights {file.name} --stats"
    )
    return failure(message, where=file.name, hint=hint)


def refusal(file: OpenFile, places: Mapping[Global, int], refused: Sequence[Global]) -> ParamctlError:
    """Return the error for names that are no part of a checkpoint, at the byte of the first."""
    first, *others = refused
    more = (
        f" (and {', '.join(str(each)[:_LONGEST_NAME] for each in others[:5])}{', …' if len(others) > 5 else ''})"
        if others
        else ""
    )
    message = (
        f"it would import {str(first)[:_LONGEST_NAME]}{more}, which is no part of a checkpoint; nothing of it was run"
    )
    hint = "save tensors and plain values alone, such as model.state_dict()"
    return failure(clipped(message), where=file.name, path=f"byte {file.base + places[first]:,}", hint=hint)
