"""`paramctl schema`."""

from __future__ import annotations

import json
from pathlib import Path

from paramctl.cli import options
from paramctl.cli.output import emit_text


def schema(output: options.File = None) -> None:
    """Print the JSON Schema of a spec, with which an editor completes and checks layers and arguments."""
    from paramctl.sources.spec import catalog
    from paramctl.spec.schema import make_schema

    text = json.dumps(make_schema(catalog()), indent=2, ensure_ascii=False)
    emit_text(f"{text}\n", None if output is None else Path(output))
