"""The `init` rules of a spec."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from paramctl.errors import ParamctlError, Position
from paramctl.references import Allowance, Reference
from paramctl.rules import InitRule, bind_options
from paramctl.scheme_declaration import Scheme
from paramctl.spec.document import MappingNode, Node, ScalarNode
from paramctl.spec.paths import Path, step
from paramctl.spec.reading import shown
from paramctl.spec.rules import parse_scheme
from paramctl.spec.settings import SettingsReader


@dataclass(slots=True)
class RuleReader(SettingsReader):
    """Reads init rules.

    Attributes:
        allowance: what may be imported.
        directory: what files are relative to.
    """

    allowance: Allowance
    directory: FilePath

    def rules(self, node: Node, path: Path) -> tuple[InitRule, ...]:
        """Read the init rules."""
        hint = 'write init: [{match: "*.weight", scheme: normal, std: 0.02}]'
        items = self.items(node, path, "init", hint)
        return tuple(filter(None, (self._rule(item, step(path, i), hint) for i, item in enumerate(items))))

    def _rule(self, node: Node, path: Path, hint: str) -> InitRule | None:
        if not isinstance(node, MappingNode):
            self.mistakes.add(node, path, f"an init rule is a mapping, not {shown(node)}", hint)
            return None
        entries = dict(node.entries)
        missing = [name for name in ("match", "scheme") if name not in entries]
        for name in missing:
            self.mistakes.add(node, path, f"an init rule needs {name}", hint)
        if missing:
            return None
        match = self.text(entries.pop("match")[1], step(path, "match"), "match")
        scheme_node = entries.pop("scheme")[1]
        text = self.text(scheme_node, step(path, "scheme"), "the scheme")
        if match is None or text is None:
            return None
        where = self.mistakes.document.position(scheme_node)
        try:
            scheme, given = parse_scheme(text, self.directory, where)
        except ParamctlError as error:
            self.mistakes.add(scheme_node, step(path, "scheme"), error.problems[0].message, error.problems[0].hint)
            return None
        given |= self._options(entries, path)
        if isinstance(scheme, Reference):
            return self._function_rule(match, scheme, given, scheme_node, path)
        return self._scheme_rule(match, scheme, given, node, path, where)

    def _options(self, entries: dict[str, tuple[ScalarNode, Node]], path: Path) -> dict[str, Any]:
        options = {}
        for name, (_, value) in entries.items():
            if isinstance(value, ScalarNode):
                options[name] = value.value
            else:
                self.mistakes.add(value, step(path, name), f"an option of a scheme is one value, not {shown(value)}")
        return options

    def _function_rule(
        self, match: str, function: Reference, given: dict[str, Any], node: Node, path: Path
    ) -> InitRule | None:
        if not self.allowance.permits(function):
            message = f"{function} is code of your own, and importing it was not allowed"
            hint = f"if you trust it, add {self.allowance.option_for(function)}"
            self.mistakes.add(node, step(path, "scheme"), message, hint)
            return None
        return InitRule(match=match, scheme=function, options=given, where=self.mistakes.document.position(node))

    def _scheme_rule(
        self, match: str, scheme: Scheme, given: dict[str, Any], node: MappingNode, path: Path, where: Position
    ) -> InitRule | None:
        options, wrong = bind_options(scheme, given)
        for mistake in wrong:
            at = node.entries.get(mistake.option or "", (node, node))
            message = mistake.message
            self.mistakes.add(at[0], step(path, mistake.option) if mistake.option else path, message, mistake.hint)
        if wrong:
            return None
        return InitRule(match=match, scheme=scheme, options=options, where=where)
