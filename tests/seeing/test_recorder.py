"""Programs, run for real: they must not notice, whatever they do, and nothing of the trace may stay behind."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from pathlib import Path

import pytest

import whilst
from whilst.seeing import trace_program
from whilst.seeing.api import TraceBlock
from whilst.seeing.recording import agent
from whilst.seeing.recording.recorder import TraceError, record

FAMILY = """
import glob, os, subprocess, sys, threading, time
def rest(): time.sleep(0.25)
def noted(): return sum(map(os.path.getsize, glob.glob(f"{os.environ['WHILST_TRACE_FOLDER']}/{os.getpid()}-*")))
def rest_until_it_is_noted():
    before = noted()
    while True:
        rest()
        if noted() > before: break
def child():
    pid = os.fork()
    if pid == 0:
        rest_until_it_is_noted()
        os._exit(0)
    os.waitpid(pid, 0)
thread = threading.Thread(target=rest_until_it_is_noted, name="second")
thread.start(); thread.join()
child()
subprocess.run([sys.executable, "-c", "import time; time.sleep(0.25)"], check=True)
subprocess.run(["sleep", "0.05"], check=True)
"""


@pytest.fixture(autouse=True)
def no_folder_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert list(folder.iterdir()) == []


def script(tmp_path: Path, text: str) -> str:
    path = tmp_path / "program.py"
    path.write_text(text)
    return str(path)


def test_threads_and_children_of_every_kind_are_seen(tmp_path: Path) -> None:
    trace = trace_program([script(tmp_path, FAMILY)])
    assert trace.exit_code == 0
    assert "second" in trace.timeline.executors
    sleeps = {(span.executor.split(" (")[0], span.detail) for span in trace.timeline if span.label == "sleep"}
    assert ("second", "rest (program.py:3)") in sleeps
    assert any(where == "<string>:1" for _, where in sleeps)
    if trace.clock == "perf":
        assert any(name.startswith("sleep") for name in trace.timeline.executors)
        assert trace.unknown_share < 0.3


def test_the_clocks_below_the_best_are_said_and_used(tmp_path: Path) -> None:
    path = script(tmp_path, "import time\ntime.sleep(0.3)\n")
    for clock in ("schedstat", "stacks"):
        trace = trace_program([path], clocks=(clock,))
        assert trace.clock == clock
        assert {"schedstat": "counters", "stacks": "guessed"}[clock] in " ".join(trace.notes())
        assert any(span.label == "sleep" for span in trace.timeline)


def test_a_program_that_can_not_be_run_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _, code = record([str(tmp_path / "nothing")], name="nothing")
    assert code == 127
    assert "can't run" in capfd.readouterr().err


def test_a_folder_that_can_not_be_made_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(TraceError, match="TMPDIR"):
        trace_program([script(tmp_path, "pass")])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


def test_a_block_is_traced_with_the_threads_that_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    gate = threading.Event()

    def rest() -> None:
        gate.wait(60)

    with whilst.trace() as trace:
        thread = threading.Thread(target=rest, name="waiter")
        thread.start()
        looking = agent._agent
        assert looking is not None
        while not looking._is_over and looking._seen.get(thread.ident, (0, 0))[1] < 4:  # as often at one place
            time.sleep(0.005)
        gate.set()
        thread.join()
    assert any(span.executor == "waiter" and span.label == "lock:event" for span in trace.timeline)
    assert "in progress" in trace.sentence
    assert "PYTHONPATH" not in os.environ


def test_a_call_is_traced_and_its_error_is_the_callers() -> None:
    calls: list[int] = []
    assert isinstance(whilst.trace(calls.append, 3), whilst.seeing.Trace)
    assert calls == [3]
    with pytest.raises(ZeroDivisionError):
        whilst.trace(lambda: 1 // 0)


def test_a_trace_within_a_trace_is_refused() -> None:
    with whilst.trace(), pytest.raises(TraceError, match="traced already"), TraceBlock():
        pass
