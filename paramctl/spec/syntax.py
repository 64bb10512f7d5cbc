"""What PyYAML says of a text that is not YAML -> an error with its place and what would be right."""

from __future__ import annotations

import yaml

from paramctl.errors import ParamctlError, Position, failure


def unreadable(error: yaml.reader.ReaderError, text: str, source: str) -> ParamctlError:
    """Return the error for a character that YAML does not allow."""
    before = text.encode()[: error.position].decode(errors="replace")
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    character = error.character if isinstance(error.character, int) else ord(error.character)
    return failure(f"the character U+{character:04X} is not allowed in YAML", where=Position(source, line, column))


def syntax_error(error: yaml.MarkedYAMLError, source: str) -> ParamctlError:
    """Return the error for a text that is not YAML."""
    mark = error.problem_mark or error.context_mark
    where = Position(source, mark.line + 1, mark.column + 1) if mark else source
    message = " ".join(part for part in (error.problem, error.context) if part)
    return failure(f"not valid YAML: {message}", where=where, hint=_syntax_hint(error))


def _syntax_hint(error: yaml.MarkedYAMLError) -> str | None:
    problem = error.problem or ""
    if "cannot start any token" in problem:
        return "YAML indents with spaces, not tabs; a value that begins with @, ` or % must be quoted"
    if "mapping values are not allowed" in problem:
        return "a value that holds a colon followed by a space must be quoted; or the indentation is off"
    if "expected ',' or" in problem or "expected node content" in problem:
        return "a bracket or a comma is missing"
    return None
