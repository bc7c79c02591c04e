"""Peak memory of lazy runs as the number of items grows tenfold. Goal: flat.

Each figure is from a program of its own (its largest resident size, workers' included separately), so that no run
sees the memory of another. Items are made by a generator; results are thrown away as they come.

Usage: python benchmarks/run/memory.py [MOST]     default 1,000,000 items
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import textwrap

RUNS = 3
MODES = ("auto", "sequential", "concurrent", "parallel")

PROGRAM = textwrap.dedent(
    """
    import resource, sys, time
    import whilst

    def call(item):
        return item + 1

    mode, count = sys.argv[1], int(sys.argv[2])
    start = time.perf_counter()
    total = 0
    for value in whilst.imap(call, (item for item in range(count)), mode=mode):
        total += value
    assert total == count * (count + 1) // 2
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(own, children, time.perf_counter() - start)
    """
)


def measure(mode: str, count: int) -> tuple[float, float, float]:
    """Peak of the program and of its largest child in MB, and seconds."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, mode, str(count)], check=True, capture_output=True, text=True)
    own, children, seconds = map(float, done.stdout.split())
    return own / 1024, children / 1024, seconds


def main() -> None:
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    counts = [count for count in (1_000, 10_000, 100_000, 1_000_000, 10_000_000) if count <= most]
    print(f"whilst.imap over a generator, calls that do next to nothing; median (least to most) of {RUNS} runs\n")
    print(f"{'mode':12} {'items':>10}  {'peak MB':>22}  {'largest child MB':>18}  {'seconds':>9}")
    for mode in MODES:
        first = None
        for count in counts:
            runs = [measure(mode, count) for _ in range(RUNS)]
            own = [run[0] for run in runs]
            median = statistics.median(own)
            first = first or median
            spread = f"{median:.1f} ({min(own):.1f} to {max(own):.1f})"
            child, seconds = (statistics.median(run[position] for run in runs) for position in (1, 2))
            print(f"{mode:12} {count:>10,}  {spread:>22}  {child:>18.1f}  {seconds:>9.2f}   x{median / first:.2f}")


if __name__ == "__main__":
    main()
