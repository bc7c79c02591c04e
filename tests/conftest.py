"""What every test is held to: it leaves nothing behind."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing import shared_memory
from pathlib import Path

import hypothesis
import psutil
import pytest
from tests.cluster import client, machines  # noqa: F401 - fixtures, for all tests

# Run in the background of a shell, this process ignores Ctrl-C, and so would every program that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says how busy the machine is; claims about speed are benchmarks.
hypothesis.settings.register_profile("whilst", deadline=None)
hypothesis.settings.load_profile("whilst")

# What the test run itself keeps: pytest-timeout's and xdist's own threads, coverage's control files.
_PATIENCE_S = 5.0
_SEGMENTS = f"psm{os.getpid():06x}"
"""How the segments are called that this process and its forks make: another suite may run at the same time."""
shared_memory._SHM_NAME_PREFIX = f"/{_SEGMENTS}"  # type: ignore[attr-defined]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have what uses a cluster come last, each with the client there before anything is counted.

    What the contract asks of a cluster does not depend on the Python version: of all that CI runs, the oldest does it.
    """
    others, cluster, spared = [], [], []
    for item in items:
        is_contract = isinstance(item, pytest.Function) and "on-a-cluster" in item.name
        if is_contract and "CI" in os.environ and sys.version_info[:2] != (3, 11):
            spared.append(item)
        elif is_contract or "client" in getattr(item, "fixturenames", ()):
            # A list of its own: all tests of one function share theirs, and those elsewhere would have a client, too.
            names: list[str] = getattr(item, "fixturenames", [])
            item.fixturenames = ["client", *(name for name in names if name != "client")]  # type: ignore[attr-defined]
            item.add_marker(pytest.mark.filterwarnings("ignore::DeprecationWarning:distributed.*"))
            cluster.append(item)
        else:
            others.append(item)
    items[:] = others + cluster
    config.hook.pytest_deselected(items=spared)


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that ends with a thread, child process, open file or shared-memory segment it did not find.

    Ending is allowed to take a moment (a daemon thread past its last instruction, a child being reaped), so the
    check polls; a test that really leaks waits the patience out and fails with the names.
    """
    before = _Belongings.now()
    yield
    if request.node.get_closest_marker("leaves_behind"):
        return
    deadline = time.monotonic() + _PATIENCE_S
    while (left := _Belongings.now().beyond(before)) and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)
    assert not left, f"left behind: {', '.join(left)}"


class _Belongings:
    """Threads, children, open files and shared memory of this process at one moment."""

    def __init__(self, named: dict[tuple[str, object], str]) -> None:
        self._named = named

    @classmethod
    def now(cls) -> _Belongings:
        named: dict[tuple[str, object], str] = {}
        for thread in threading.enumerate():
            named["thread", thread.ident] = f"thread {thread.name}"
        for child in psutil.Process().children(recursive=True):
            try:
                # A process that multiprocessing keeps for its own book-keeping, once a test has used it.
                command = " ".join(child.cmdline())
                if "multiprocessing" in command and ("resource_tracker" in command or "forkserver" in command):
                    continue
                named["process", child.pid] = f"process {child.pid} ({command[:80] or child.name()})"
            except psutil.Error:
                continue
        for number, target in _open_files():
            named["file", (number, target)] = f"file {number} -> {target}"
        shared = Path("/dev/shm")
        if shared.is_dir():
            for entry in shared.iterdir():
                if entry.name.startswith(("whilst", _SEGMENTS)):
                    named["shared memory", entry.name] = f"shared memory {entry.name}"
        return cls(named)

    def beyond(self, earlier: _Belongings) -> list[str]:
        return [name for key, name in self._named.items() if key not in earlier._named]


def _open_files() -> Iterator[tuple[int, str]]:
    directory = Path("/proc/self/fd")
    if not directory.is_dir():
        return
    for entry in directory.iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        # Only what is a resource of its own: regular files elsewhere, pipes, sockets, memory files.
        if target.startswith(("pipe:", "socket:", "/memfd:", "/dev/shm/", "/tmp/")):
            yield int(entry.name), target
