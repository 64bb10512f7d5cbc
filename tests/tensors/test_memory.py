from __future__ import annotations

import pytest

from paramctl.errors import ParamctlError
from paramctl.tensors import memory


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A made-up /proc and cgroup tree; the files are what the kernel would write."""
    monkeypatch.setattr(memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "cgroup")

    def write(path, text):
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    write("proc/meminfo", "MemTotal: 2000 kB\nMemFree: 10 kB\nMemAvailable:    1000 kB\n")
    write("proc/self/statm", "100 50 20 1 0 60 0\n")
    return write


def test_the_system_says_what_is_available(system):
    assert memory.available_bytes() == 1000 * 1024


def test_the_second_cgroup_hierarchy_and_every_group_above_count(system):
    system("proc/self/cgroup", "0::/outer/inner\n")
    system("cgroup/outer/inner/memory.max", "max\n")
    system("cgroup/outer/inner/memory.current", "500\n")
    system("cgroup/outer/memory.max", "9000\n")
    system("cgroup/outer/memory.current", "5000\n")
    system("cgroup/outer/memory.stat", "anon 10\ninactive_file 2000\n")
    assert memory.available_bytes() == 9000 - 5000 + 2000


def test_the_first_cgroup_hierarchy_counts(system):
    system("proc/self/cgroup", "5:cpu:/x\n4:memory:/x\n0::/\n")
    system("cgroup/memory/x/memory.limit_in_bytes", "7000\n")
    system("cgroup/memory/x/memory.usage_in_bytes", "6000\n")
    system("cgroup/memory/x/memory.stat", "cache 1\ntotal_inactive_file 500\n")
    assert memory.available_bytes() == 1500


def test_an_rlimit_leaves_what_is_not_used_of_it(system, monkeypatch):
    import resource

    limits = {resource.RLIMIT_AS: 150 * resource.getpagesize(), resource.RLIMIT_DATA: resource.RLIM_INFINITY}
    monkeypatch.setattr(resource, "getrlimit", lambda which: (limits[which], resource.RLIM_INFINITY))
    assert memory.available_bytes() == 50 * resource.getpagesize()


def test_what_is_used_up_leaves_nothing(system):
    system("proc/self/cgroup", "0::/x\n")
    system("cgroup/x/memory.max", "100\n")
    system("cgroup/x/memory.current", "200\n")
    assert memory.available_bytes() == 0


def test_the_refusal_has_both_numbers(system):
    with pytest.raises(
        ParamctlError,
        match=r"the values would take 1,001 KiB of memory \(1,025,000 bytes\); 1,000 KiB are available \(1,024,000 bytes\)",
    ):
        memory.ensure_fits(1_025_000, "the values")
    memory.ensure_fits(1_024_000, "the values")


def test_here_something_is_available():
    assert memory.available_bytes() > 2**20
