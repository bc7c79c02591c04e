"""Workers forked from a program with one thread: they have what it has set, and do nothing that is its to do."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import whilst
from whilst.inspecting.fork_safety import why_not_fork

SOURCE = str(Path(whilst.__file__).parent.parent)

PROGRAM = """
import atexit, pathlib, sys
sys.path.insert(0, {folder!r})
import task
import whilst

task.CONFIG["factor"] = 3                      # set at run time: an import would not find it
log = pathlib.Path({log!r})
atexit.register(lambda: log.write_text((log.read_text() if log.exists() else "") + "the end\\n"))
print("before", end=" ")                       # waits in the buffer while workers are forked
results = whilst.map(task.work, range(60))
assert list(results) == [3 * k for k in range(60)], results[:5]
assert results.decision.mode == "parallel", str(results.decision)
draws = list(whilst.map(task.draw, range(60)))
assert len(set(draws)) == 60, draws
print("after")
"""

TASK = """
import os, time
CONFIG = {}
def burn():
    end = time.thread_time() + 0.01
    while time.thread_time() < end:
        pass
def work(k):
    burn()
    return CONFIG["factor"] * k
def draw(k):
    import random
    burn()
    return random.random()
"""


def run(tmp_path, extra=""):
    (tmp_path / "task.py").write_text(TASK)
    log = tmp_path / "log.txt"
    program = tmp_path / "program.py"
    program.write_text(extra + PROGRAM.format(folder=str(tmp_path), log=str(log)))
    environment = {**os.environ, "PYTHONPATH": SOURCE, "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, timeout=60, env=environment, check=False
    )
    return done, log


@pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="nothing is parallel on one core")
def test_workers_see_what_was_set_and_end_without_the_programs_last_acts(tmp_path):
    done, log = run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "before after\n"
    assert done.stderr == ""
    assert log.read_text() == "the end\n"


@pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="nothing is parallel on one core")
def test_numpy_neither_warns_nor_repeats_its_draws(tmp_path):
    pytest.importorskip("numpy")
    (tmp_path / "task.py").write_text(TASK)
    program = tmp_path / "program.py"
    program.write_text(
        "import numpy, whilst, time\n"
        "def draw(k):\n"
        "    end = time.thread_time() + 0.01\n"
        "    while time.thread_time() < end: pass\n"
        "    return float(numpy.random.random())\n"
        "draws = whilst.map(draw, range(60))\n"
        "assert len(set(draws)) == 60, draws\n"
    )
    environment = {**os.environ, "PYTHONPATH": SOURCE, "PYTHONWARNINGS": "error::DeprecationWarning:__main__"}
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, timeout=60, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_other_threads_stand_in_the_way():
    gate = threading.Event()
    thread = threading.Thread(target=gate.wait)
    thread.start()
    try:
        assert "thread" in why_not_fork()
    finally:
        gate.set()
        thread.join()


def test_open_files_and_connections_stand_in_the_way(tmp_path):
    with (tmp_path / "log").open("w"):
        assert why_not_fork()
