"""In a real kernel: the bar, what shows itself in a cell, short lines, and what the stop button leaves to read."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import whilst

STORY = Path(__file__).parents[2] / "examples" / "story.toml"
CELLS = [
    """
import os, signal, time
import whilst

started = time.monotonic()

def slow(number):
    time.sleep(0.001)
    return number

def stop(number):
    if number == 28:
        signal.raise_signal(signal.SIGINT)
    return number

def stop_there(number):
    if number == 28:
        os.kill(os.getpid(), signal.SIGINT)
    while number > 28 and time.monotonic() < started + 60:
        time.sleep(0.005)
    return number

def add(state):
    state.append(1)
""",
    "results = whilst.map(slow, range(40), mode='concurrent', workers=4, progress=True)\nresults",
    "results.decision",
    "results.timeline",
    f"whilst.plan({str(STORY)!r}, 'combined')",
    "whilst.check(list, [add, add])",
    "whilst.compare(slow, range(3), modes=['sequential', 'concurrent'])",
    "whilst.map(stop, range(1000), mode='sequential')",
    "for number in whilst.imap(stop, range(1000), mode='sequential'):\n    pass",
    "await whilst.amap(stop_there, range(1000), mode='concurrent', workers=2)",
]
# In a process of its own, so that nothing that a client of kernels starts or warns of is the tests'.
RUN = """
import json, sys
import nbformat
from nbclient import NotebookClient
cells = [nbformat.v4.new_code_cell(source) for source in json.load(sys.stdin)]
notebook = nbformat.v4.new_notebook(cells=cells)
NotebookClient(notebook, timeout=120, kernel_name="python3", allow_errors=True).execute()
json.dump([cell.outputs for cell in notebook.cells], sys.stdout)
"""


def executed(folder: Path) -> list[list[dict[str, Any]]]:
    for name in ("nbclient", "ipykernel"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"no {name} here, which a notebook is run with")
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps(CELLS),
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, "IPYTHONDIR": str(folder), "JUPYTER_RUNTIME_DIR": str(folder), "PYTHONWARNINGS": ""},
    )
    assert done.returncode == 0, done.stderr
    outputs: list[list[dict[str, Any]]] = json.loads(done.stdout)
    return outputs


def test_a_notebook_shows_bars_pictures_and_how_far_a_stopped_run_was(tmp_path: Path) -> None:
    imports, mapped, decided, *drawn, stopped, lazy, awaited = executed(tmp_path)
    assert imports == []
    bar, results = mapped
    assert bar["output_type"] == "display_data"
    assert '<progress value="40" max="40"' in bar["data"]["text/html"]
    assert "40 of 40" in bar["data"]["text/plain"]
    assert "40 calls in" in results["data"]["text/html"]
    assert decided[-1]["data"]["text/html"].startswith("<p>concurrent, 4 threads: as asked")
    for outputs, said in zip(drawn, ("slow", "makespan", "isolated", "concurrent"), strict=True):
        assert "data" in outputs[-1], outputs
        shown = outputs[-1]["data"]
        assert said in shown["text/html"]
        assert len(shown["text/html"]) < 20_000
        assert "<script" not in shown["text/html"]
        assert len(shown["text/plain"]) < 200
    for (error,) in (stopped, lazy):
        assert error["ename"] == "KeyboardInterrupt"
        told = "\n".join(error["traceback"])
        assert " of 1,000 calls done" in told
        assert "raise_signal" in told
        assert "running/verbs" not in told.replace("\\", "/")
    (error,) = awaited
    assert error["ename"] == "CancelledError", "which is what a kernel makes of Ctrl-C"
    told = "\n".join(error["traceback"])
    assert " of 1,000 calls done" in told
    assert "1,000 of" not in told
    assert "running/verbs" not in told.replace("\\", "/")


def test_an_interrupted_run_says_how_far_it_was_and_shows_only_its_verb() -> None:
    def stop(number: int) -> int:
        if number == 2:
            signal.raise_signal(signal.SIGINT)
        return number

    with pytest.raises(KeyboardInterrupt) as caught:
        whilst.map(stop, range(1000), mode="sequential")
    assert any("of 1,000 calls done" in note for note in caught.value.__notes__)
    names = [frame.name for frame in traceback.extract_tb(caught.tb)]
    assert names[1:] == ["map", "_map", "run_to_end", "stop"]


def interrupt(number: int) -> int:
    if number == 28:
        signal.raise_signal(signal.SIGINT)
    return number


@pytest.mark.parametrize("mode", ["sequential", "auto"])
def test_an_interrupted_stream_says_how_far_it_was(mode: Any) -> None:
    seen: list[int] = []
    with pytest.raises(KeyboardInterrupt) as caught:
        seen.extend(whilst.imap(interrupt, range(1000), mode=mode))
    assert caught.value.__notes__[-1] == "whilst: 28 of 1,000 calls done"
    names = [frame.name for frame in traceback.extract_tb(caught.tb)]
    assert names[1:] == ["_stream", "interrupt"]


async def awaited() -> None:
    await whilst.amap(interrupted, range(1000), mode="concurrent", workers=2)


async def read() -> None:
    async for _ in whilst.aimap(interrupted, range(1000), mode="concurrent", workers=2):
        pass


def interrupted(number: int) -> int:
    if number == 28:
        os.kill(os.getpid(), signal.SIGINT)
    if number > 28:
        time.sleep(0.05)  # long before the last of them the loop has heard of it
    return number


@pytest.mark.parametrize("program", [awaited, read])
def test_ctrl_c_in_an_async_program_says_how_far_its_run_was(program: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with pytest.raises(KeyboardInterrupt) as caught:
        asyncio.run(program())
    cancelled = caught.value.__context__
    assert isinstance(cancelled, asyncio.CancelledError)
    (note,) = cancelled.__notes__
    assert re.fullmatch(r"whilst: \d+ of 1,000 calls done", note)
    ours = [frame.filename for frame in traceback.extract_tb(cancelled.__traceback__) if "verbs" in frame.filename]
    assert {Path(each).name for each in ours} <= {"awaitable.py"}


def test_lines_are_short() -> None:
    results = whilst.map(str, range(1000), mode="sequential")
    assert repr(results.decision) == "<Decision: sequential, in the calling thread: as asked>"
    assert repr(results.timeline).startswith("<Timeline: str: ")
    assert len(repr(results.timeline)) < 120
    verdict = whilst.check(list, [lambda state: state.append(1)])
    assert repr(verdict).startswith("<Verdict: isolated: ")
    assert repr(whilst.imap(abs, range(1000))) == "<Stream: abs: 0 of 1,000 calls done>"
    assert repr(whilst.aimap(abs, range(1000))) == "<AsyncStream: nothing begun>"
    assert repr(whilst.trace()) == "<TraceBlock: not ended>"
