"""Bytes that one span of a timeline takes, and seconds to build, measure and save a million of them.

Usage: python benchmarks/model/bytes_per_span.py [SPANS]
"""

from __future__ import annotations

import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable

from whilst.model import Kind, Timeline, TimelineBuilder, timeline_from_json, timeline_to_json

RUNS = 3


def build(count: int) -> Timeline:
    builder = TimelineBuilder()
    for number in range(count):
        start = number * 500
        builder.add(f"thread {number % 64}", f"task {number % 1000}", Kind(number % 2), start, start + 30_000)
    return builder.build(origin_ns=0)


def seconds(what: Callable[[], object]) -> str:
    runs = []
    for _ in range(RUNS):
        start = time.perf_counter()
        what()
        runs.append(time.perf_counter() - start)
    return f"{statistics.median(runs):6.2f} s  ({min(runs):.2f} to {max(runs):.2f}, {RUNS} runs)"


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    tracemalloc.start()
    timeline = build(count)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    print(f"{count:,} spans: {held / count:.1f} bytes a span held (goal: at most 64)")
    print(f"build        {seconds(lambda: build(count))}")
    print(f"concurrency  {seconds(lambda: timeline.concurrency)}")
    print(f"parallelism  {seconds(lambda: timeline.parallelism)}")
    print(f"curves       {seconds(lambda: (timeline.concurrency_steps, timeline.parallelism_steps))}")
    print(f"utilisation  {seconds(lambda: timeline.utilisation)}")
    text = timeline_to_json(timeline)
    print(f"to JSON      {seconds(lambda: timeline_to_json(timeline))}, {len(text) / 1e6:.0f} MB")
    print(f"from JSON    {seconds(lambda: timeline_from_json(text))}")


if __name__ == "__main__":
    main()
