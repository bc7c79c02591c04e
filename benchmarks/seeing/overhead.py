"""How much slower is a traced program? CPU time and wall time, traced over untraced, in turns.

CPU time of the program with all its processes, the agent's included (the recorder's, outside of it, stands by itself).
VizTracer, py-spy and Scalene stand beside it where they are installed; they show other things.

Usage: python benchmarks/seeing/overhead.py [TURNS]
"""

from __future__ import annotations

import importlib.util
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from whilst.seeing.recording.recorder import record

SOURCES = {
    "one thread at work": "t = 0\nfor i in range(12_000_000): t += i * i % 7\n",
    "calls of small functions": "def f(x): return x + 1\nt = 0\nfor i in range(8_000_000): t = f(t)\n",
    "4 threads under the GIL": "import threading\ndef f():\n    t = 0\n"
    "    for i in range(3_000_000): t += i * i % 7\n"
    "threads = [threading.Thread(target=f) for _ in range(4)]\n"
    "[t.start() for t in threads]\n[t.join() for t in threads]\n",
    "100 tasks of asyncio, 300,000 steps": "import asyncio\nasync def f():\n"
    "    for _ in range(3000): await asyncio.sleep(0)\n"
    "async def main(): await asyncio.gather(*(f() for _ in range(100)))\nasyncio.run(main())\n",
    "6,000 short calls in processes": "from concurrent.futures import ProcessPoolExecutor\ndef f(x): return x + 1\n"
    "if __name__ == '__main__':\n    with ProcessPoolExecutor(2) as pool: sum(pool.map(f, range(6000)))\n",
    "200,000 turns of a lock": "import threading\nlock = threading.Lock()\ndef f():\n    for _ in range(50_000):\n"
    "        with lock: pass\nthreads = [threading.Thread(target=f) for _ in range(4)]\n"
    "[t.start() for t in threads]\n[t.join() for t in threads]\n",
}


def cost(run, path: str) -> tuple[float, float]:
    """(CPU seconds of children, wall seconds)."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    run(path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.perf_counter() - start


def plain(path: str) -> None:
    subprocess.run([sys.executable, path], check=True)


def traced(*clocks: str):
    return lambda path: record([sys.executable, path], name="program", clocks=clocks)


def others() -> dict[str, object]:
    found: dict[str, object] = {}
    if importlib.util.find_spec("viztracer"):
        found["viztracer"] = lambda path: subprocess.run(
            [sys.executable, "-m", "viztracer", "-o", os.devnull, "--quiet", path], check=True
        )
    if shutil.which("py-spy"):
        found["py-spy"] = lambda path: subprocess.run(
            ["py-spy", "record", "-o", os.devnull, "--", sys.executable, path], check=True
        )
    if importlib.util.find_spec("scalene"):
        found["scalene"] = lambda path: subprocess.run(
            [sys.executable, "-m", "scalene", "--cli", "--outfile", os.devnull, path], check=True
        )
    return found


def main() -> None:
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    ways = {"perf": traced("perf"), "schedstat": traced("schedstat"), **others()}
    print(f"{turns} turns; ratio of CPU time (of wall time), median [least, most]")
    with tempfile.TemporaryDirectory() as folder:
        for name, source in SOURCES.items():
            path = str(Path(folder) / "program.py")
            Path(path).write_text(source)
            cpu: dict[str, list[float]] = {way: [] for way in ways}
            wall: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(turns):
                base = cost(plain, path)
                for way, run in ways.items():
                    seconds = cost(run, path)
                    cpu[way].append(seconds[0] / base[0])
                    wall[way].append(seconds[1] / base[1])
            print(f"  {name}")
            for way in ways:
                few = f"{min(cpu[way]):.3f}, {max(cpu[way]):.3f}"
                print(f"    {way:<10} {statistics.median(cpu[way]):.3f} [{few}]  ({statistics.median(wall[way]):.2f})")


if __name__ == "__main__":
    main()
