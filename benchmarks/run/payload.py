"""Payloads from 1 B to 64 MiB there and back, against the pools that people use; cold start included.

Arrays and byte strings of one size, as many as make a run worth timing; two workers; the peers with their best
chunk size for that (1 for large items). Each way has a program of its own, as its user would have, so that no pool
lives beside another's threads: *first* is its first run, with the import of the library, *again* the one after it.
What counts are the ratios of interleaved rounds.

Usage: python benchmarks/run/payload.py [--rounds N] [--kind array|bytes] [--only SIZE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

CORES = 2
SIZES = [1, 1 << 10, 1 << 14, 1 << 17, 1 << 20, 8 << 20, 64 << 20]


def back(x: Any) -> Any:
    return x


def count_for(size: int) -> int:
    return 64 if size == 8 << 20 else max(4, min(4096, (256 << 20) // size))


def chunk_for(size: int, count: int) -> int:
    return max(1, min(count // (2 * CORES), (1 << 16) // size))


Way = Callable[[list[Any], int], list[Any]]


def whilst(items: list[Any], _: int) -> list[Any]:
    import whilst

    return list(whilst.map(back, items, mode="parallel", workers=CORES))


def process_pool(items: list[Any], chunk: int) -> list[Any]:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(CORES, mp_context=get_context("fork")) as pool:
        return list(pool.map(back, items, chunksize=chunk))


def multiprocessing_pool(items: list[Any], chunk: int) -> list[Any]:
    from multiprocessing import get_context

    with get_context("fork").Pool(CORES) as pool:
        return list(pool.imap(back, items, chunksize=chunk))


def joblib_loky(items: list[Any], chunk: int) -> list[Any]:
    from joblib import Parallel, delayed

    return list(Parallel(n_jobs=CORES, batch_size=chunk)(delayed(back)(item) for item in items))


def loky_pool(items: list[Any], chunk: int) -> list[Any]:
    from loky import get_reusable_executor

    return list(get_reusable_executor(max_workers=CORES).map(back, items, chunksize=chunk))


def mpire_pool(items: list[Any], chunk: int) -> list[Any]:
    from mpire import WorkerPool

    with WorkerPool(n_jobs=CORES) as pool:
        # mpire would cut an array into rows.
        return list(pool.map(back, [(item,) for item in items], chunk_size=chunk, concatenate_numpy_output=False))


def pebble_pool(items: list[Any], chunk: int) -> list[Any]:
    from multiprocessing import get_context

    from pebble import ProcessPool

    with ProcessPool(max_workers=CORES, context=get_context("fork")) as pool:
        return list(pool.map(back, items, chunksize=chunk).result())


WAYS: dict[str, Way] = {
    "whilst": whilst,
    "ProcessPoolExecutor": process_pool,
    "multiprocessing.Pool": multiprocessing_pool,
    "joblib": joblib_loky,
    "loky (reused)": loky_pool,
    "mpire": mpire_pool,
    "pebble": pebble_pool,
}
INSTALLED_BY_MAKE_BENCH = {"joblib": "joblib", "loky (reused)": "loky", "mpire": "mpire", "pebble": "pebble"}


def make(kind: str, size: int, count: int) -> list[Any]:
    if kind == "bytes":
        return [bytes([k % 256]) * size for k in range(count)]
    return [np.full(size, k % 256, np.uint8) for k in range(count)]


def is_same(kind: str, got: list[Any], items: list[Any]) -> bool:
    if kind == "bytes":
        return got == items
    return len(got) == len(items) and all(
        np.array_equal(a[:: max(1, a.size // 8)], b[:: max(1, b.size // 8)]) for a, b in zip(got, items, strict=True)
    )


def alone(way: str, kind: str, size: int) -> None:
    """Print the seconds of two runs of this way, as JSON: all that its program does."""
    count = count_for(size)
    items = make(kind, size, count)
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        got = WAYS[way](items, chunk_for(size, count))
        seconds.append(time.perf_counter() - start)
        assert is_same(kind, got, items), way
        del got
    print(json.dumps(seconds))


def measure(kind: str, size: int, rounds: int, ways: list[str]) -> None:
    times: dict[str, list[list[float]]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            command = [sys.executable, __file__, "--alone", way, kind, str(size)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            times[way].append(json.loads(done.stdout))
    medians = {way: [statistics.median(column) for column in zip(*runs, strict=True)] for way, runs in times.items()}
    best = [min((medians[way][k] for way in ways if way != "whilst"), default=float("nan")) for k in (0, 1)]
    for way, runs in times.items():
        line = f"  {f'{count_for(size)} {kind} of {_size(size)}' if way == ways[0] else '':26} {way:22}"
        for k, column in enumerate(zip(*runs, strict=True)):
            spread = f"{min(column) * 1e3:.0f} … {max(column) * 1e3:.0f}"
            line += f" {medians[way][k] * 1e3:10.1f} {spread:>15} {medians[way][k] / best[k]:12.2f}"
        print(line, flush=True)


def _size(size: int) -> str:
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size // unit} {name}"
    return f"{size} B"


def main() -> None:
    if sys.argv[1:2] == ["--alone"]:
        way, kind, size = sys.argv[2:]
        alone(way, kind, int(size))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kind", choices=["array", "bytes"], action="append")
    parser.add_argument("--only", type=int, help="one size in bytes")
    absent = [way for way, module in INSTALLED_BY_MAKE_BENCH.items() if find_spec(module) is None]
    there = [way for way in WAYS if way not in absent]
    parser.add_argument("--ways", type=lambda text: text.split(","), default=there)
    arguments = parser.parse_args()
    if absent:
        print(f"Not installed, and left out: {', '.join(absent)}; make bench installs them.")
    print(f"Python {sys.version.split()[0]}, {CORES} workers, medians of {arguments.rounds} interleaved rounds")
    heading = f"  {'':26} {'':22}"
    for name in ("first", "again"):
        heading += f" {name + ', ms':>10} {'spread':>15} {'/ best peer':>12}"
    print(heading)
    for kind in arguments.kind or ["array", "bytes"]:
        for size in SIZES if arguments.only is None else [arguments.only]:
            measure(kind, size, arguments.rounds, arguments.ways)


if __name__ == "__main__":
    main()
