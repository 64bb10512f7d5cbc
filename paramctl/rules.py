"""An init rule: which parameters a scheme, or a function of the user's, is applied to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from paramctl.errors import Position, Problem, nearest
from paramctl.references import Reference
from paramctl.scheme_declaration import Scheme
from paramctl.schemes import SCHEMES

Initializer: TypeAlias = Callable[..., object]
"""A function that changes the tensor that it is called with, in place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InitRule:
    """One rule.

    Attributes:
        match: the glob of the names that it reaches, exactly; None for the reading of ``--scheme`` for a whole model.
        scheme: what to do, a declared scheme or a function.
        options: the scheme's options, complete; a function's keyword arguments.
        where: where the user wrote the rule.
        function: what a reference turned out to name, once it has been imported.
        number: its place among the rules with a `match`, from 1, once they are planned.

    """

    match: str | None
    scheme: Scheme | Reference | Initializer
    options: Mapping[str, Any]
    where: Position | str | None = None
    function: Initializer | None = None
    number: int | None = None

    @property
    def label(self) -> str:
        """The scheme's name, or the function as the user named it."""
        if isinstance(self.scheme, Scheme):
            return self.scheme.name
        if isinstance(self.scheme, Reference):
            return str(self.scheme)
        return getattr(self.scheme, "__qualname__", repr(self.scheme))


@dataclass(frozen=True, slots=True)
class OptionMistake:
    """A mistake in an option of a scheme; `option` is None where one is missing or two contradict each other."""

    option: str | None
    message: str
    hint: str | None = None


def bind_options(scheme: Scheme, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[OptionMistake]]:
    """Complete the options of a scheme with its defaults; return them and what is wrong with those given."""
    mistakes = []
    for name, value in given.items():
        option = scheme.options.get(name)
        if option is None:
            known = nearest(name, scheme.options) or f"its options are: {', '.join(scheme.options) or 'none'}"
            mistakes.append(OptionMistake(name, f"the scheme {scheme.name} has no option {name!r}", known))
        elif expected := option.mistake(value):
            mistakes.append(OptionMistake(name, f"{scheme.name} takes as {name} {expected}, not {value!r}"))
    missing = [name for name, option in scheme.options.items() if option.default is None and name not in given]
    if missing:
        hint = f"write {scheme.name}:{','.join(f'{name}=…' for name in missing)}"
        mistakes.append(OptionMistake(None, f"the scheme {scheme.name} needs {' and '.join(missing)}", hint))
    options = {name: given.get(name, option.default) for name, option in scheme.options.items()}
    if scheme.ordered and not mistakes:
        low, high = scheme.ordered
        if options[low] > options[high]:
            message = f"{scheme.name} needs {low} ≤ {high}, not {low}={options[low]} and {high}={options[high]}"
            mistakes.append(OptionMistake(None, message))
    return options, mistakes


def unknown_scheme(name: str) -> Problem:
    """Return the problem that a name is neither a scheme nor a reference to a function."""
    if name.endswith(".py"):
        return Problem(message=f"{name} is a file, not a function", hint=f"write {name}:FUNCTION")
    called, _, inside = name.partition("(")
    if called in SCHEMES and inside.endswith(")"):
        options = inside.removesuffix(")").replace(" ", "")
        written = f"{called}:{options}" if options else called
        return Problem(message=f"there is no init scheme {name!r}", hint=f"write {written}")
    stripped = name.removeprefix("torch.").removeprefix("nn.").removeprefix("init.").rstrip("_")
    hint = f"did you mean {stripped!r}?" if stripped in SCHEMES else nearest(name, SCHEMES)
    return Problem(
        message=f"there is no init scheme {name!r}",
        hint=hint or "`paramctl schemes` lists them; a function is file.py:NAME or package.module:NAME",
    )
