"""What the machine does not give: threads, `poll`, files, memory. The run goes on without, or says what is missing."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"

NO_THREADS = """
import _thread, threading
def start(*_, **__):
    raise RuntimeError("can't start new thread")
_thread.start_new_thread = threading._start_new_thread = threading._start_joinable_thread = start
"""
NO_POLL = """
import select
del select.poll, select.epoll
"""


def run(limit: str, call: str) -> subprocess.CompletedProcess[str]:
    """Make the call under this limit, in a program of its own."""
    program = """
    import time, whilst
    def work(x):
        deadline = time.thread_time() + 0.02
        while time.thread_time() < deadline:
            pass
        return x
    def wait(x):
        time.sleep(0.02)
        return x
    """
    shown = "print(results == list(range(20)), results.decision.mode.value, results.decision)"
    code = f"{textwrap.dedent(program)}\n{limit}\nresults = {call}\n{shown}"
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment)


@pytest.mark.parametrize("fn", ["work", "wait"])
def test_auto_completes_without_a_thread_to_be_had(fn: str) -> None:
    done = run(NO_THREADS, f"whilst.map({fn}, range(20))")
    assert done.stdout.startswith("True"), done.stderr


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="no worker processes here")
@pytest.mark.parametrize("mode", ["auto", "parallel", "combined"])
def test_processes_are_served_where_poll_was_patched_away(mode: str) -> None:
    done = run(NO_POLL, f"whilst.map(work, range(20), mode={mode!r})")
    assert done.stdout.startswith("True"), done.stderr
