"""The contract of directory and environment: a call finds those of the moment in which it was asked for."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import calls

from whilst.running.executor.executor import Executor
from whilst.running.options import Keywords
from whilst.running.verbs.api import map  # noqa: A004

NAME = "WHILST_CONTRACT"


def test_an_open_executor_follows_the_working_directory(
    way: Keywords, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Executor(**way) as executor:
        for name in ("first", "second", "first"):
            place = tmp_path / name
            place.mkdir(exist_ok=True)
            monkeypatch.chdir(place)
            futures = [executor.submit(calls.where, n) for n in range(4)]
            assert {future.result(30) for future in futures} == {os.path.realpath(place)}


def test_an_open_executor_follows_the_environment(way: Keywords, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAME, raising=False)
    with Executor(**way) as executor:
        assert executor.submit(calls.environment, NAME).result(30) is None
        monkeypatch.setenv(NAME, "one")
        assert list(executor.map(calls.environment, [NAME] * 4)) == ["one"] * 4
        monkeypatch.setenv(NAME, "two")
        assert list(executor.map(calls.environment, [NAME] * 4)) == ["two"] * 4
        monkeypatch.delenv(NAME)
        assert list(executor.map(calls.environment, [NAME] * 4)) == [None] * 4


def test_an_open_executor_follows_the_warning_filters(way: Keywords) -> None:
    with Executor(**way) as executor, warnings.catch_warnings():
        for action in ("ignore", "error", "ignore"):
            warnings.simplefilter(action)
            futures = [executor.submit(calls.warned, n) for n in range(2)]
            assert {future.result(30) for future in futures} == {action}


def test_a_map_beside_an_open_executor_follows_both(
    way: Keywords, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The server that forks workers is shared by all, and was started with what held then.
    with Executor(mode="parallel", workers=1) as executor:
        executor.submit(calls.where, 0).result(30)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv(NAME, "here")
        assert set(map(calls.where, range(4), **way)) == {os.path.realpath(tmp_path)}
        assert map(calls.environment, [NAME] * 4, **way) == ["here"] * 4


@pytest.mark.parametrize("mode", ["parallel", "combined"])
def test_a_submitted_call_keeps_what_held_when_it_was_submitted(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    before = os.path.realpath(Path.cwd())
    with Executor(mode=mode, workers=1) as executor:
        held = executor.submit(gate.read_text)
        monkeypatch.setenv(NAME, "submitted")
        waiting = [executor.submit(calls.where, 0), executor.submit(calls.environment, NAME)]
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv(NAME, "later")
        gate.write_text("open")
        assert held.result(30) == "open"
        assert [future.result(30) for future in waiting] == [before, "submitted"]


def test_what_an_import_in_a_worker_sets_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    with Executor(mode="parallel", workers=1) as executor:
        executor.submit(calls.set_environment, "WHILST_LIBRARY", "set").result(30)
        monkeypatch.setenv(NAME, "changed")
        assert executor.submit(calls.environment, NAME).result(30) == "changed"
        assert executor.submit(calls.environment, "WHILST_LIBRARY").result(30) == "set"


LAST_WORDS = """
import atexit, sys, time, whilst

def call(i):
    end = time.perf_counter() + 0.01
    while time.perf_counter() < end:
        pass
    if i % 40 == 30:
        atexit.register(print, "bye", i)
    return i

results = whilst.map(call, range(100), mode=sys.argv[1])
print(results == list(range(100)), any("atexit" in each for each in results.decision.given_up))
"""


@pytest.mark.parametrize(
    ("mode", "said"),
    [("auto", "True False\nbye 70\nbye 30\n"), ("sequential", "True False\nbye 70\nbye 30\n"), ("parallel", None)],
)
def test_what_calls_register_for_the_programs_end_runs_then_or_is_given_up_by_name(mode: str, said: str | None) -> None:
    done = subprocess.run([sys.executable, "-c", LAST_WORDS, mode], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert done.stdout == said if said is not None else done.stdout.startswith("True True\n")
