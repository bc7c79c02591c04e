"""What `compare` says of a mode beside what `map(mode=…)` takes for the same calls: they should differ by noise alone.

Each round runs both, in turns first, so that what the machine does meanwhile hits both; a round before them, which
loads what either needs, does not count. Shown are the medians and the median of the rounds' ratios. Above 1.10 the row
of `compare` says something that the user would not get, and below 0.90 it promises too much.

Usage: python benchmarks/run/compare_vs_map.py [--rounds N]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterable

import whilst


def work(item: int) -> int:
    """Some 50 ms on a core."""
    end = time.thread_time() + 0.05
    while time.thread_time() < end:
        item += 1
    return 0


def wait(item: int) -> int:
    """20 ms of waiting."""
    time.sleep(0.02)
    return item


CASES: tuple[tuple[str, Callable[[int], int], int], ...] = (
    ("parallel", work, 8),
    ("concurrent", wait, 64),
    ("combined", wait, 64),
)


def timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def rounds(mode: str, fn: Callable[[int], int], count: int, wanted: int) -> Iterable[tuple[float, float]]:
    """Yield seconds of map and of compare's row. In combined mode each with what it takes by itself."""
    items = range(count)
    overlap = 16 if mode == "combined" else None

    def of_map() -> float:
        return timed(lambda: whilst.map(fn, items, mode=mode))  # type: ignore[arg-type]  # one of the words

    def of_compare() -> float:
        row = whilst.compare(fn, items, modes=[mode], overlap=overlap)[mode]
        assert row.seconds is not None, row.error
        return row.seconds

    for number in range(wanted + 1):
        found = {each: each() for each in ((of_map, of_compare) if number % 2 else (of_compare, of_map))}
        if number:
            yield found[of_map], found[of_compare]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=9)
    wanted = parser.parse_args().rounds
    print(f"{'mode':<12} {'calls':>20} {'map s':>8} {'compare s':>10} {'ratio':>6}")
    for mode, fn, count in CASES:
        found = list(rounds(mode, fn, count, wanted))
        of_map, of_compare = (statistics.median(each) for each in zip(*found, strict=True))
        ratio = statistics.median(compared / mapped for mapped, compared in found)
        calls = f"{count} x {fn.__name__}"
        mark = "" if 0.90 <= ratio <= 1.10 else "  more than 10 % apart"
        print(f"{mode:<12} {calls:>20} {of_map:8.3f} {of_compare:10.3f} {ratio:6.2f}{mark}")


if __name__ == "__main__":
    main()
