"""Seconds to write and to first draw 100,000 and 1,000,000 spans, and the size of what is written.

    python benchmarks/showing/pictures.py [--runs 5] [--spans 100000 1000000]

The spans are those of a pool of 24 threads whose calls mostly wait: work, a wait and a stretch held off in turn, of
exponentially distributed lengths, so that neither lengths nor order repeat. "First draw" is from the start of the
page's script to the end of the first drawing, in the headless browser found on PATH (without a graphics card);
"open" counts from the moment the browser was told to open the file.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2] / each) for each in ("src", "tests/showing")]

from browser import Browser, find_browser  # noqa: E402 (runs from a checkout, as a plain script)

from whilst.model import Kind, Timeline, TimelineBuilder  # noqa: E402 (as above)
from whilst.showing import renderers  # noqa: E402 (as above)

THREADS = 24
MEAN_NS = {Kind.WORK: 2e6, Kind.WAIT: 8e6, Kind.HELD: 4e5}


def pool_run(spans: int, seed: int = 1) -> Timeline:
    draw, builder, call = random.Random(seed), TimelineBuilder(), 0
    for thread in range(THREADS):
        now = 0
        for number in range(spans // THREADS):
            kind = Kind(number % 3)
            call += kind == Kind.WORK
            end = now + int(draw.expovariate(1 / MEAN_NS[kind]))
            builder.add(f"thread {thread}", f"call {call}", kind, now, end, "read" if kind == Kind.WAIT else "")
            now = end
    return builder.build(name=f"{spans:,} spans", cores=2)


def timed(act: Callable[[], object], runs: int) -> list[float]:
    found = []
    for _ in range(runs):
        begun = time.perf_counter()
        act()
        found.append(time.perf_counter() - begun)
    return found


def row(name: str, seconds: Sequence[float], note: str = "") -> None:
    middle = statistics.median(seconds)
    print(f"  {name:<34} {middle:8.3f} s   ({min(seconds):.3f} to {max(seconds):.3f}, n={len(seconds)})  {note}")


def measure(spans: int, runs: int, directory: Path) -> None:
    timeline = pool_run(spans)
    page, trace = directory / "page.html", directory / "trace.json"
    print(f"{len(timeline):,} spans, {len(timeline.executors)} executors")
    row("terminal text, 120 columns", timed(lambda: renderers.text(timeline, width=120), runs))
    seconds = timed(lambda: renderers.write(timeline, "html", page), runs)
    size = page.stat().st_size
    row("page written", seconds, f"{size:,} bytes, {size / len(timeline):.2f} a span")
    seconds = timed(lambda: renderers.write(timeline, "perfetto", trace), runs)
    row("Perfetto trace written", seconds, f"{trace.stat().st_size:,} bytes")
    program = find_browser()
    if program is None:
        print("  no browser on PATH: the page was not drawn")
        return
    with Browser(program) as browser:
        opened, first, redraws = [], [], []
        for _ in range(runs):
            begun = time.perf_counter()
            ready = browser.open(page)
            opened.append(time.perf_counter() - begun)
            first.append((ready["unpack_ms"] + ready["prepare_ms"] + ready["draw_ms"]) / 1000)
            redraws.append(
                browser.ask(
                    "(() => { const begun = performance.now(); state.view.zoom(1.1); drawAll(); "
                    "return performance.now() - begun; })()"
                )
                / 1000
            )
        row("page unpacked and first drawn", first)
        row("page opened, as the reader waits", opened)
        row("page drawn anew after a zoom", redraws)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--spans", type=int, nargs="*", default=[100_000, 1_000_000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        for spans in options.spans:
            measure(spans, options.runs if spans <= 200_000 else min(3, options.runs), Path(directory))


if __name__ == "__main__":
    main()
