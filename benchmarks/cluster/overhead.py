"""Calls on a Dask cluster of two workers here: whilst beside Client.map, joblib on Dask and dask.bag.

    python benchmarks/cluster/overhead.py [--rounds 3] [--case NAME ...]

Every case runs all its ways once a round, interleaved. Printed: the median of the rounds in ms, and whilst over the
way. Goals: 20,000 no-ops in at most twice the time of local processes, and 100 times as fast as Client.map (which is
asked for a tenth of them, times ten); 2,000 calls of 1 ms and 200 of 50 ms within 1.1 of the best.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import distributed

import whilst


def nothing(k: int) -> int:
    return k


def work(seconds: float) -> float:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
    return seconds


CASES: dict[str, tuple[Callable[[Any], Any], list[Any]]] = {
    "20,000 no-ops": (nothing, list(range(20_000))),
    "2,000 x 1 ms": (work, [0.001] * 2_000),
    "200 x 50 ms": (work, [0.050] * 200),
}


def by_client_map(client: Any, fn: Callable[[Any], Any], items: list[Any]) -> float:
    """How many times what was measured stands for all items."""
    part = items[: len(items) // 10] if len(items) > 10_000 else items
    assert len(client.gather(client.map(fn, part, pure=False))) == len(part)
    return len(items) / len(part)


def by_joblib(client: Any, fn: Callable[[Any], Any], items: list[Any]) -> float:
    joblib: Any = importlib.import_module("joblib")
    with joblib.parallel_config("dask", client=client):
        assert len(joblib.Parallel()(joblib.delayed(fn)(item) for item in items)) == len(items)
    return 1.0


def by_bag(client: Any, fn: Callable[[Any], Any], items: list[Any]) -> float:
    bag: Any = importlib.import_module("dask.bag")
    assert len(bag.from_sequence(items, npartitions=40).map(fn).compute(scheduler=client)) == len(items)
    return 1.0


def by_whilst(client: Any, fn: Callable[[Any], Any], items: list[Any]) -> float:
    assert len(whilst.map(fn, items, on=client)) == len(items)
    return 1.0


def by_processes(_: Any, fn: Callable[[Any], Any], items: list[Any]) -> float:
    assert len(whilst.map(fn, items, mode="parallel", workers=2)) == len(items)
    return 1.0


WAYS: dict[str, Callable[[Any, Callable[[Any], Any], list[Any]], float]] = {
    "whilst on=client": by_whilst,
    "local processes": by_processes,
    "Client.map": by_client_map,
    "joblib on dask": by_joblib,
    "dask.bag": by_bag,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", nargs="*", default=list(CASES))
    options = parser.parse_args()
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        for name in options.case:
            fn, items = CASES[name]
            took: dict[str, list[float]] = {}
            for _ in range(options.rounds):
                for way, run in WAYS.items():
                    start = time.perf_counter()
                    try:
                        times = run(client, fn, items)
                    except ImportError:
                        continue
                    took.setdefault(way, []).append((time.perf_counter() - start) * times)
            ours = took["whilst on=client"]
            print(f"\n{name}")
            for way, seconds in took.items():
                ratio = statistics.median(our / other for our, other in zip(ours, seconds, strict=True))
                print(f"  {way:18} {statistics.median(seconds) * 1000:10,.0f} ms   whilst / it {ratio:6.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
