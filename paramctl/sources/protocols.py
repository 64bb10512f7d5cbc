"""What a source can do: every one tells what its model holds; some tell the values, some build the model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from paramctl.analysis.listing import ListOptions, Measure
from paramctl.errors import failure
from paramctl.records import Inventory, ParameterRecord
from paramctl.watching import Watch

if TYPE_CHECKING:  # a listing looks for nothing that shares memory
    from paramctl.analysis.equality import Digests
    from paramctl.analysis.sharing import MemorySurvey
    from paramctl.tensors.building.built import BuiltModel


class Contents(NamedTuple):
    """What a model holds, and what the user should know besides."""

    held: Inventory
    notes: Sequence[str] = ()


class Measurable(NamedTuple):
    """What a model holds, what measures the values of each tensor, and what the user should know besides."""

    held: Inventory
    measure: Measure
    notes: Sequence[str] = ()


class Surveyed(NamedTuple):
    """The memory that a model's tensors take, and what the user should know besides."""

    survey: MemorySurvey
    notes: Sequence[str] = ()


class Compared(NamedTuple):
    """What stands for the values of tensors, and what the user should know besides."""

    digests: Digests
    notes: Sequence[str] = ()


@runtime_checkable
class Source(Protocol):
    """A MODEL that was opened. Opening and `contents` do without torch where the kind of MODEL allows it."""

    @property
    def model(self) -> str:
        """MODEL as the user typed it."""

    @property
    def kind(self) -> str:
        """What it is, with its article: ``a spec``."""

    @property
    def title(self) -> str | None:
        """What the model calls itself."""

    @property
    def seed(self) -> int:
        """The seed where none was typed."""

    def contents(self, *, dtype: str | None, buffers: bool, modules: bool) -> Contents:
        """Tell what the model holds; no value is computed or read.

        Args:
            dtype: what floating parameters are made as; None for what the model says.
            buffers: whether buffers are wanted; else none need be listed.
            modules: whether modules are wanted; else none need be listed.

        Raises:
            ParamctlError: if the model is wrong.

        """


@runtime_checkable
class ValueSource(Source, Protocol):
    """A source whose tensors have values."""

    def measurable(self, options: ListOptions, *, seed: int, dtype: str | None, watch: Watch) -> Measurable:
        """Get ready to measure the tensors; what is measured is what `options` says.

        What is measured before it is asked for is watched by `watch`.

        Raises:
            ParamctlError: if the model is wrong, or does not fit in memory.

        """


@runtime_checkable
class MemorySource(ValueSource, Protocol):
    """A source that tells what shares memory without a module."""

    def survey(self, *, dtype: str | None) -> Surveyed:
        """Tell what memory the tensors take, as far as it may be shared.

        Args:
            dtype: what floating parameters are made as; None for what the model says.

        Raises:
            ParamctlError: if the model is wrong.

        """

    def digests(self, records: Iterable[ParameterRecord]) -> Compared:
        """Read tensors, and return what stands for their values.

        Raises:
            ParamctlError: if they cannot be read.

        """


@runtime_checkable
class ModuleSource(ValueSource, Protocol):
    """A source that builds a live `nn.Module`."""

    def build(self, *, seed: int | None, dtype: str | None) -> BuiltModel:
        """Build the model.

        Args:
            seed: the seed of the values; None where nobody needs them, so that nothing need be allocated.
            dtype: what floating parameters are made as; None for what the model says.

        Raises:
            ParamctlError: if the model is wrong, or does not fit in memory.

        """


def with_values(source: Source) -> ValueSource:
    """Return the source as one whose tensors have values.

    Raises:
        ParamctlError: if they have none.

    """
    if isinstance(source, ValueSource):
        return source
    raise failure(f"{source.model} is {source.kind}, which holds no values", where="MODEL")


def buildable(source: Source) -> ModuleSource:
    """Return the source as one that builds the model.

    Raises:
        ParamctlError: if it does not, with what to name instead.

    """
    if isinstance(source, ModuleSource):
        return source
    hint = "name the spec or the Python code that builds its model"
    raise failure(f"{source.model} is {source.kind}: no model can be built from it alone", where="MODEL", hint=hint)
