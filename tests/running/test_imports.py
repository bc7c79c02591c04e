"""What a run loads: a short one must not wait for modules that it has no use for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import whilst

SOURCE = str(Path(whilst.__file__).parent.parent)
HEAVY = {
    "asyncio",
    "cloudpickle",
    "concurrent.futures",
    "dataclasses",
    "dis",
    "inspect",
    "logging",
    "multiprocessing",
    "pathlib",
    "re",
    "threading",
    "typing",
}


@pytest.mark.parametrize("fn", ["same", "abs", "int"])
@pytest.mark.parametrize("mode", ["auto", "sequential"])
def test_short_calls_in_a_row_load_nothing_heavy(tmp_path: Path, mode: str, fn: str) -> None:
    program = f"""
import sys
before = set(sys.modules)
import whilst
def same(x):
    return x
results = whilst.map({fn}, range(5), mode={mode!r})     # too few to be looked into, however busy the machine is
assert results == list(range(5))
loaded = set(sys.modules) - before
print(*sorted(loaded & {HEAVY!r}))
assert results.decision.mode == "sequential"
"""
    script = tmp_path / "program.py"
    script.write_text(program)
    done = subprocess.run(
        [sys.executable, "-S", str(script)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": SOURCE},
        check=True,
    )
    assert done.stdout == "\n"


def test_processes_that_are_asked_for_load_little_before_they_start(tmp_path: Path) -> None:
    program = f"""
import sys
before = set(sys.modules)
import whilst
assert whilst.map(abs, range(5), mode="parallel", workers=1) == list(range(5))
print(*sorted((set(sys.modules) - before).intersection({sorted(HEAVY)!r})))
"""
    script = tmp_path / "program.py"
    script.write_text(program)
    env = {**os.environ, "PYTHONPATH": SOURCE}
    command = [sys.executable, "-S", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env, check=True)
    assert done.stdout == "\n"


def test_an_error_that_is_loaded_late_is_the_one_that_is_caught() -> None:
    from concurrent.futures import BrokenExecutor

    from whilst.errors import WorkerDiedError

    assert whilst.WorkerDiedError is WorkerDiedError
    assert issubclass(WorkerDiedError, BrokenExecutor)
    assert WorkerDiedError.__module__ == "whilst.errors"


def test_a_loop_does_not_wait_while_an_awaited_run_is_loaded() -> None:
    program = """
import asyncio, sys, threading, whilst
before = set(sys.modules)
async def main():
    whilst.amap
    loaded = set(sys.modules) - before
    assert not {'whilst.running.verbs.run', 'whilst.running.core.driver', 'sysconfig'} & loaded, loaded
    assert await whilst.amap(abs, [-1]) == [1]
asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", program], timeout=60, env={**os.environ, "PYTHONPATH": SOURCE}, check=True)
