"""A model that is built and gets the values of a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from paramctl.analysis.listing import ListOptions
from paramctl.checkpoints.stored import Checkpoint
from paramctl.sources.protocols import Contents, Measurable, ModuleSource
from paramctl.watching import Watch

if TYPE_CHECKING:
    from paramctl.tensors.building.built import BuiltModel


@dataclass(frozen=True, slots=True)
class WeightsSource:
    """A source that builds a model, and the checkpoint that is loaded into it; `weights` is what the user typed."""

    source: ModuleSource
    checkpoint: Checkpoint
    weights: str

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

    def contents(self, *, dtype: str | None, buffers: bool, modules: bool) -> Contents:
        """Tell what the model holds, once it is sure that the checkpoint fits it; see `Source`."""
        from paramctl.tensors.building.loading import fitting

        fitting(self.source.build(seed=None, dtype=dtype).net, self.checkpoint, self.weights)
        return self.source.contents(dtype=dtype, buffers=buffers, modules=modules)

    def measurable(self, options: ListOptions, *, seed: int, dtype: str | None, watch: Watch) -> Measurable:
        """Get ready to measure the values that were loaded; see `ValueSource`."""
        from paramctl.tensors.answers.measuring import measurable

        return Measurable(*measurable(self.build(seed=seed, dtype=dtype), options, seed=seed, watch=watch))

    def build(self, *, seed: int | None, dtype: str | None) -> BuiltModel:
        """Build the model and load the checkpoint into it; see `ModuleSource`."""
        from paramctl.tensors.building.loading import fitting, load

        built = self.source.build(seed=seed, dtype=dtype)
        if seed is None:
            fitting(built.net, self.checkpoint, self.weights)
            return built
        return load(built, self.checkpoint, self.weights)


def with_weights(source: ModuleSource, weights: str, key: str | None) -> WeightsSource:
    """Read a checkpoint that is to be loaded into the model of a source.

    Args:
        source: builds the model.
        weights: the checkpoint, a file or a directory, as typed.
        key: the part of it that is wanted; None for the weights.

    Raises:
        ParamctlError: naming what is wrong with the checkpoint.

    """
    from paramctl.sources.checkpoint import open_weights

    return WeightsSource(source, open_weights(weights, key), weights)
