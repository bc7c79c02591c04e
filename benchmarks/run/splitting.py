"""One big task divided: whilst beside numpy, multiprocessing by hand, dask.bag and dask.array, in one run.

Each task is done by every way in turn, round after round, so that all meet the same load of the machine. Shown are the
median of the ratios "undivided / this way" of the rounds, with their spread, and what the check costs: the CPU time of
whilst with it, over that without it, in one process. Ways whose library is not installed are left out.

Usage: python benchmarks/run/splitting.py [ROUNDS [TASK ...]]      e.g. 5 sort blur
"""

from __future__ import annotations

import functools
import itertools
import multiprocessing
import operator
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import whilst

ROUNDS = 3
WORKERS = 2
PARTS = 64
Way = Callable[[], Any]
try:
    import dask.array
    import dask.bag
except ImportError:
    HAS_DASK = False
else:
    HAS_DASK = True


def work(x: Any) -> Any:
    total = 0
    for each in range(60):
        total += each * x
    return total


def sum_of(part: range) -> int:
    return sum(map(work, part))


def count_line(counter: Counter[str], line: str) -> Counter[str]:
    counter.update(line.split())
    return counter


def count_part(part: Any) -> Counter[str]:
    return functools.reduce(count_line, part, Counter())


def blur(rows: Any) -> Any:
    for _ in range(36):
        rows = (rows + np.roll(rows, 1, axis=1) + np.roll(rows, -1, axis=1)) / 3
    return rows


def histogram(rows: Any) -> Any:
    return np.histogram(rows, bins=1000, range=(0.0, 1.0))[0]


def times_itself(other: Any, rows: Any) -> Any:
    return rows @ other


def halve(items: list[float]) -> tuple[list[float], list[float]]:
    return items[: len(items) // 2], items[len(items) // 2 :]


def merge(left: list[float], right: list[float]) -> list[float]:
    return sorted(left + right)  # two runs, which sorted merges


def is_short(items: list[float]) -> bool:
    return len(items) < 80_000


def fibonacci(n: int) -> int:
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def two_before(n: int) -> tuple[int, int]:
    return n - 1, n - 2


def is_low(n: int) -> bool:
    return n < 22


def by_hand(fn: Callable[[Any], Any], parts: list[Any], join: Callable[[list[Any]], Any]) -> Any:
    with multiprocessing.get_context("fork").Pool(WORKERS) as pool:
        return join(pool.map(fn, parts, chunksize=1))


def by_dask_bag(fn: Callable[[Any], Any], parts: list[Any], join: Callable[[list[Any]], Any]) -> Any:
    bag = dask.bag.from_sequence(parts, npartitions=len(parts))
    return join(bag.map(fn).compute(scheduler="processes", num_workers=WORKERS))


def tasks(folder: Path) -> dict[str, dict[str, Way]]:
    """By task: "undivided", and the other ways, each a function without arguments that gives the result."""
    numbers = range(800_000)
    draws = random.Random(1)
    words = ["".join(draws.choices("abcdefgh", k=4)) for _ in range(3000)]
    path = folder / "words.txt"
    path.write_text("".join(" ".join(draws.choices(words, k=10)) + "\n" for _ in range(800_000)))
    array = np.random.default_rng(1).random((4096, 1024))
    square = array[:1024]
    unsorted = [draws.random() for _ in range(4_000_000)]
    keywords: Any = {"mode": "parallel", "workers": WORKERS}

    def total(**more: Any) -> int:
        return whilst.reduce(operator.add, numbers, 0, of=work, **{**keywords, **more})

    def count(**more: Any) -> Counter[str]:
        lines = whilst.chunks(path, at="line")
        return whilst.reduce(count_line, lines, Counter, combine=operator.add, **{**keywords, **more})

    def split(fn: Callable[[Any], Any], whole: Any, join: Any = None, **more: Any) -> Any:
        return whilst.split(fn, whole, join=join, **{**keywords, **more})

    def divide(solve: Any, problem: Any, cut: Any, join: Any, is_small: Any, **more: Any) -> Any:
        return whilst.divide(solve, problem, split=cut, join=join, is_small=is_small, **{**keywords, **more})

    def undivided_words() -> Counter[str]:
        with path.open(encoding="utf-8") as file:
            return count_part(file)

    def in_pieces(fn: Any, whole: Any, join: Any) -> dict[str, Way]:
        parts = list(whilst.chunks(whole, PARTS))
        ways = {"multiprocessing by hand": functools.partial(by_hand, fn, parts, join)}
        if HAS_DASK:
            ways["dask.bag"] = functools.partial(by_dask_bag, fn, parts, join)
        return ways

    rows = functools.partial(times_itself, square.T)
    found: dict[str, dict[str, Way]] = {
        "sum": {
            "undivided": lambda: sum_of(numbers),
            "numpy": lambda: int(work(np.arange(len(numbers))).sum()),
            "whilst": total,
            **in_pieces(sum_of, numbers, sum),
        },
        "word count": {
            "undivided": undivided_words,
            "whilst": count,
            **in_pieces(count_part, path, functools.partial(functools.reduce, operator.add)),
        },
        "blur": {
            "undivided": lambda: blur(array),
            "whilst": functools.partial(split, blur, array),
            **in_pieces(blur, array, np.concatenate),
        },
        "histogram": {
            "undivided": lambda: histogram(array),
            "whilst": functools.partial(split, histogram, array, sum),
            **in_pieces(histogram, array, sum),
        },
        "matrix product": {
            "undivided": lambda: rows(array),
            "whilst": functools.partial(split, rows, array),
            **in_pieces(rows, array, np.concatenate),
        },
        "sort": {
            "undivided": lambda: sorted(unsorted),
            "numpy": lambda: np.sort(np.array(unsorted)).tolist(),
            "whilst": functools.partial(divide, sorted, unsorted, halve, merge, is_short),
            **in_pieces(sorted, unsorted, lambda parts: sorted(itertools.chain(*parts))),
        },
        "tree recursion": {
            "undivided": lambda: fibonacci(34),
            "whilst": functools.partial(divide, fibonacci, 34, two_before, operator.add, is_low),
        },
    }
    if HAS_DASK:
        blocks = dask.array.from_array(array, chunks=(len(array) // PARTS, -1))

        def computed(graph: Any) -> Any:
            return graph.compute(scheduler="threads", num_workers=WORKERS)

        found["blur"]["dask.array"] = lambda: computed(blocks.map_blocks(blur))
        found["matrix product"]["dask.array"] = lambda: computed(blocks @ square.T)
        found["histogram"]["dask.array"] = lambda: computed(dask.array.histogram(blocks, 1000, (0.0, 1.0))[0])
    return found


def are_equal(one: Any, other: Any) -> bool:
    return bool(np.allclose(one, other)) if isinstance(one, np.ndarray) else one == other


def ratio(name: str, values: list[float]) -> str:
    return f"  {name:<24} {statistics.median(values):6.2f}   {min(values):.2f} to {max(values):.2f}"


def compare(task: str, ways: dict[str, Way], rounds: int) -> None:
    expected = ways["undivided"]()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            begin = time.perf_counter()
            result = way()
            seconds[name].append(time.perf_counter() - begin)
            assert are_equal(result, expected), f"{task} by {name} gives something else"
    print(
        f"\n{task}: undivided {statistics.median(seconds['undivided']):.2f} s; how many times as fast, and its spread"
    )
    for name, own in seconds.items():
        if name != "undivided":
            print(ratio(name, [whole / each for whole, each in zip(seconds["undivided"], own, strict=True)]))
    whilst_way: Any = ways["whilst"]
    costs = []
    for _ in range(rounds):
        used = []
        for check in (False, True):
            begin = time.process_time()
            whilst_way(mode="sequential", workers=None, check=check)
            used.append(time.process_time() - begin)
        costs.append((used[1] / used[0] - 1) * 100)
    print(f"  {'the check, % of CPU time':<24} {statistics.median(costs):6.1f}   {min(costs):.1f} to {max(costs):.1f}")


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    print(f"{os.cpu_count()} cores, {WORKERS} workers, {rounds} rounds")
    with tempfile.TemporaryDirectory() as folder:
        for task, ways in tasks(Path(folder)).items():
            if task in sys.argv[2:] or not sys.argv[2:]:
                compare(task, ways, rounds)


if __name__ == "__main__":
    main()
