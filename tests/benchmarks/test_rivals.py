"""The rivals do what they stand for."""

from __future__ import annotations

import typer

from benchmarks.large_specs import write_spec
from benchmarks.rivals.empty_app import app as empty_app
from paramctl.cli.app import app


def options_of(application):
    group = typer.main.get_command(application)
    return {
        name: sorted(option for parameter in command.params for option in parameter.opts)
        for name, command in group.commands.items()
    }


def test_the_empty_application_has_the_same_commands_and_options():
    assert options_of(empty_app) == options_of(app)


def test_layers_that_all_differ_repeat_no_pair_of_widths(tmp_path):
    write_spec(tmp_path / "spec.yaml", 100_000, differ=True)
    lines = (tmp_path / "spec.yaml").read_text().splitlines()[1:]
    assert len(set(lines)) == len(lines)


def test_the_naive_listing_lists_what_paramctl_lists(process, report, tmp_path):
    from benchmarks.harness import RIVALS

    write_spec(tmp_path / "spec.yaml", 5, differ=True)
    shown = process(
        code=f"import sys; sys.argv = ['x', {str(tmp_path / 'spec.yaml')!r}]\nexec(open({str(RIVALS / 'naive_listing.py')!r}).read())"
    ).out
    total = report("list", tmp_path / "spec.yaml")["totals"]["numel"]
    assert shown.splitlines()[-1] == f"{total:,} parameters"
