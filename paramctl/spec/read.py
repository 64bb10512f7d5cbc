"""The text of a spec -> a `Spec`, or every mistake in it at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from paramctl.errors import nearest
from paramctl.references import Allowance
from paramctl.spec.catalog import Catalog
from paramctl.spec.document import MappingNode, Node, compose
from paramctl.spec.inputs import InputReader
from paramctl.spec.layers import LayerReader, SignatureOf
from paramctl.spec.model import Container, Spec
from paramctl.spec.paths import Path as SpecPath
from paramctl.spec.paths import step
from paramctl.spec.reading import Mistakes, shown
from paramctl.spec.settings import SettingsReader

if TYPE_CHECKING:
    from paramctl.rules import InitRule

KEYS: Final = ("name", "layers", "input", "loss", "init", "tie", "freeze", "dtype", "seed")
_LAYERS_HINT: Final = "write layers: [{Linear: [4, 3]}, ReLU]"


def read_spec(
    text: str,
    source: str,
    *,
    directory: Path,
    allowance: Allowance,
    catalog: Catalog,
    signature_of: SignatureOf,
) -> Spec:
    """Read and validate a spec.

    Args:
        text: the YAML.
        source: the file as the user named it, for positions.
        directory: what files named in the spec are relative to.
        allowance: what the spec may import.
        catalog: the layers of torch.nn.
        signature_of: imports a class of the user's own; called for those that are allowed.

    Raises:
        ParamctlError: with all mistakes of the file.

    """
    document = compose(text, source)
    mistakes = Mistakes(document, list(document.problems))
    root = document.root
    if not isinstance(root, MappingNode):
        mistakes.add(root, (), f"a spec is a mapping, not {shown(root)}", _LAYERS_HINT)
        raise mistakes.error()
    for name, (key, _) in root.entries.items():
        if name not in KEYS:
            hint = nearest(name, KEYS) or f"the keys of a spec are {', '.join(KEYS)}"
            mistakes.add(key, step((), name), f"a spec has no key {name!r}", hint)
    reader = LayerReader(mistakes, catalog, signature_of, allowance, directory)
    layers = _layers(root, reader)
    settings = _settings(root, mistakes, allowance, directory)
    if mistakes.found:
        raise mistakes.error()
    return Spec(
        source=source,
        root=layers,
        directory=directory,
        allowance=allowance,
        aliased=reader.aliased,
        composed=reader.composed,
        imports=reader.imports,
        torch_version=catalog.torch_version,
        **settings,
    )


def _layers(root: MappingNode, reader: LayerReader) -> Container:
    if "layers" not in root.entries:
        reader.mistakes.add(root, (), "a spec needs layers", _LAYERS_HINT)
        return Container("Sequential", None, (), 0, False, root.line, root.column)
    node = root.entries["layers"][1]
    names, children = reader.required_children(node, step((), "layers"))
    return Container("Sequential", names, children, 0, False, node.line, node.column)


def _settings(root: MappingNode, mistakes: Mistakes, allowance: Allowance, directory: Path) -> dict[str, Any]:
    reader = SettingsReader(mistakes)
    freeze_hint = 'write freeze: ["embedding.*"]'
    readers: dict[str, tuple[str, Callable[..., Any]]] = {
        "name": ("name", lambda node, path: reader.text(node, path, "the name")),
        "input": ("input", InputReader(mistakes).input),
        "loss": ("loss", reader.loss),
        "init": ("rules", lambda node, path: _rules(node, path, mistakes, allowance, directory)),
        "tie": ("ties", reader.ties),
        "freeze": ("freeze", lambda node, path: reader.names(node, path, "freeze", freeze_hint)),
        "dtype": ("dtype", reader.dtype),
        "seed": ("seed", reader.seed),
    }
    present = {key: field_and_reader for key, field_and_reader in readers.items() if key in root.entries}
    return {field: read(root.entries[key][1], step((), key)) for key, (field, read) in present.items()}


def _rules(
    node: Node, path: SpecPath, mistakes: Mistakes, allowance: Allowance, directory: Path
) -> tuple[InitRule, ...]:
    from paramctl.spec.init import RuleReader  # a spec without rules does without the schemes, which take 15 ms

    return RuleReader(mistakes, allowance, directory).rules(node, path)
