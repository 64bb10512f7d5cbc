"""A model that is built and gets the values of a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from paramctl.analysis.listing import ListOptions
from paramctl.checkpoints.fitting import Weights
from paramctl.sources.protocols import Contents, Measurable, ModuleSource
from paramctl.watching import Watch

if TYPE_CHECKING:
    from paramctl.tensors.building.built import BuiltModel


@dataclass(frozen=True, slots=True)
class WeightsSource:
    """A source that builds a model, and the checkpoint that is loaded into it."""

    source: ModuleSource
    weights: Weights

    @property
    def model(self) -> str:
        """MODEL as the user typed it."""
        return self.source.model

    @property
    def kind(self) -> str:
        """What the model is."""
        return self.source.kind

    @property
    def title(self) -> str | None:
        """What the model calls itself."""
        return self.source.title

    @property
    def seed(self) -> int:
        """The model's own seed."""
        return self.source.seed

    def contents(self, *, dtype: str | None, buffers: bool, modules: bool) -> Contents:  # noqa: ARG002  a module tells all
        """Tell what the model holds, once it is sure that the checkpoint fits it; see `Source`."""
        built = self.build(seed=None, dtype=dtype)
        return Contents(built.inventory(), built.notes)

    def measurable(self, options: ListOptions, *, seed: int, dtype: str | None, watch: Watch) -> Measurable:
        """Get ready to measure the values that were loaded; see `ValueSource`."""
        from paramctl.tensors.answers.measuring import measurable

        return Measurable(*measurable(self.build(seed=seed, dtype=dtype), options, seed=seed, watch=watch))

    def build(self, *, seed: int | None, dtype: str | None) -> BuiltModel:
        """Build the model and load the checkpoint into it; see `ModuleSource`."""
        from paramctl.tensors.building.loading import fitting, load

        built = self.source.build(seed=seed, dtype=dtype)
        if seed is not None:
            return load(built, self.weights, seed=seed)
        fit = fitting(built.net, self.weights)
        return replace(built, notes=(*built.notes, *self.weights.checkpoint.notes, *fit.notes))


def with_weights(source: ModuleSource, weights: str, key: str | None, *, strict: bool = True) -> WeightsSource:
    """Read a checkpoint that is to be loaded into the model of a source.

    Args:
        source: builds the model.
        weights: the checkpoint, a file or a directory, as typed.
        key: the part of it that is wanted; None for the weights.
        strict: whether every name of the model must be in it, and no other one.

    Raises:
        ParamctlError: naming what is wrong with the checkpoint.

    """
    from paramctl.sources.checkpoint import open_weights

    return WeightsSource(source, Weights(open_weights(weights, key), weights, key, strict))
