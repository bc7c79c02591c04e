"""Cores and memory by affinity and cgroup, in both versions."""

from __future__ import annotations

import sys
import types

import pytest

from whilst.measuring.machine import cgroup_cores, cgroup_memory_bytes, gil_in_words, look_at_machine


@pytest.fixture
def tree(tmp_path):
    def build(membership, files):
        for name, text in files.items():
            path = tmp_path / "cg" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        member = tmp_path / "cgroup"
        member.write_text(membership)
        return tmp_path / "cg", member

    return build


def test_version_2_quota_of_the_own_group(tree):
    assert cgroup_cores(*tree("0::/a/b\n", {"a/b/cpu.max": "150000 100000\n"})) == 1.5


def test_version_2_the_strictest_ancestor_counts(tree):
    files = {"a/cpu.max": "100000 100000", "a/b/cpu.max": "400000 100000"}
    assert cgroup_cores(*tree("0::/a/b\n", files)) == 1.0


def test_version_2_without_limit(tree):
    assert cgroup_cores(*tree("0::/a\n", {"a/cpu.max": "max 100000"})) is None


def test_version_1_quota(tree):
    files = {"cpu/docker/x/cpu.cfs_quota_us": "50000", "cpu/docker/x/cpu.cfs_period_us": "100000"}
    assert cgroup_cores(*tree("4:cpu:/docker/x\n0::/\n", files)) == 0.5


def test_version_1_without_limit_and_the_mounts_own_root(tree):
    files = {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}
    assert cgroup_cores(*tree("4:cpu:/host/only\n", files)) is None
    files = {"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}
    assert cgroup_cores(*tree("4:cpu:/host/only\n", files)) == 2.0


def test_memory_limits(tree):
    assert cgroup_memory_bytes(*tree("0::/a\n", {"a/memory.max": "1048576"})) == 1 << 20
    assert cgroup_memory_bytes(*tree("0::/b\n", {"b/memory.max": "max"})) is None
    assert (
        cgroup_memory_bytes(*tree("3:memory:/c\n", {"memory/c/memory.limit_in_bytes": str((1 << 63) - 4096)})) is None
    )


def test_unreadable_is_no_limit(tmp_path):
    assert cgroup_cores(tmp_path / "no", tmp_path / "none") is None


def test_this_machine():
    machine = look_at_machine()
    assert machine.cores >= 1
    assert machine.python


def test_what_is_said_of_the_gil(monkeypatch):
    monkeypatch.setattr(sys, "abiflags", "", raising=False)
    assert gil_in_words() == ""
    monkeypatch.setattr(sys, "abiflags", "t")
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    assert gil_in_words() == "no GIL"
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: True)
    monkeypatch.setattr(sys, "_xoptions", {})
    monkeypatch.delenv("PYTHON_GIL", raising=False)
    assert "a module that is not made" in gil_in_words()
    text = "The global interpreter lock (GIL) has been enabled to load module 'some.extension', which has not declared"
    importer = types.ModuleType("importer")
    importer.__warningregistry__ = {"version": 3, (text, RuntimeWarning, 7): True}
    monkeypatch.setitem(sys.modules, "importer", importer)
    assert gil_in_words() == "the GIL is on again because of some.extension"
    monkeypatch.setenv("PYTHON_GIL", "1")
    assert "as PYTHON_GIL" in gil_in_words()
