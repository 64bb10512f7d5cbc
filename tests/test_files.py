from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from paramctl.errors import ParamctlError
from paramctl.files import replacing


def test_a_file_appears_only_once_the_block_succeeded(tmp_path):
    target = tmp_path / "report.json"
    with replacing(target, "--output") as temporary:
        temporary.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_an_interruption_leaves_the_old_file_and_no_other(tmp_path):
    target = tmp_path / "report.json"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(target, "--output") as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_what_a_link_points_to_is_replaced_and_the_link_stays(tmp_path):
    target, link = tmp_path / "real", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    with replacing(link, "--output") as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_replaced_file_keeps_its_permissions_and_a_new_one_gets_the_usual_ones(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.touch()
    old.chmod(0o640)
    for path in (old, new):
        with replacing(path, "--output") as temporary:
            temporary.write_text("x")
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    assert stat.S_IMODE(new.stat().st_mode) == 0o666 & ~mask


def test_what_is_no_regular_file_is_written_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with replacing(pipe, "--output") as temporary:
        assert temporary == pipe
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_pipe_that_has_a_path_in_dev_alone_is_written(tmp_path):
    reading, writing = os.pipe()
    with replacing(Path(f"/dev/fd/{writing}"), "--output") as temporary:
        temporary.write_text("x")
    os.close(writing)
    with os.fdopen(reading) as stream:
        assert stream.read() == "x"


def test_a_name_that_no_file_can_have_is_an_error(tmp_path):
    for name in ("a" * 5000, "b" * 255):
        with pytest.raises(ParamctlError, match="cannot write"), replacing(tmp_path / name, "--out"):
            pass


def test_a_directory_and_a_missing_directory_are_refused(tmp_path):
    with pytest.raises(ParamctlError, match="is a directory"), replacing(tmp_path, "--output"):
        pass
    with pytest.raises(ParamctlError, match="there is no directory"), replacing(tmp_path / "no" / "x", "--output"):
        pass


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path):
    if not os.path.exists("/dev/full"):  # noqa: PTH110  a device, not a path of ours
        pytest.skip("this system has no /dev/full")
    with (
        pytest.raises(ParamctlError, match="No space left on device"),
        replacing(tmp_path / "x", "--out"),
        open("/dev/full", "w") as full,  # noqa: PTH123
    ):
        full.write("x")
