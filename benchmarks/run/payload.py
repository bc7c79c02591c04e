"""Payloads from 1 B to 64 MiB there and back, against the pools that people use; cold start included.

Arrays and byte strings of one size, as many as make a run worth timing; two workers; the peers with their best
chunk size for that (1 for large items). What counts are the ratios of interleaved rounds.

Usage: python benchmarks/run/payload.py [--rounds N] [--kind array|bytes] [--only SIZE]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np

from whilst.running.mapping import map as whilst_map

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
    return list(whilst_map(back, items, mode="parallel", workers=CORES))


def process_pool(items: list[Any], chunk: int) -> list[Any]:
    with ProcessPoolExecutor(CORES, mp_context=get_context("fork")) as pool:
        return list(pool.map(back, items, chunksize=chunk))


def multiprocessing_pool(items: list[Any], chunk: int) -> list[Any]:
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
    from pebble import ProcessPool

    with ProcessPool(max_workers=CORES, context=get_context("fork")) as pool:
        return list(pool.map(back, items, chunksize=chunk).result())


WAYS: dict[str, Way] = {
    "whilst": whilst,
    "ProcessPoolExecutor": process_pool,
    "multiprocessing.Pool": multiprocessing_pool,
    "joblib": joblib_loky,
    "loky (warm)": loky_pool,
    "mpire": mpire_pool,
    "pebble": pebble_pool,
}


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


def measure(kind: str, size: int, rounds: int, ways: list[str]) -> None:
    count = count_for(size)
    items = make(kind, size, count)
    chunk = chunk_for(size, count)
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            start = time.perf_counter()
            got = WAYS[way](items, chunk)
            times[way].append(time.perf_counter() - start)
            assert is_same(kind, got, items), way
            del got
    best = min((statistics.median(values) for way, values in times.items() if way != "whilst"), default=float("nan"))
    for way, values in times.items():
        median = statistics.median(values)
        each, spread = median / count * 1e6, f"{min(values) * 1e3:.0f} … {max(values) * 1e3:.0f}"
        name = f"{count} {kind} of {_size(size)}" if way == ways[0] else ""
        print(
            f"  {name:26} {way:22} {median * 1e3:9.1f} ms {spread:>15} {each:12.1f} {median / best:12.2f}", flush=True
        )


def _size(size: int) -> str:
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size // unit} {name}"
    return f"{size} B"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kind", choices=["array", "bytes"], action="append")
    parser.add_argument("--only", type=int, help="one size in bytes")
    parser.add_argument("--ways", type=lambda text: text.split(","), default=list(WAYS))
    arguments = parser.parse_args()
    print(f"Python {sys.version.split()[0]}, {CORES} workers, medians of {arguments.rounds} interleaved rounds")
    print(f"  {'':26} {'':22} {'median':>12} {'spread (ms)':>15} {'µs / call':>12} {'/ best peer':>12}")
    for kind in arguments.kind or ["array", "bytes"]:
        for size in SIZES if arguments.only is None else [arguments.only]:
            measure(kind, size, arguments.rounds, arguments.ways)


if __name__ == "__main__":
    main()
