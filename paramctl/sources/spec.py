"""A model that is a YAML spec."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from paramctl.analysis.listing import ListOptions
from paramctl.errors import Position, failure
from paramctl.references import Allowance, Reference
from paramctl.sources.protocols import Contents, Measurable
from paramctl.spec.catalog import Catalog, load_catalog
from paramctl.spec.document import MAX_BYTES
from paramctl.spec.model import Spec
from paramctl.spec.read import read_spec
from paramctl.spec.signatures import LayerSignature
from paramctl.watching import Watch

if TYPE_CHECKING:
    from paramctl.tensors.building.built import BuiltModel


@dataclass(frozen=True, slots=True)
class SpecSource:
    """A spec that was read; `model` is what the user typed for it."""

    model: str
    spec: Spec
    kind = "a spec"

    @property
    def title(self) -> str | None:
        """The name that the spec gives the model."""
        return self.spec.name

    @property
    def seed(self) -> int:
        """The spec's seed."""
        return self.spec.seed

    def contents(self, *, dtype: str | None, buffers: bool, modules: bool) -> Contents:
        """Tell what the model holds, by the cheapest way; see `ModuleSource`."""
        from paramctl.tensors.building.outline import outline

        return Contents(*outline(self.spec, dtype=dtype, buffers=buffers, modules=modules))

    def measurable(self, options: ListOptions, *, seed: int, dtype: str | None, watch: Watch) -> Measurable:
        """Get ready to draw and measure the tensors; see `ModuleSource`."""
        from paramctl.tensors.answers.measuring import measurable

        return Measurable(*measurable(self.build(seed=seed, dtype=dtype), options, seed=seed, watch=watch))

    def build(self, *, seed: int | None, dtype: str | None) -> BuiltModel:
        """Build the model on the meta device; see `ModuleSource`."""
        from paramctl.tensors.building.build import build

        return build(self.spec, dtype=dtype, seed=seed)


def read_file(path: Path, model: str, allowance: Allowance) -> SpecSource:
    """Read a spec from a file.

    Raises:
        ParamctlError: if the file cannot be read, or with every mistake in it.

    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise failure(f"cannot read {model}: {error.strerror}", where="MODEL") from error
    return _read(content, model, model, path.parent, allowance)


def read_stdin(allowance: Allowance) -> SpecSource:
    """Read a spec from standard input; raises as `read_file` does."""
    if sys.stdin is None:
        raise failure("standard input is closed", where="MODEL", hint="pipe a spec into it, or name a file")
    try:
        content = sys.stdin.buffer.read(MAX_BYTES + 1)
    except OSError as error:
        raise failure(f"cannot read standard input: {error.strerror}", where="MODEL") from error
    return _read(content, "-", "<stdin>", Path.cwd(), allowance)


def _read(content: bytes, model: str, source: str, directory: Path, allowance: Allowance) -> SpecSource:
    if len(content) > MAX_BYTES:
        raise failure(f"the spec has more than {MAX_BYTES // 2**20} MiB of text", where=source)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        byte = content[error.start]
        where = Position(source, line, column)
        raise failure(f"the byte 0x{byte:02X} is not UTF-8", where=where, hint="save the spec as UTF-8") from None
    spec = read_spec(
        text, source, directory=directory, allowance=allowance, catalog=catalog(), signature_of=_user_signature
    )
    return SpecSource(model, spec)


def catalog() -> Catalog:
    """Return the layers of the installed torch: from the shipped file if it is of that version, else from torch."""
    shipped = load_catalog()
    installed = metadata.version("torch")
    if installed.startswith(f"{shipped.torch_version}."):
        return shipped
    from paramctl.tensors.building.signatures import live_catalog

    return live_catalog()


def _user_signature(reference: Reference) -> LayerSignature:
    from paramctl.tensors.building.construct import user_signature

    return user_signature(reference)
