"""What running short calls costs, side by side with a `for` loop and the pools that people use.

Every figure is a whole run in this process: opening the pool, all calls, closing it. The peers get chunk sizes
tuned by hand. Rounds are interleaved, because the speed of a machine drifts; what counts are the ratios.

Usage: python benchmarks/run/overhead.py [--rounds N] [--case NAME]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

from whilst.running.mapping import map as whilst_map

CORES = 2


def no_op(x: int) -> int:
    return x


def one_us(x: int) -> int:
    total = 0
    for k in range(16):
        total += k ^ x
    return total


def hundred_us(x: int) -> int:
    total = 0
    for k in range(2400):
        total += k ^ x
    return total


Case = tuple[str, Callable[[int], int], int, bool, int]
CASES: list[Case] = [
    # name, function, calls, input is a generator, chunk for the peers
    ("20,000 no-ops", no_op, 20_000, False, 5_000),
    ("200,000 of 1 µs", one_us, 200_000, True, 25_000),
    ("2,000 of 100 µs", hundred_us, 2_000, False, 125),
]


def loop(fn: Callable[[int], int], items: Iterable[int], _: int) -> list[int]:
    results = []
    for item in items:
        results.append(fn(item))
    return results


def thread_pool(fn: Callable[[int], int], items: Iterable[int], _: int) -> list[int]:
    with ThreadPoolExecutor(CORES) as pool:
        return list(pool.map(fn, items))


def process_pool(fn: Callable[[int], int], items: Iterable[int], chunk: int) -> list[int]:
    with ProcessPoolExecutor(CORES, mp_context=get_context("fork")) as pool:
        return list(pool.map(fn, items, chunksize=chunk))


def multiprocessing_pool(fn: Callable[[int], int], items: Iterable[int], chunk: int) -> list[int]:
    with get_context("fork").Pool(CORES) as pool:
        return pool.map(fn, items, chunksize=chunk)


def joblib_loky(fn: Callable[[int], int], items: Iterable[int], chunk: int) -> list[int]:
    from joblib import Parallel, delayed

    return Parallel(n_jobs=CORES, batch_size=chunk)(delayed(fn)(item) for item in items)


def loky_pool(fn: Callable[[int], int], items: Iterable[int], chunk: int) -> list[int]:
    from loky import get_reusable_executor

    return list(get_reusable_executor(max_workers=CORES).map(fn, items, chunksize=chunk))


def mpire_pool(fn: Callable[[int], int], items: Iterable[int], chunk: int) -> list[int]:
    from mpire import WorkerPool

    with WorkerPool(n_jobs=CORES) as pool:
        return pool.map(fn, list(items), chunk_size=chunk)


def pebble_pool(fn: Callable[[int], int], items: Iterable[int], chunk: int) -> list[int]:
    from pebble import ProcessPool

    with ProcessPool(max_workers=CORES, context=get_context("fork")) as pool:
        return list(pool.map(fn, items, chunksize=chunk).result())


def whilst_in(mode: str) -> Callable[[Callable[[int], int], Iterable[int], int], list[int]]:
    def run(fn: Callable[[int], int], items: Iterable[int], _: int) -> list[int]:
        return whilst_map(fn, items, mode=mode)  # type: ignore[call-overload,no-any-return]

    return run


WAYS: dict[str, Callable[[Callable[[int], int], Iterable[int], int], list[int]]] = {
    "for loop": loop,
    "whilst sequential": whilst_in("sequential"),
    "whilst auto": whilst_in("auto"),
    "whilst parallel": whilst_in("parallel"),
    "whilst concurrent": whilst_in("concurrent"),
    "ThreadPoolExecutor": thread_pool,
    "ProcessPoolExecutor": process_pool,
    "multiprocessing.Pool": multiprocessing_pool,
    "joblib": joblib_loky,
    "loky (warm)": loky_pool,
    "mpire": mpire_pool,
    "pebble": pebble_pool,
}
PROCESS_PEERS = ["ProcessPoolExecutor", "multiprocessing.Pool", "joblib", "loky (warm)", "mpire", "pebble"]


def inputs(count: int, *, is_generator: bool) -> Iterable[int]:
    return generate(count) if is_generator else list(range(count))


def generate(count: int) -> Iterator[int]:
    yield from range(count)


def measure(case: Case, rounds: int, ways: list[str]) -> dict[str, list[float]]:
    _, fn, count, is_generator, chunk = case
    expected = [fn(x) for x in range(count)]
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            items = inputs(count, is_generator=is_generator)
            start = time.perf_counter()
            results = WAYS[way](fn, items, chunk)
            times[way].append(time.perf_counter() - start)
            assert results == expected, way
    return times


def show(case: Case, times: dict[str, list[float]]) -> None:
    medians = {way: statistics.median(values) for way, values in times.items()}
    peers = [medians[way] for way in PROCESS_PEERS if way in medians]
    best = min(peers, default=float("nan"))
    base = medians.get("for loop", float("nan"))
    print(f"\n{case[0]}")
    print(f"  {'':22} {'median':>10} {'spread':>17} {'/ for loop':>11} {'/ best process peer':>20}")
    for way, values in times.items():
        spread = f"{min(values) * 1e3:.1f} … {max(values) * 1e3:.1f}"
        ratio, peer = medians[way] / base, medians[way] / best
        print(f"  {way:22} {medians[way] * 1e3:7.1f} ms {spread:>17} {ratio:11.2f} {peer:20.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--case", help="only the case whose name contains this")
    parser.add_argument("--ways", type=lambda text: text.split(","), default=list(WAYS))
    arguments = parser.parse_args()
    print(f"Python {sys.version.split()[0]}, {CORES} workers, medians of {arguments.rounds} interleaved rounds")
    for case in CASES:
        if not arguments.case or arguments.case in case[0]:
            show(case, measure(case, arguments.rounds, arguments.ways))


if __name__ == "__main__":
    main()
