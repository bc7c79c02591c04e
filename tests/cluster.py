"""A cluster of two Dask workers: processes of their own, in other directories and environments, for the whole session.

A client leaves threads in this process, beside which nothing is forked any more: `tests/conftest.py` has the tests that
use one come last.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import whilst

_WITH_US = """import ctypes, runpy, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)  # killed as soon as whoever started it is gone
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


class Machines:
    """Starts the processes of a cluster, each in a folder of its own, and ends them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[subprocess.Popen[bytes]] = []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        self._start("dask_scheduler", "--host", self.address, "--no-jupyter")

    def start_worker(self) -> subprocess.Popen[bytes]:
        own = ["--nthreads", "1", "--no-nanny", "--host", "127.0.0.1", "--death-timeout", "60"]
        return self._start("dask_worker", self.address, *own)

    def _start(self, what: str, *options: str) -> subprocess.Popen[bytes]:
        folder = self._folder / f"{what}-{len(self._started)}"
        folder.mkdir()
        env = {**os.environ, "WHILST_TEST_WORKERS": "theirs", "WHILST_TEST_OWN": "theirs"}
        command = [sys.executable, "-c", _WITH_US, f"distributed.cli.{what}", *options, "--no-dashboard"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
        self._started.append(process)
        return process

    def end(self) -> None:
        for process in reversed(self._started):
            process.kill()
        for process in self._started:
            process.wait()


@pytest.fixture(scope="session")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    pytest.importorskip("distributed", reason="Dask is not installed: pip install 'whilst[dask]'")
    machines = Machines(tmp_path_factory.mktemp("cluster"))
    try:
        machines.start_worker()
        machines.start_worker()
        yield machines
    finally:
        machines.end()


@pytest.fixture(scope="session")
def client(machines: Machines) -> Iterator[Any]:
    """Of the cluster, with all the connections and threads that it will ever have."""
    distributed: Any = pytest.importorskip("distributed")
    client = distributed.Client(machines.address, timeout=60, set_as_default=False)
    try:
        client.wait_for_workers(2, timeout=120)
        client.sync(_open_connections, client)
        whilst.map(abs, range(40), on=client)
        yield client
    finally:
        client.close()


async def _open_connections(client: Any) -> None:
    """A client keeps those that it has once needed: let it have all that a test will need at once."""
    await asyncio.gather(*(client.scheduler.ncores() for _ in range(16)))
