"""An index and the files that it names -> what they hold together; each tensor must stand where the index says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from paramctl.checkpoints.ordering import in_model_order
from paramctl.checkpoints.reading import OpenFile, opened
from paramctl.checkpoints.stored import Checkpoint, Piece
from paramctl.checkpoints.strict_json import check_keys, kind, parse_object
from paramctl.errors import ParamctlError, Problem
from paramctl.records import ParameterRecord, StorageSpan

MAX_INDEX: Final = 100_000_000
"""The longest index, in bytes, that is read; that of a file with a million names takes as much."""


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
    held = {shard: {key: record for record in each.records for key in record.names} for shard, each in shards.items()}
    _check_places(name, weight_map, held)
    listed = {(shard, held[shard][tensor].name): held[shard][tensor] for tensor, shard in weight_map.items()}
    notes = [note for shard in shards.values() for note in shard.notes]
    unlisted = sum(len(each.records) for each in shards.values()) - len(listed)
    if unlisted:
        notes.append(f"not shown, since {name} does not list them: tensors in its files, {unlisted:,} in number")

    def locate(tensor: str) -> Sequence[Piece]:
        shard = weight_map[tensor]
        return shards[shard].locate(held[shard][tensor].name)

    records = in_model_order(list(listed.values()))
    return Checkpoint(
        records=records,
        locate=locate,
        spans=lambda: _spans(records, listed, shards),
        unreadable={each: why for shard in shards.values() for each, why in shard.unreadable.items()},
        notes=tuple(dict.fromkeys(notes)),
    )


def _spans(
    records: Sequence[ParameterRecord],
    listed: Mapping[tuple[str, str], ParameterRecord],
    shards: Mapping[str, Checkpoint],
) -> Mapping[str, StorageSpan | None]:
    """Return the memory of every name; each file has storages of its own."""
    told = {shard: each.spans() for shard, each in shards.items()}
    numbers: dict[tuple[str, int], int] = {}
    spans: dict[str, StorageSpan] = {}
    for (shard, first), record in listed.items():
        span = told[shard].get(first)
        if span is not None:
            number = numbers.setdefault((shard, span.storage), len(numbers))
            spans |= dict.fromkeys(record.names, span._replace(storage=number))
    return {name: spans.get(name) for record in records for name in record.names}


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
    for shard in dict.fromkeys(shard for _, shard in pairs):
        if not is_beside(shard):
            tensor = next(tensor for tensor, each in pairs if each == shard)
            raise file.wrong(f"its file is {shard!r}: the files of an index lie beside it or below", tensor=tensor)
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
    problems = []
    for tensor, shard in weight_map.items():
        if tensor not in held[shard]:
            other = next((each for each, names in held.items() if tensor in names), None)
            where = f"; it is in {other}" if other else ""
            problems.append(Problem(message=f"there is no such tensor in {shard}{where}", where=name, path=tensor))
    if problems:
        raise ParamctlError(*problems)
