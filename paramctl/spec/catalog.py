"""The layers of torch.nn with their signatures, from a file: a typo in a spec is answered without torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any, TypeAlias

from paramctl.spec.signatures import LayerSignature, Parameter, parse_type

Entry: TypeAlias = Sequence[str | Sequence[Any]]
"""A signature in the file: ``[name, type]`` or ``[name, type, default]`` for each parameter, ``"*"`` before those that
take a keyword, ``"*args"`` and ``"**kwargs"`` for any more, ``"lazy"`` for a lazy layer."""

FILE = "torch_nn.json"


class Catalog:
    """The signatures of torch.nn's layers by class name; each is parsed when it is asked for."""

    def __init__(
        self, torch_version: str, entries: Mapping[str, Entry], attributes: Mapping[str, Sequence[str]]
    ) -> None:
        """Wrap what a catalog file, or a live torch of this version, says.

        Args:
            torch_version: the minor version, such as ``2.13``.
            entries: a signature for each class.
            attributes: the names that a module of a class has as attributes: those of every module under ``Module``,
                those that a container has besides under its own name.

        """
        self.torch_version = torch_version
        self.entries = entries
        self.attributes = attributes
        self._parsed: dict[str, LayerSignature] = {}
        self._reserved: dict[str, frozenset[str]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self.entries

    def names(self) -> Iterable[str]:
        """Return every layer's name, in alphabetical order."""
        return self.entries.keys()

    def reserved(self, container: str) -> frozenset[str]:
        """Return the names that a child of a container cannot have, since they are attributes of the container."""
        names = self._reserved.get(container)
        if names is None:
            names = frozenset([*self.attributes["Module"], *self.attributes.get(container, ())])
            self._reserved[container] = names
        return names

    def __getitem__(self, name: str) -> LayerSignature:
        signature = self._parsed.get(name)
        if signature is None:
            signature = self._parsed[name] = signature_of(name, self.entries[name])
        return signature


def signature_of(name: str, entry: Entry) -> LayerSignature:
    """Read one layer's entry."""
    parameters = []
    keyword_only = False
    for item in entry:
        if isinstance(item, str):
            keyword_only = keyword_only or item in {"*", "*args"}
        else:
            parameters.append(
                Parameter(
                    name=item[0],
                    type=parse_type(item[1]),
                    required=len(item) == 2,
                    keyword_only=keyword_only,
                    default=item[2] if len(item) > 2 else None,
                )
            )
    return LayerSignature(
        name=name,
        parameters=tuple(parameters),
        more_positional="*args" in entry,
        more_keywords="**kwargs" in entry,
        lazy="lazy" in entry,
    )


def load_catalog() -> Catalog:
    """Read the catalog that ships with the package."""
    content = json.loads(files(__package__).joinpath(FILE).read_text(encoding="utf-8"))
    return Catalog(content["torch"], content["layers"], content["attributes"])
