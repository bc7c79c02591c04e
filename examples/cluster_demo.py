"""A Dask cluster of two workers on this machine, each in a folder of its own; a real job on it, and who did what when.

Run: make cluster-demo
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import socket

import distributed

import whilst

SEATS = 2
"""Threads of each Dask worker."""


def count_primes(start: int) -> tuple[int, str]:
    """How many primes there are among the next 20,000 numbers, and in which folder the worker was started."""
    count = sum(
        all(number % each for each in range(2, int(number**0.5) + 1)) for number in range(start, start + 20_000)
    )
    return count, os.environ["WORKER_FOLDER"]


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """A scheduler and two workers, processes of their own; gives the scheduler's address."""
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    options = {
        "scheduler": ["--host", address, "--no-jupyter"],
        "worker-a": [address, "--nthreads", str(SEATS), "--host", "127.0.0.1"],
        "worker-b": [address, "--nthreads", str(SEATS), "--host", "127.0.0.1"],
    }
    started = []
    try:
        for name, given in options.items():
            (folder / name).mkdir()
            module = f"distributed.cli.dask_{name.partition('-')[0]}"
            env = {**os.environ, "WORKER_FOLDER": name}
            command = [sys.executable, "-m", module, *given, "--no-dashboard"]
            with (folder / name / "log").open("wb") as log:
                started.append(subprocess.Popen(command, cwd=folder / name, env=env, stdout=log, stderr=log))
        yield address
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, cluster(Path(folder)) as address:
        print(f"Starting a scheduler at {address} and two workers ...")
        with distributed.Client(address, timeout=60) as client:
            client.wait_for_workers(2, timeout=60)
            found = whilst.map(count_primes, range(0, 1_200_000, 20_000), on=client)
        print(f"{sum(count for count, _ in found):,} primes below 1,200,000")
        for name in sorted({name for _, name in found}):
            print(f"{sum(each == name for _, each in found)} of {len(found)} calls were made by {name}")
        print(found.decision)
        found.timeline.show()


if __name__ == "__main__":
    main()
