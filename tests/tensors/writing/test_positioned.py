"""Bytes at their places in a file, past the page cache and through it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from paramctl.tensors.writing import positioned
from paramctl.tensors.writing.positioned import writing_at

LARGE = 2**26 + 12_345
"""Bytes of a file that is written past the cache, and ends inside a page."""


def bytes_of_file(path):
    return (
        torch.tensor(list(path.read_bytes()), dtype=torch.uint8)
        if path.stat().st_size < 10
        else torch.from_file(str(path), size=path.stat().st_size, dtype=torch.uint8)
    )


def written(path, data, cuts):
    path.touch()
    with writing_at(path, len(data)) as write:
        for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True):
            write(data[start:stop], start)
    return bytes_of_file(path)


@pytest.fixture(scope="module")
def data():
    return torch.randint(0, 256, (LARGE,), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [0, 1, 4096, 100_000])
def test_a_small_file_holds_what_was_written(tmp_path, data, size):
    assert torch.equal(written(tmp_path / "x", data[:size], []), data[:size])


@settings(max_examples=12, deadline=None)
@given(cuts=st.lists(st.integers(0, LARGE), max_size=6).map(sorted))
def test_a_large_file_holds_what_was_written_however_it_is_cut(tmp_path_factory, data, cuts):
    assert torch.equal(written(tmp_path_factory.mktemp("large") / "x", data, cuts), data)


def test_many_runs_inside_one_page_and_across_pages_keep_their_neighbours(tmp_path, data):
    cuts = [*range(1, 20_000, 777), *range(20_000, LARGE, 3_000_001)]
    assert torch.equal(written(tmp_path / "x", data, cuts), data)


def test_runs_that_threads_write_in_any_order_are_all_there(tmp_path, data, monkeypatch):
    monkeypatch.setattr(positioned, "_BEGUN", 3)  # far fewer than the ends of runs that wait for what follows
    cuts = [0, *range(333, LARGE, 77_777), LARGE]
    runs = list(pairwise(cuts))
    Random(0).shuffle(runs)
    (tmp_path / "x").touch()
    with writing_at(tmp_path / "x", LARGE) as write, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda run: write(data[slice(*run)], run[0]), runs))
    assert torch.equal(bytes_of_file(tmp_path / "x"), data)


def test_runs_that_follow_one_another_pass_the_cache_but_for_the_first_and_last_page(tmp_path, data, monkeypatch):
    cached, write_cached = [], positioned._write
    monkeypatch.setattr(positioned, "_IN_FLIGHT", 1000)
    monkeypatch.setattr(positioned, "_write", lambda *where: cached.append(len(where[1])) or write_cached(*where))
    (tmp_path / "x").touch()
    with writing_at(tmp_path / "x", LARGE) as write:
        for start in range(8, LARGE, 99_999):
            write(data[start : start + 99_999], start)
    assert sum(cached) < 2 * 4096
    assert torch.equal(bytes_of_file(tmp_path / "x")[8:], data[8:])


def test_what_is_in_front_of_the_first_byte_written_stays(tmp_path, data):
    (tmp_path / "x").write_bytes(b"header")
    with writing_at(tmp_path / "x", LARGE) as write:
        write(data[6:], 6)
    assert (tmp_path / "x").read_bytes()[:6] == b"header"
    assert torch.equal(bytes_of_file(tmp_path / "x")[6:], data[6:])


def test_a_disk_that_wants_another_alignment_is_written_through_the_cache(tmp_path, data, monkeypatch):
    monkeypatch.setattr(positioned, "_ALIGNMENT", 1)  # which the kernel refuses
    assert torch.equal(written(tmp_path / "x", data, [333]), data)


def test_what_comes_faster_than_the_disk_takes_it_goes_through_the_cache(tmp_path, data, monkeypatch):
    monkeypatch.setattr(positioned, "_IN_FLIGHT", 1)
    assert torch.equal(written(tmp_path / "x", data, [333, 2**25 + 1]), data)
    monkeypatch.setattr(positioned, "_IN_FLIGHT", 0)
    assert torch.equal(written(tmp_path / "y", data, [333, 2**25 + 1]), data)


def test_a_failure_in_a_writing_thread_is_raised(tmp_path, data):
    path = tmp_path / "x"
    path.touch()
    with path.open("r+b") as file, path.open("rb") as not_writable:
        writer = positioned._DirectWriter(file.fileno(), not_writable.fileno())
        with pytest.raises(OSError, match="Bad file descriptor"), writer.all_written() as write:
            write(data, 0)


def test_the_file_has_its_whole_size_before_anything_is_written(tmp_path):
    (tmp_path / "x").touch()
    with writing_at(tmp_path / "x", LARGE):
        assert (tmp_path / "x").stat().st_size == LARGE
