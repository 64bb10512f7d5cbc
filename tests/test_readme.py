"""Every command in README.md is executed, and shows what README.md shows.

After a change of the output, `python tests/test_readme.py` writes what the commands show now into README.md.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
MISSPELT = "layers:\n  - Linaer: {in_features: 64, out_features: 32}\n  - Linear: {in_featurs: 32, out_features: 10, bias: no}\nlos: mse\n"


def blocks(language):
    return [found["body"] for found in BLOCK.finditer(README.read_text()) if found["language"] == language]


def write_files(directory):
    """Write the files that README.md shows, by the name in their first line, and the one that it shows the mistakes of."""
    for body in (*blocks("yaml"), *blocks("python")):
        name = body.splitlines()[0].removeprefix("# ")
        (directory / name).write_text(body)
    (directory / "misspelt.yaml").write_text(MISSPELT)


def shown_by(command, directory):
    """Return what a command shows on a terminal of 80 columns, without the `id()`s, which are others in every run."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "COLUMNS": "80", "CUDA_VISIBLE_DEVICES": ""}
    environment.pop("FORCE_COLOR", None)
    done = subprocess.run(
        command,
        shell=True,
        cwd=directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return "\n".join(line.rstrip() for line in without_ids(done.stdout).splitlines()) + "\n"


def without_ids(text):
    return re.sub(r"\bid \d+ ?", "id 140282155184912 ", text)


def commands(body):
    return [line.removeprefix("$ ") for line in body.splitlines() if line.startswith("$ ")]


def run_console(body, directory):
    """Return a console block with what its commands show, each behind an empty line."""
    return "\n".join(f"$ {command}\n{shown_by(command, directory)}" for command in commands(body))


def run_pycon(body):
    """Return an interactive session with what its lines show."""
    names: dict[str, object] = {}
    session = []
    for example in doctest.DocTestParser().get_examples(body):
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            exec(compile(example.source, "README.md", "single"), names)
        session += [f">>> {example.source}", *(line.rstrip() + "\n" for line in shown.getvalue().splitlines())]
    return "".join(session)


@pytest.mark.parametrize("index", range(len(blocks("console"))))
def test_a_console_block_shows_what_its_commands_show(index, tmp_path):
    write_files(tmp_path)
    body = blocks("console")[index]
    assert run_console(body, tmp_path) == without_ids(body)


def test_the_python_session_shows_what_python_shows():
    (body,) = blocks("pycon")
    assert run_pycon(body) == body


def test_no_line_of_output_is_wider_than_80_columns():
    outputs = [line for body in blocks("console") for line in body.splitlines() if not line.startswith("$ ")]
    wide = [
        line
        for line in outputs
        if len(line) > 80 and not line.lstrip().startswith(('{"', '"totals"', "error:", "hint:"))
    ]
    assert wide == []


def test_the_schema_command_of_the_text_writes_a_schema(tmp_path):
    command = re.search(r"`(paramctl schema [^`]*)`", README.read_text())[1]
    assert shown_by(command, tmp_path) == "\n"
    assert (tmp_path / "spec.schema.json").stat().st_size > 10_000


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README.read_text()):
        assert (ROOT / target).is_file()
    titles = re.findall(r"^#+ (.*)$", BLOCK.sub("", README.read_text()), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
    assert set(re.findall(r"\]\(#([^)]+)\)", README.read_text())) <= anchors


@pytest.mark.slow
def test_make_run_runs_the_main_job_without_installing_again():
    done = subprocess.run(["make", "run"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "61,100,840" in done.stdout
    assert "pip install" not in done.stdout


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        write_files(Path(directory))

        def rewritten(found: re.Match[str]) -> str:
            run = {"console": lambda body: run_console(body, directory), "pycon": run_pycon}.get(found["language"])
            body = run(found["body"]) if run else found["body"]
            return f"```{found['language']}\n{body}```"

        README.write_text(BLOCK.sub(rewritten, README.read_text()))
