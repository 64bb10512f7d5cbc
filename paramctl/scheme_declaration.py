"""What an init scheme is, and how a function declares one: its options are the function's, its result the moments."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, get_type_hints

from paramctl.fans import Fans, torch_fans
from paramctl.scheme_options import Option, option_of


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean, standard deviation and kurtosis (the fourth standardised moment, 3 for a normal) of a distribution."""

    mean: float
    std: float
    kurtosis: float = 3.0


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """What a formula may depend on.

    Attributes:
        shape: the tensor's shape.
        before: the moments of what it held before (None: unknown).
        layer_fans: the fans that count (None: torch's, told from the shape).

    """

    shape: tuple[int, ...]
    before: Moments | None = None
    layer_fans: Fans | None = None

    @property
    def numel(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def fans(self) -> Fans:
        """fan_in and fan_out; of a shape with two dimensions or more."""
        return self.layer_fans or torch_fans(self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """A declared scheme.

    Attributes:
        name: torch's name without the underscore.
        options: by name, in torch's order.
        formula: the distribution of the values.
        source: the paper that the formula comes from; "" where it needs none.
        dims: the least and the largest number of dimensions that it is defined for (None: any).
        ordered: two options, the first of which must be below the second.
        in_place: whether it changes what is there, where the others overwrite it.
        own_defaults: the options whose default is not torch's.
        real: whether it is defined for real numbers alone.
        uses_fans: whether its values depend on fan_in or fan_out.
        moments: the declaring function.

    """

    name: str
    options: Mapping[str, Option]
    formula: str
    source: str
    dims: tuple[int, int | None]
    ordered: tuple[str, str] | None
    in_place: bool
    own_defaults: tuple[str, ...]
    real: bool
    uses_fans: bool
    moments: Callable[..., Moments | None]

    def telling(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options that tell a reader something: those that are not as torch's own default has them."""
        defaults = {name: option.default for name, option in self.options.items() if name not in self.own_defaults}
        return {name: value for name, value in options.items() if name not in defaults or value != defaults[name]}

    def undefined_for(self, shape: tuple[int, ...], options: Mapping[str, Any]) -> str | None:
        """Say why the scheme is not defined for a tensor of this shape, or return None where it is."""
        least, largest = self.dims
        if len(shape) < least or (largest is not None and len(shape) > largest):
            span = f"{least}" if least == largest else f"{least} to {largest}" if largest else f"{least} or more"
            return f"it needs {span} dimensions, and the shape is {list(shape)}"
        if self.name == "dirac" and shape[0] % options["groups"]:
            return f"its {options['groups']} groups do not divide the {shape[0]} output channels"
        return None


def declare(
    formula: str,
    *,
    source: str = "",
    dims: tuple[int, int | None] = (0, None),
    ordered: tuple[str, str] | None = None,
    in_place: bool = False,
    own_defaults: tuple[str, ...] = (),
    real: bool = False,
    uses_fans: bool = False,
) -> Callable[[Callable[..., Moments | None]], Scheme]:
    """Make a scheme of a function of `TensorFacts` and options, which returns the moments of the values that are left.

    The keyword-only parameters are the options under torch's names, their annotations what they may be. It returns None
    where no moments are known. The arguments here are those of `Scheme`.
    """

    def declared(moments: Callable[..., Moments | None]) -> Scheme:
        hints = get_type_hints(moments, include_extras=True)
        options = {
            name: option_of(name, hints[name], None if given.default is given.empty else given.default)
            for name, given in inspect.signature(moments).parameters.items()
            if given.kind is given.KEYWORD_ONLY
        }
        return Scheme(
            name=moments.__name__,
            options=MappingProxyType(options),
            formula=formula,
            source=source,
            dims=dims,
            ordered=ordered,
            in_place=in_place,
            own_defaults=own_defaults,
            real=real,
            uses_fans=uses_fans,
            moments=moments,
        )

    return declared
