"""How the cost of a run grows: with the number of calls, and with the number of workers for calls that wait.

(The size of what is sent is in payload.py.) Each row is the median of several runs, with its spread; `floor` is the
bound of the design, max(n w / k, w + u), where nothing but the calls themselves would take time.

Usage: python benchmarks/run/growth.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import whilst

RUNS = 5
WAIT_S = 0.02
WAITING_CALLS = 512


def nothing(item: int) -> int:
    return item


def waiting(item: int) -> int:
    time.sleep(WAIT_S)
    return item


def timed(what: Callable[[], object], runs: int = RUNS) -> tuple[float, str]:
    """Median seconds, and the spread as text."""
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        what()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), f"({min(seconds):.4f} to {max(seconds):.4f})"


def by_calls() -> None:
    print("calls that do nothing\n")
    print(f"{'calls':>9}  {'mode':12} {'seconds':>9}  {'spread':24} {'µs a call':>10}  {'of the for loop':>15}")
    for count in (100, 1_000, 10_000, 100_000, 1_000_000):
        runs = RUNS if count < 1_000_000 else 3
        loop, _ = timed(lambda count=count: [nothing(item) for item in range(count)], runs)
        for mode in ("auto", "sequential", "concurrent", "parallel"):
            median, spread = timed(lambda count=count, mode=mode: whilst.map(nothing, range(count), mode=mode), runs)
            each = median / count * 1e6
            print(f"{count:>9,}  {mode:12} {median:>9.4f}  {spread:24} {each:>10.3f}  {median / loop:>14.2f}x")


def by_workers() -> None:
    print(f"\n{WAITING_CALLS} calls that wait {WAIT_S * 1e3:.0f} ms, on threads\n")
    print(f"{'workers':>9} {'seconds':>9}  {'spread':24} {'floor':>8}  {'of the floor':>12}")
    for workers in (1, 2, 4, 8, 16, 32, 64):
        runs = 3 if workers < 4 else RUNS
        median, spread = timed(
            lambda workers=workers: whilst.map(waiting, range(WAITING_CALLS), mode="concurrent", workers=workers), runs
        )
        floor = WAIT_S * -(-WAITING_CALLS // workers)
        print(f"{workers:>9} {median:>9.4f}  {spread:24} {floor:>8.4f}  {median / floor:>11.3f}x")


if __name__ == "__main__":
    by_calls()
    by_workers()
