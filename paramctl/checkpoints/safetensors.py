"""A safetensors file -> what it holds, and where its elements lie, by its header alone."""

from __future__ import annotations

from functools import cache
from itertools import repeat
from pathlib import Path

from paramctl.checkpoints.ordering import in_model_order
from paramctl.checkpoints.reading import opened
from paramctl.checkpoints.safetensors_header import Header, read_header
from paramctl.checkpoints.stored import Checkpoint, Piece, contiguous_piece
from paramctl.records import ParameterRecord


def records_of(header: Header) -> list[ParameterRecord]:
    """Return the records of a file's tensors, in its order."""
    modules = [name.rpartition(".")[0] for name in header.names]
    nothing, tensor = repeat(None), repeat("tensor")
    columns = (header.names, modules, nothing, tensor, header.shapes, header.dtypes, nothing)
    records = list(map(ParameterRecord, *columns))
    ties = header.ties()
    if not ties:
        return records
    tied = ((record, tuple(ties.get(record.name, ()))) for record in records)
    return [record._replace(aliases=others, owners=1 + len(others)) for record, others in tied]


def read_file(path: Path, name: str) -> Checkpoint:
    """Read what a file holds.

    Args:
        path: the file.
        name: what messages call it.

    Raises:
        ParamctlError: naming what is wrong with it, at which byte or of which tensor.

    """
    with opened(path, name) as file:
        header = read_header(file)
    records = in_model_order(records_of(header), len(set(header.dtypes)))

    @cache
    def places() -> dict[str, int]:  # a listing asks for none
        return {each: i for i, each in enumerate(header.names)}

    def locate(tensor: str) -> tuple[Piece, ...]:
        i = places()[tensor]
        return (contiguous_piece(path, header.starts[i], header.shapes[i], header.dtypes[i]),)

    return Checkpoint(records=records, locate=locate)
