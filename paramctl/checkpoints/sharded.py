"""An index and the files that it names -> what they hold together; each tensor must stand where the index says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from paramctl.checkpoints.ordering import in_model_order
from paramctl.checkpoints.reading import OpenFile, clipped, opened
from paramctl.checkpoints.stored import Checkpoint, Piece, record_of
from paramctl.checkpoints.strict_json import check_keys, kind, parse_object
from paramctl.errors import ParamctlError, Problem, failure
from paramctl.records import ParameterRecord, StorageSpan

MAX_INDEX: Final = 100_000_000
"""The longest index, in bytes, that is read; that of a file with a million names takes as much."""
MAX_SHARDS: Final = 100_000
"""The most files of an index: their usual names have five digits."""


def read_sharded(path: Path, name: str, read_shard: Callable[[Path, str], Checkpoint]) -> Checkpoint:
    """Read an index and the headers of its files.

    Args:
        path: the index, a JSON file whose `weight_map` names the file of each tensor.
        name: what messages call it.
        read_shard: reads one of the files.

    Raises:
        ParamctlError: if the index or a file is wrong or missing, or a tensor is not where the index says.

    """
    with opened(path, name) as file:
        if file.size > MAX_INDEX:
            raise file.wrong(f"the index has {file.size:,} bytes; {MAX_INDEX:,} are read")
        weight_map = _weight_map(file)
    shards = _read_shards(path, weight_map, read_shard)
    listed = _listed(name, weight_map, shards)
    notes = [note for shard in shards.values() for note in shard.notes]
    unlisted = sum(len(each.records) for each in shards.values()) - len(listed)
    if unlisted:
        notes.append(f"not shown, since {name} does not list them: tensors in its files, {unlisted:,} in number")
    places = {each.record.name: each for each in listed}

    def locate(tensor: str) -> Sequence[Piece]:
        return shards[places[tensor].shard].locate(places[tensor].first)

    records = in_model_order([each.record for each in listed])
    reasons = ((each.record.name, shards[each.shard].unreadable.get(each.first)) for each in listed)
    return Checkpoint(
        records=records,
        locate=locate,
        spans=lambda: _spans(records, places, shards),
        unreadable={each: why for each, why in reasons if why is not None},
        notes=tuple(dict.fromkeys(notes)),
    )


class _Listed(NamedTuple):
    """A tensor of an index: its record, its file, and the first of its names in that file."""

    record: ParameterRecord
    shard: str
    first: str


def _listed(name: str, weight_map: Mapping[str, str], shards: Mapping[str, Checkpoint]) -> list[_Listed]:
    """Return the tensors that an index lists, in its order.

    Of the names that a tensor has in its file, those count which the index does not give to another file.

    Raises:
        ParamctlError: if a tensor is not in the file that the index says, or a name is that of two tensors.

    """
    held = {shard: {key: record for record in each.records for key in record.names} for shard, each in shards.items()}
    _check_places(name, weight_map, held)
    found = {(shard, held[shard][tensor].name): held[shard][tensor] for tensor, shard in weight_map.items()}
    owners = dict(weight_map)
    listed: list[_Listed] = []
    for (shard, first), record in found.items():
        for each in record.names:
            if owners.setdefault(each, shard) != shard and each not in weight_map:
                message = f"{owners[each]} and {shard} both have this name, and the index does not list it"
                raise failure(message, where=name, path=clipped(each))
        names = [each for each in record.names if owners.get(each) == shard]
        if tuple(names) != record.names:
            record = record_of(names[0], record.shape, record.dtype, tuple(names[1:]))  # noqa: PLW2901  the same tensor
        listed.append(_Listed(record, shard, first))
    return listed


def _spans(
    records: Sequence[ParameterRecord], places: Mapping[str, _Listed], shards: Mapping[str, Checkpoint]
) -> Mapping[str, StorageSpan | None]:
    """Return the memory of every name; each file has storages of its own."""
    told = {shard: each.spans() for shard, each in shards.items()}
    numbers: dict[tuple[str, int], int] = {}
    spans: dict[str, StorageSpan | None] = {}
    for record in records:
        _, shard, first = places[record.name]
        span = told[shard].get(first)
        if span is not None:
            span = span._replace(storage=numbers.setdefault((shard, span.storage), len(numbers)))
        spans |= dict.fromkeys(record.names, span)
    return spans


def _weight_map(file: OpenFile) -> dict[str, str]:
    """Return the file of each tensor, in the order of the index."""
    members = dict(parse_object(file, file.read(0, file.size), 0, "the index"))
    pairs = members.get("weight_map")
    if not isinstance(pairs, tuple):
        told = "has no 'weight_map'" if "weight_map" not in members else f"has {kind(pairs)} as 'weight_map'"
        raise file.wrong(f"the index {told}; it names the file of each tensor there")
    check_keys(file, pairs, "the index")
    for tensor, shard in pairs:
        if not isinstance(shard, str):
            raise file.wrong(f"its file is {kind(shard)}, not a text", tensor=tensor)
    shards = dict.fromkeys(shard for _, shard in pairs)
    if len(shards) > MAX_SHARDS:
        raise file.wrong(f"the index names {len(shards):,} files; {MAX_SHARDS:,} are read")
    for shard in shards:
        if not is_beside(shard) or shard.endswith(".json"):
            tensor = next(tensor for tensor, each in pairs if each == shard)
            right = "no index names another" if is_beside(shard) else "the files of an index lie beside it or below"
            raise file.wrong(f"its file is {shard!r}: {right}", tensor=tensor)
    return dict(pairs)


def is_beside(shard: str) -> bool:
    """Tell whether a path leads nowhere but into the directory that it is relative to."""
    path = PurePosixPath(shard)
    parts = path.parts
    return bool(parts) and not path.is_absolute() and ".." not in parts and not set(shard) & {"\\", ":", "\0"}


def _read_shards(
    path: Path, weight_map: Mapping[str, str], read_shard: Callable[[Path, str], Checkpoint]
) -> dict[str, Checkpoint]:
    """Read every file once.

    Raises:
        ParamctlError: naming every file that is missing, or that is wrong.

    """
    problems: list[Problem] = []
    shards: dict[str, Checkpoint] = {}
    for shard in dict.fromkeys(weight_map.values()):
        try:
            shards[shard] = read_shard(path.parent / shard, str(path.parent / shard))
        except ParamctlError as error:
            problems += error.problems
    if problems:
        raise ParamctlError(*problems)
    return shards


def _check_places(name: str, weight_map: Mapping[str, str], held: Mapping[str, Mapping[str, ParameterRecord]]) -> None:
    lost = [tensor for tensor, shard in weight_map.items() if tensor not in held[shard]]
    if not lost:
        return
    found = {tensor: shard for shard, names in held.items() for tensor in names}
    problems = []
    for tensor in lost:
        where = f"; it is in {found[tensor]}" if tensor in found else ""
        message = f"there is no such tensor in {weight_map[tensor]}{where}"
        problems.append(Problem(message=clipped(message), where=name, path=clipped(tensor)))
    raise ParamctlError(*problems)
