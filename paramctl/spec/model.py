"""What a validated spec says: a tree of modules and the settings beside it, as plain values with positions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from paramctl.errors import Position
from paramctl.references import Allowance, Reference
from paramctl.spec.paths import Path
from paramctl.spec.signatures import LayerSignature

if TYPE_CHECKING:  # the schemes behind a rule take 15 ms to import
    from paramctl.rules import InitRule

ContainerKind: TypeAlias = Literal["Sequential", "ModuleList", "ModuleDict", "Residual"]
FillName: TypeAlias = Literal["rand", "randn", "ones", "zeros", "arange", "randint"]
Loss: TypeAlias = Literal["sum", "mean", "mse", "cross_entropy"]

FILLS: tuple[FillName, ...] = ("rand", "randn", "ones", "zeros", "arange", "randint")
LOSSES: tuple[Loss, ...] = ("sum", "mean", "mse", "cross_entropy")
MAX_NAMES = 5_000_000
"""The most parameter names a model may have, counting `Repeat` and every alias."""


@dataclass(frozen=True, slots=True)
class DtypeName:
    """An argument that is a dtype, by its canonical name."""

    name: str


Argument: TypeAlias = (
    "bool | int | float | str | DtypeName | ModuleSpec | list[Argument] | tuple[Argument, ...] | dict[str, Argument]"
    " | None"
)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LayerCall:
    """A constructor with its arguments; layers that are written alike share one.

    Attributes:
        signature: what the constructor takes.
        reference: where the class is imported from; None for a class of torch.nn.
        positional: the arguments given by position.
        keywords: the arguments given by name.

    """

    signature: LayerSignature
    reference: Reference | None
    positional: tuple[Argument, ...]
    keywords: Mapping[str, Argument]

    @property
    def name(self) -> str:
        """The class as messages name it."""
        return self.signature.name

    def arguments(self) -> dict[str, object]:
        """Return the value of every named parameter, given or by default."""
        by_position = zip(self.signature.positional, self.positional, strict=False)
        return {
            **self.signature.defaults,
            **{parameter.name: value for parameter, value in by_position},
            **self.keywords,
        }

    def __str__(self) -> str:
        """Write the call as Python would."""
        arguments = [_written(value) for value in self.positional]
        arguments += [f"{name}={_written(value)}" for name, value in self.keywords.items()]
        return f"{self.name}({', '.join(arguments)})"


def _written(value: Argument) -> str:
    if isinstance(value, MODULES):
        return str(value.call) if isinstance(value, Layer) else f"{type(value).__name__}(…)"
    return value.name if isinstance(value, DtypeName) else repr(value)


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One module that a constructor makes. The same object anywhere in the tree is the same module.

    Attributes:
        call: the constructor with its arguments.
        scope: the innermost `Repeat` that it is written in, by number; 0 outside any. Every copy has its own.
        shared: whether it may stand at several places of the tree.
        line, column: where it is written, counted from 0.
        path: where it stands in the structure of the spec.

    """

    call: LayerCall
    scope: int
    shared: bool
    line: int
    column: int
    path: Path = ()


@dataclass(frozen=True, slots=True, eq=False)
class Container:
    """A module that holds others, by name or by index (`names` is None); the other attributes as in `Layer`."""

    kind: ContainerKind
    names: tuple[str, ...] | None
    children: tuple[ModuleSpec, ...]
    scope: int
    shared: bool
    line: int
    column: int

    def child_names(self) -> tuple[str, ...]:
        """Return the names of the children, which are their indexes where they have none of their own."""
        return tuple(map(str, range(len(self.children)))) if self.names is None else self.names


@dataclass(frozen=True, slots=True, eq=False)
class Repeat:
    """An `nn.Sequential` of `times` independent copies of `body`; `inner_scope` is the number of its own scope."""

    times: int
    body: ModuleSpec
    inner_scope: int
    scope: int
    shared: bool
    line: int
    column: int


ModuleSpec: TypeAlias = Layer | Container | Repeat
MODULES: Final = (Layer, Container, Repeat)
"""The same, for `isinstance`, which takes a tuple in half the time."""


@dataclass(frozen=True, slots=True)
class Fill:
    """How a tensor's elements are drawn; `low` and `high` (exclusive) bound a randint."""

    name: FillName
    low: int = 0
    high: int = 0

    def __str__(self) -> str:
        return f"randint({self.low},{self.high})" if self.name == "randint" else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """The input of a forward pass; `dtype` None means the model's, or int64 for a randint."""

    shape: tuple[int, ...]
    fill: Fill = Fill("rand")
    dtype: str | None = None


@dataclass(frozen=True, slots=True)
class GivenInput:
    """One argument of a forward pass: what it is, and its name where it is not given by position."""

    spec: InputSpec
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Located:
    """A text of the spec with its position."""

    text: str
    where: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A whole spec.

    Attributes:
        source: the file as the user named it, as it stands in every position.
        root: the outermost `Sequential`.
        name: the model's own name.
        input: the input of a forward pass, where the spec gives one.
        loss: what backward starts from.
        rules: the init rules, in order.
        ties: each the names that become one Parameter, that of the first name.
        freeze: globs of the parameters that get no gradient.
        dtype: what the floating parameters are cast to.
        seed: the seed of everything that is drawn.
        directory: what files named in the spec are relative to.
        allowance: what may be imported.
        aliased: whether a module stands at several places.
        composed: whether a layer is an argument of another.
        imports: whether there are layers of the user's own.
        torch_version: the minor version of torch whose layers these are; None where nobody knows.

    """

    source: str
    root: Container
    name: str | None = None
    input: InputSpec | None = None
    loss: Loss = "sum"
    rules: tuple[InitRule, ...] = ()
    ties: tuple[tuple[Located, ...], ...] = ()
    freeze: tuple[Located, ...] = ()
    dtype: str | None = None
    seed: int = 0
    directory: FilePath = field(default_factory=FilePath)
    allowance: Allowance = field(default_factory=Allowance)
    aliased: bool = False
    composed: bool = False
    imports: bool = False
    torch_version: str | None = None

    def position(self, module: ModuleSpec) -> Position:
        """Return where a module is written."""
        return Position(self.source, module.line + 1, module.column + 1)


def unmatched_freeze(glob: Located) -> str:
    """Return the note that a glob of `freeze` reaches nothing."""
    return f"{glob.where}: freeze: {glob.text!r} matches no parameter"
