"""What it costs to open and close worker processes, side by side with the peers' ways.

Usage: python benchmarks/run/startup.py [--rounds N] [--workers N]
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

from whilst.running.backends.processes import ProcessBackend
from whilst.running.jobs import WorkerReady
from whilst.running.worker.parent.fork_server_client import lease


def one(x: int) -> int:
    return x


def bare_interpreter(_: int) -> None:
    subprocess.run([sys.executable, "-S", "-c", "pass"], check=True)


def whilst_cold(workers: int, *, is_forked: bool = False) -> None:
    backend = ProcessBackend(is_forked=is_forked)
    for worker in range(workers):
        backend.start_worker(worker)
    ready = 0
    while ready < workers:
        ready += sum(type(event) is WorkerReady for event in backend.events(None))
    backend.close(kill=False)


def whilst_warm(workers: int) -> None:
    whilst_cold(workers)


def whilst_forked(workers: int) -> None:
    whilst_cold(workers, is_forked=True)


def pool(method: str) -> Callable[[int], None]:
    def run(workers: int) -> None:
        with multiprocessing.get_context(method).Pool(workers) as opened:
            opened.map(one, range(workers), 1)

    return run


def executor(method: str) -> Callable[[int], None]:
    def run(workers: int) -> None:
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context(method)) as opened:
            list(opened.map(one, range(workers)))

    return run


WAYS: dict[str, Callable[[int], None]] = {
    "bare interpreter (floor)": bare_interpreter,
    "whilst, server started too": whilst_cold,
    "whilst, server kept": whilst_warm,
    "whilst, forked program": whilst_forked,
    "Pool, fork": pool("fork"),
    "Pool, forkserver kept": pool("forkserver"),
    "Pool, spawn": pool("spawn"),
    "ProcessPoolExecutor, fork": executor("fork"),
    "ProcessPoolExecutor, spawn": executor("spawn"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(arguments.rounds):
        for way, run in WAYS.items():
            kept = lease() if way == "whilst, server kept" else None
            if kept is not None:
                whilst_cold(1)
            start = time.perf_counter()
            run(arguments.workers)
            times[way].append(time.perf_counter() - start)
            if kept is not None:
                kept.close()
    base = statistics.median(times["Pool, fork"])
    print(f"Python {sys.version.split()[0]}: open {arguments.workers} workers, wait until ready, close;", end=" ")
    print(f"medians of {arguments.rounds} interleaved rounds")
    print(f"  {'':28} {'median':>10} {'spread':>17} {'/ Pool, fork':>13}")
    for way, values in times.items():
        median = statistics.median(values)
        spread = f"{min(values) * 1e3:.1f} … {max(values) * 1e3:.1f}"
        print(f"  {way:28} {median * 1e3:7.1f} ms {spread:>17} {median / base:13.2f}")


if __name__ == "__main__":
    main()
