"""A million spans: how long concluding takes from what was recorded, and how large and how quick the page is.

Usage: python benchmarks/seeing/million.py [SPANS]
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

from whilst.seeing.events import BLOCKED, IN, AgentLog, Place, Recording, SeenThread, Stack, Switches
from whilst.seeing.traced import trace_of


def made(spans: int, threads: int = 8) -> Recording:
    """Threads that work for about 10 µs and wait for 30, as the kernel would have noted it, each seen every 5 ms."""
    file = "/program/loop.py"
    log = AgentLog(1, 0, 0, library="/lib", is_whole=True)
    log.stacks = [
        Stack([Place(file, "work", 4)]),
        Stack([Place("/lib/asyncio/tasks.py", "sleep", 1), Place(file, "rest", 9)]),
    ]
    draw = random.Random(1)
    recording = Recording("loop.py", 0, 0, "perf", 8, logs=[log])
    for number in range(threads):
        switches, seen = Switches(1, 1 + number, 0), SeenThread(1 + number, 1 + number, f"thread {number}")
        now = number * 1000
        for span in range(spans // threads):
            switches.at_ns.append(now)
            switches.what.append(BLOCKED if span % 2 else IN)
            now += int(draw.expovariate(1 / (30_000 if span % 2 else 10_000))) + 1
            if span % 250 == 1:
                seen.at_ns.append(now - 15_000)
                seen.stack.append(1)
        switches.end_ns = recording.end_ns = now
        recording.threads.append(switches)
        log.threads.append(seen)
    return recording


def main() -> None:
    spans = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    recording = made(spans)
    start = time.process_time()
    trace = trace_of(recording)
    concluded = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.html"
        trace.to_html(path)
        written, size = time.process_time(), path.stat().st_size
    line = trace.timeline
    print(f"{spans:,} switches became {len(line):,} spans; work {line.work_s:.1f} s, wait {line.wait_s:.1f} s")
    print(f"concluded in {concluded - start:.1f} s of CPU time")
    print(f"page of {size / 1e6:.2f} MB written in {written - concluded:.1f} s of CPU time")


if __name__ == "__main__":
    main()
