"""Ctrl-C and SIGTERM in the midst of a run: the end comes at once, and nothing is left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from whilst.running.backends.processes import ProcessBackend

SOURCE = Path(__file__).parents[2] / "src"

_PROGRAM = """
import asyncio, os, sys, time, threading
from whilst.running.verbs.api import map, imap
def nap(x):
    os.write(1, b"begun\\n")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(0.01)
def sleep(x):
    os.write(1, b"begun\\n")
    time.sleep(60)
async def wait(x):
    os.write(1, b"begun\\n")
    await asyncio.sleep(60)
try:
    {call}
except KeyboardInterrupt:
    print("interrupted", threading.active_count(), flush=True)
    raise
"""

CALLS = {
    "sequential": "map(sleep, range(3), mode='sequential')",
    "auto": "map(sleep, range(3))",
    "threads": "map(nap, range(6), mode='concurrent', workers=3)",
    "threads in C": "map(sleep, range(6), mode='concurrent', workers=3)",
    "lazy threads": "list(imap(nap, range(6), mode='concurrent', workers=3))",
    "coroutines": "map(wait, range(6), mode='concurrent')",
    "lazy coroutines": "list(imap(wait, range(6), mode='concurrent'))",
    "processes": "map(nap, range(6), mode='parallel', workers=2)",
    "processes*threads": "map(sleep, range(6), mode='combined', workers=2)",
    "processes*eventloop": "map(wait, range(6), mode='combined', workers=2)",
}


def begin(call: str) -> subprocess.Popen[str]:
    program = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM.format(call=call)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        start_new_session=True,
    )
    assert program.stdout is not None
    first = program.stdout.readline()
    if first != "begun\n":
        program.kill()
        pytest.fail(f"{first!r} {program.communicate()}")
    return program


def assert_no_children(children: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not [child for child in alive if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("call", CALLS.values(), ids=[name.replace(" ", "-") for name in CALLS])
def test_ctrl_c_ends_a_run_with_keyboard_interrupt(call: str) -> None:
    with begin(call) as program:
        children = psutil.Process(program.pid).children(recursive=True)
        program.send_signal(signal.SIGINT)
        start = time.monotonic()
        out, err = program.communicate(timeout=30)
        assert "interrupted" in out, err
        assert "KeyboardInterrupt" in err
        assert program.returncode in (-signal.SIGINT, 130, 1)
        assert time.monotonic() - start < 20  # of 60: the calls were not waited for
    assert_no_children(children)


@pytest.mark.parametrize("name", ["threads", "coroutines", "processes"])
def test_sigterm_ends_the_program_and_its_workers(name: str) -> None:
    with begin(CALLS[name]) as program:
        children = psutil.Process(program.pid).children(recursive=True)
        program.send_signal(signal.SIGTERM)
        program.communicate(timeout=30)
        assert program.returncode == -signal.SIGTERM
    assert_no_children(children)


class OverTimeError(Exception):
    pass


def raise_over_time(*_: object) -> None:
    raise OverTimeError


def signalling(function: Callable[..., object], *, is_before: bool) -> Callable[..., object]:
    """The function, with a signal right before or after it, as it may come by chance."""

    def call(*args: object, **kwargs: object) -> object:
        if is_before:
            signal.raise_signal(signal.SIGUSR1)
        result = function(*args, **kwargs)
        if not is_before:
            signal.raise_signal(signal.SIGUSR1)
        return result

    return call


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs forks")
@pytest.mark.parametrize("is_forked", [True, False])
@pytest.mark.parametrize("is_before", [True, False])
@pytest.mark.parametrize("name", ["posix_spawn", "fork", "waitpid", "pidfd_open", "close"])
def test_a_handler_that_raises_leaves_no_process_and_no_file(
    name: str, is_before: bool, is_forked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it raises: in the start of a process and in its end."""
    usual = signal.signal(signal.SIGUSR1, raise_over_time)
    program = psutil.Process()
    files, processes = program.num_fds(), program.children()
    backend = ProcessBackend(is_forked=is_forked)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(os, name, signalling(getattr(os, name), is_before=is_before))
            for worker in range(2):
                with contextlib.suppress(OverTimeError):
                    backend.start_worker(worker)
            for _ in range(2):
                with contextlib.suppress(OverTimeError):
                    backend.close(kill=True)
        backend.close(kill=True)
    finally:
        signal.signal(signal.SIGUSR1, usual)
    assert program.children() == processes  # one that has ended and was not waited for is a child still
    assert program.num_fds() == files
