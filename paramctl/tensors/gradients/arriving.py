"""Each parameter's gradient when backward has made it: measured, and freed where nobody asked to keep it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import nn

from paramctl.errors import failure
from paramctl.records import Statistics
from paramctl.tensors.collect import bytes_of
from paramctl.tensors.garbage import collection_put_off
from paramctl.tensors.gradients.alike import LARGEST, measure_all
from paramctl.tensors.memory import give_back
from paramctl.tensors.scratch import Scratch

Settle = Callable[[Mapping[int, torch.Tensor]], None]
"""What is told of parameters' last gradients, by the parameters' indexes, before they are measured or freed."""


_SOME = 2**26
"""Of so many bytes freed it is made sure that the system gets them back."""


class Arrivals:
    """The gradients of some parameters.

    Attributes:
        times: how often something was added to each parameter's gradient in a backward that was counted.
        norms: the norm of each gradient after each pass but the last; None where there is none.
        statistics: those of each gradient in the end; None where there is none.
        kept: the gradients, where they are to be kept.
        taken: the parameters whose gradient arrived, but was gone once the model's own hooks had seen it, as where an
            optimizer steps inside backward.

    """

    def __init__(
        self, parameters: Sequence[nn.Parameter], *, keep: bool, hist: bool = False, settle: Settle | None = None
    ) -> None:
        self.times = [0] * len(parameters)
        self.norms: list[list[float | None]] = []
        self.statistics: list[Statistics | None] = [None] * len(parameters)
        self.kept: list[torch.Tensor | None] = [None] * len(parameters)
        self.taken: set[int] = set()
        self._parameters = parameters
        self._keep = keep
        self._hist = hist
        self._settle = settle
        self._large = [i for i, each in enumerate(parameters) if each.numel() > LARGEST]
        self._scratch = Scratch()
        self._freed: set[int] = set()
        self._unreturned = 0

    def frees(self) -> bool:
        """Tell whether there is a gradient that is worth freeing as it arrives."""
        return bool(self._large) and not self._keep

    @contextmanager
    def freed(self) -> Iterator[None]:
        """Measure and free every large gradient as it arrives in the backward inside the block."""
        with self._noticed(self._free, self._large):
            yield

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count what is added to gradients inside the block."""
        self.times = [0] * len(self._parameters)
        with self._noticed(self._count, range(len(self._parameters))):
            yield

    @contextmanager
    def seen_taken(self) -> Iterator[None]:
        """Note the gradients that hooks of the model's own take away in the backward inside the block."""
        # torch has no public way to tell which parameters have such hooks.
        hooked = [i for i, each in enumerate(self._parameters) if each._post_accumulate_grad_hooks]  # noqa: SLF001
        with self._noticed(self._note_taken, hooked):
            yield

    @contextmanager
    def _noticed(self, notice: Callable[[int, torch.Tensor], None], indexes: Iterable[int]) -> Iterator[None]:
        handles = [
            parameter.register_post_accumulate_grad_hook(partial(notice, index))  # type: ignore[no-untyped-call]  # torch leaves it untyped
            for index, parameter in ((i, self._parameters[i]) for i in indexes)
            if parameter.requires_grad and parameter.is_leaf
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _count(self, index: int, _: torch.Tensor) -> None:
        self.times[index] += 1

    def _note_taken(self, index: int, parameter: torch.Tensor) -> None:
        if parameter.grad is None:
            self.taken.add(index)

    def _free(self, index: int, parameter: torch.Tensor) -> None:
        if parameter.grad is None:
            return
        if index in self._freed:
            message = f"the gradient of a parameter of {list(parameter.shape)} came in parts, the first of them freed"
            raise failure(message, hint="a hook runs a backward of its own: --values keeps gradients")
        self._freed.add(index)
        self._take({index: parameter.grad})
        self._unreturned += bytes_of(parameter.grad)
        parameter.grad = None
        if self._unreturned >= _SOME:
            give_back()
            self._unreturned = 0

    def end_pass(self) -> None:
        """Take the norms of what another pass will add to."""
        norms: list[float | None] = [None] * len(self._parameters)
        present = gradients_of(self._parameters)
        for index, statistics in zip(present, measure_all(list(present.values())), strict=True):
            norms[index] = statistics.norm
        self.norms.append(norms)

    @collection_put_off()
    def finish(self) -> None:
        """Measure what was not measured as it arrived."""
        present = gradients_of(self._parameters)
        if self._keep:
            for index, gradient in present.items():
                self.kept[index] = dense(gradient)
        self._take({index: each for index, each in present.items() if index not in self._freed})

    def _take(self, gradients: Mapping[int, torch.Tensor]) -> None:
        if self._settle is not None:
            self._settle(gradients)
        measured = measure_all(list(gradients.values()), self._scratch, hist=self._hist)
        for index, statistics in zip(gradients, measured, strict=True):
            self.statistics[index] = statistics


def gradients_of(parameters: Iterable[nn.Parameter]) -> dict[int, torch.Tensor]:
    """Return the gradients of those of some parameters that have one, by their indexes; sparse ones are left so."""
    return {index: grad for index, each in enumerate(parameters) if (grad := each.grad) is not None}


def dense(gradient: torch.Tensor) -> torch.Tensor:
    """Return a gradient that is laid out like any other tensor."""
    return gradient.to_dense() if gradient.is_sparse else gradient
