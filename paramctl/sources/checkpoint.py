"""A model that is a checkpoint: tensors under names, of which nothing is run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from paramctl.analysis.listing import ListOptions
from paramctl.checkpoints.directory import DCP_METADATA, find_checkpoint
from paramctl.checkpoints.kinds import SUFFIXES, read_checkpoint
from paramctl.checkpoints.stored import Checkpoint
from paramctl.errors import ParamctlError, failure, nearest
from paramctl.records import ParameterRecord
from paramctl.sources.protocols import Compared, Contents, Measurable, Surveyed
from paramctl.watching import Watch

_WEIGHTS = "--weights"


@dataclass(frozen=True, slots=True)
class CheckpointSource:
    """A checkpoint that was read; `model` is what the user typed for it."""

    model: str
    checkpoint: Checkpoint
    kind = "a checkpoint"
    title = None
    seed = 0

    def contents(self, *, dtype: str | None, buffers: bool, modules: bool) -> Contents:  # noqa: ARG002  it tells none
        """Tell what the checkpoint holds; see `Source`."""
        _check_dtype(dtype)
        return Contents(self.checkpoint.inventory(modules=modules), self.checkpoint.notes)

    def measurable(
        self,
        options: ListOptions,
        *,
        seed: int,  # noqa: ARG002  nothing is drawn
        dtype: str | None,
        watch: Watch,  # noqa: ARG002  nothing is read before it is asked for
    ) -> Measurable:
        """Get ready to read and measure the tensors; see `ValueSource`."""
        from paramctl.tensors.stored import measurer

        _check_dtype(dtype)
        held = self.checkpoint.inventory(modules=options.needs_modules)
        return Measurable(held, measurer(self.checkpoint, options), self.checkpoint.notes)

    def survey(self, *, dtype: str | None) -> Surveyed:
        """Tell what memory the tensors take once they are loaded; see `MemorySource`."""
        from paramctl.analysis.sharing import MemorySurvey

        _check_dtype(dtype)
        spans = self.checkpoint.spans()
        records = [record._replace(span=spans.get(record.name)) for record in self.checkpoint.records]
        order = {name: i for i, name in enumerate(spans)} or None
        return Surveyed(MemorySurvey(records=records, order=order), self.checkpoint.notes)

    def digests(self, records: Iterable[ParameterRecord]) -> Compared:
        """Read tensors, of which a few blocks are in memory at a time; see `MemorySource`."""
        from paramctl.tensors.sharing.stored_digests import digests_of_stored

        return Compared(*digests_of_stored(self.checkpoint, records))


def _check_dtype(dtype: str | None) -> None:
    if dtype is not None:
        hint = "leave it out: the tensors of a checkpoint have the dtypes that they were saved with"
        raise failure("a checkpoint is not cast", where="--dtype", hint=hint)


def open_checkpoint(path: Path, model: str, key: str | None = None) -> CheckpointSource:
    """Read what a checkpoint holds, without the elements of its tensors.

    Args:
        path: the file, or the metadata of a distributed checkpoint.
        model: what the user typed.
        key: the part of it that is wanted; None for the weights.

    Raises:
        ParamctlError: naming what is wrong with it, or what it would run.

    """
    name = model if str(path) == model else str(path)
    return CheckpointSource(model, read_checkpoint(path, name, key))


def open_weights(weights: str, key: str | None) -> Checkpoint:
    """Read a checkpoint that is to be loaded: a file, a directory, or a module that was pickled whole.

    Args:
        weights: the file or the directory, as typed.
        key: the part of it that is wanted; None for the weights.

    Raises:
        ParamctlError: if there is none, or naming what is wrong with it.

    """
    path = Path(weights)
    try:
        found = find_checkpoint(path, weights) if weights and path.is_dir() else path
        if found is None or not (found.name == DCP_METADATA or found.name.endswith(SUFFIXES)):
            hint = f"its name ends in {', '.join(SUFFIXES)}, or it is a directory that holds such a file"
            raise failure(f"{weights} is no checkpoint", where="MODEL", hint=hint)
        if not found.exists():
            beside = [each.name for each in found.parent.glob("*") if each.name.endswith(SUFFIXES)]
            raise failure(f"there is no file {weights}", where="MODEL", hint=nearest(found.name, beside))
        return read_checkpoint(found, str(found), key, with_modules=True)
    except OSError as error:
        raise failure(f"cannot read {weights}: {error.strerror}", where=_WEIGHTS) from error
    except ParamctlError as error:
        raise ParamctlError(
            *(replace(each, where=_WEIGHTS if each.where == "MODEL" else each.where) for each in error.problems)
        ) from error


def open_directory(directory: Path, model: str, key: str | None = None) -> CheckpointSource | None:
    """Read the checkpoint that a directory holds; None where it holds none.

    Raises:
        ParamctlError: if it holds several that fit alike, or as `open_checkpoint` does.

    """
    path = find_checkpoint(directory, model)
    return None if path is None else open_checkpoint(path, model, key)
