"""Which parameters stand where in a model, before a pass and after it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import NamedTuple

from torch import nn

from paramctl.errors import failure
from paramctl.records import join
from paramctl.tensors.collect import places_of_modules


class Held(NamedTuple):
    """What stands in the slots of the module at each path; names are made of it only where they are needed."""

    paths: list[str]
    slots: list[dict[str, nn.Parameter | None]]

    def distinct(self) -> list[nn.Parameter]:
        """Return each parameter once, in model order."""
        every = chain.from_iterable(map(dict.values, self.slots))
        return list({id(each): each for each in every if each is not None}.values())

    def named(self) -> dict[str, nn.Parameter]:
        """Return the parameter under each name."""
        return {
            join(path, attribute): parameter
            for path, slots in zip(self.paths, self.slots, strict=True)
            for attribute, parameter in slots.items()
            if parameter is not None
        }

    def first_names(self, parameters: Iterable[nn.Parameter]) -> dict[str, nn.Parameter]:
        """Return some of the parameters by their first names, in model order."""
        wanted = {id(each): each for each in parameters}
        return {name: wanted.pop(id(each)) for name, each in self.named().items() if id(each) in wanted}


def hold(net: nn.Module) -> Held:
    """Return which parameters stand where now."""
    paths, modules = places_of_modules(net)
    return Held(paths, [dict(module._parameters) for module in modules])  # noqa: SLF001  the public generators take several times as long


def check_kept(before: Held, after: Held) -> None:
    """Check that a model has the parameters that it had.

    Raises:
        ParamctlError: if a parameter was added, removed or replaced, naming the first.

    """
    if before.paths == after.paths and _identities(before) == _identities(after):
        return
    then, now = before.named(), after.named()
    changed = [name for name in {**then, **now} if then.get(name) is not now.get(name)]
    if changed:
        more = f" and {len(changed) - 1:,} more" if len(changed) > 1 else ""
        message = f"forward adds, removes or replaces parameters of the model: {changed[0]}{more}"
        raise failure(message, hint="if it makes them when it first runs, run the model once before")


def _identities(held: Held) -> list[int]:
    return list(map(id, chain.from_iterable(map(dict.values, held.slots))))
