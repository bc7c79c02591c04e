"""What running short calls costs, side by side with a `for` loop and the pools that people use.

Every figure is a whole run: opening the pool, all calls, closing it. The peers get chunk sizes tuned by hand. Each
way has a program of its own, as its user would have, so that no pool lives beside another's threads: *first* is its
first run with the import of the library and of all that this needs (the program itself has loaded next to nothing),
*again* the median of the runs after it. Rounds are interleaved, because
the speed of a machine drifts; a ratio is the median of the ratios within the rounds. CPU time, of the program and
all of its children, hardly depends on what else the machine does.

Usage: python benchmarks/run/overhead.py [--rounds N] [--case NAME] [--ways A,B]
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator

CORES = 2
AGAIN = 4


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
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(CORES) as pool:
        return list(pool.map(fn, items))


def process_pool(fn: Callable[[int], int], items: Iterable[int], chunk: int) -> list[int]:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(CORES, mp_context=get_context("fork")) as pool:
        return list(pool.map(fn, items, chunksize=chunk))


def multiprocessing_pool(fn: Callable[[int], int], items: Iterable[int], chunk: int) -> list[int]:
    from multiprocessing import get_context

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
    from multiprocessing import get_context

    from pebble import ProcessPool

    with ProcessPool(max_workers=CORES, context=get_context("fork")) as pool:
        return list(pool.map(fn, items, chunksize=chunk).result())


def whilst_in(mode: str) -> Callable[[Callable[[int], int], Iterable[int], int], list[int]]:
    def run(fn: Callable[[int], int], items: Iterable[int], _: int) -> list[int]:
        import whilst

        return whilst.map(fn, items, mode=mode)  # type: ignore[call-overload,no-any-return]

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
    "loky (reused)": loky_pool,
    "mpire": mpire_pool,
    "pebble": pebble_pool,
}
REUSED = {"joblib", "loky (reused)"}
INSTALLED_BY_MAKE_BENCH = {"joblib": "joblib", "loky (reused)": "loky", "mpire": "mpire", "pebble": "pebble"}
PROCESS_PEERS = ["ProcessPoolExecutor", "multiprocessing.Pool", "joblib", "loky (reused)", "mpire", "pebble"]


def inputs(count: int, *, is_generator: bool) -> Iterable[int]:
    return generate(count) if is_generator else list(range(count))


def generate(count: int) -> Iterator[int]:
    yield from range(count)


Sample = tuple[float, float]
"""Seconds by the clock on the wall, and of CPU time."""


def sample(way: str, case: Case) -> Sample:
    _, fn, count, is_generator, chunk = case
    items = inputs(count, is_generator=is_generator)
    cpu, start = cpu_s(), time.perf_counter()
    results = WAYS[way](fn, items, chunk)
    taken = time.perf_counter() - start, cpu_s() - cpu
    assert len(results) == count
    return taken


def cpu_s() -> float:
    """Of this process and of all children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def measure(case: Case, rounds: int, ways: list[str]) -> dict[str, list[list[Sample]]]:
    """The samples of each way: a program's, first and again, in each round."""
    import json
    import os
    import subprocess
    import tempfile

    samples: dict[str, list[list[Sample]]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as cache:
        # With bytecode in a cache, as an installed library has it.
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": os.environ.get("PYTHONPYCACHEPREFIX", cache)}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for number in range(rounds + 1):
            for way in ways:
                command = [sys.executable, __file__, "--alone", way, case[0]]
                done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
                if number:  # the first round fills the cache
                    samples[way].append(json.loads(done.stdout))
    return samples


def show(case: Case, samples: dict[str, list[list[Sample]]]) -> None:
    import statistics

    print(f"\n{case[0]}")
    heading = f"  {'':22}"
    for name in ("first", "again"):
        heading += f" {name + ', ms':>11} {'spread':>15} {'/ loop':>7} {'/ peer':>7} {'CPU / peer':>10}"
    print(heading)
    figures = {way: [columns(runs, is_first=is_first) for is_first in (True, False)] for way, runs in samples.items()}
    for way in samples:
        line = f"  {way:22}"
        for kind in (0, 1):
            wall, cpu = figures[way][kind]
            spread = f"{min(wall) * 1e3:.1f} … {max(wall) * 1e3:.1f}"
            line += f" {statistics.median(wall) * 1e3:11.1f} {spread:>15}"
            line += f" {ratio(wall, [figures[each][kind][0] for each in samples if each == 'for loop']):>7}"
            peers = [each for each in PROCESS_PEERS if each in samples]
            line += f" {ratio(wall, [figures[each][kind][0] for each in peers]):>7}"
            # loky's workers are still there, so that their time is not told yet.
            line += f" {ratio(cpu, [figures[each][kind][1] for each in peers if each not in REUSED]):>10}"
        print(line)


def columns(runs: list[list[Sample]], *, is_first: bool) -> tuple[list[float], list[float]]:
    """By round: seconds on the wall, and of CPU time."""
    import statistics

    chosen = [run[:1] if is_first else run[1:] for run in runs]
    wall, cpu = ([statistics.median(each[kind] for each in run) for run in chosen] for kind in (0, 1))
    return wall, cpu


def ratio(values: list[float], others: list[list[float]]) -> str:
    """Against the best of the others, round by round."""
    import statistics

    if not others:
        return ""
    best = min(others, key=statistics.median)
    return f"{statistics.median(a / b for a, b in zip(values, best, strict=True)):.2f}"


def alone(way: str, name: str) -> None:
    """Print the samples of this way, as JSON. The program of each way: what it loads here, a peer need not load."""
    case = next(each for each in CASES if each[0] == name)
    print([list(sample(way, case)) for _ in range(1 + AGAIN)])


def main() -> None:
    if sys.argv[1:2] == ["--alone"]:
        alone(*sys.argv[2:])
        return
    import argparse
    from importlib.util import find_spec

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--case", help="only the case whose name contains this")
    absent = [way for way, module in INSTALLED_BY_MAKE_BENCH.items() if find_spec(module) is None]
    there = [way for way in WAYS if way not in absent]
    parser.add_argument("--ways", type=lambda text: text.split(","), default=there)
    arguments = parser.parse_args()
    if absent:
        print(f"Not installed, and left out: {', '.join(absent)}; make bench installs them.")
    cases = [case for case in CASES if not arguments.case or arguments.case in case[0]]
    print(f"Python {sys.version.split()[0]}, {CORES} workers, medians of {arguments.rounds} interleaved rounds")
    for case in cases:
        show(case, measure(case, arguments.rounds, arguments.ways))


if __name__ == "__main__":
    main()
