"""Calls that are watched in several threads at once have a footprint each, and nothing is lost between them."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from whilst.measuring.files.auditing import Footprint, Watch


def test_each_thread_has_the_footprint_of_its_own_call(tmp_path: Path) -> None:
    together = threading.Barrier(4)
    found: dict[int, list[Footprint]] = {number: [] for number in range(4)}

    def watch_calls(number: int) -> None:
        watch = Watch()
        for turn in range(50):
            together.wait(30)
            watch.begin()
            (tmp_path / f"{number}-{turn}").write_text("x")
            found[number].append(watch.end())

    threads = [threading.Thread(target=watch_calls, args=(number,)) for number in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, footprints in found.items():
        assert [each.writes for each in footprints] == [{str(tmp_path / f"{number}-{turn}")} for turn in range(50)]


def test_what_a_call_has_another_thread_do_is_its_doing(tmp_path: Path) -> None:
    watch = Watch()
    watch.begin()
    thread = threading.Thread(target=(tmp_path / "other").write_text, args=("x",))
    thread.start()
    thread.join()
    assert watch.end().writes == {str(tmp_path / "other")}


def test_calls_within_calls_are_told_apart(tmp_path: Path) -> None:
    outer, inner = Watch(), Watch()
    outer.begin()
    (tmp_path / "before").write_text("x")
    inner.begin()
    (tmp_path / "within").write_text("x")
    assert inner.end().writes == {str(tmp_path / "within")}
    (tmp_path / "after").write_text("x")
    assert outer.end().writes == {str(tmp_path / "before"), str(tmp_path / "after")}


def test_compiled_code_is_nobodys_file_wherever_it_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path / "compiled"))
    (tmp_path / "compiled").mkdir()
    watch = Watch()
    watch.begin()
    (tmp_path / "compiled" / "module.pyc").write_bytes(b"x")
    (tmp_path / "own").write_text("x")
    assert watch.end().writes == {str(tmp_path / "own")}
