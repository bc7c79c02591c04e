"""Executions, rate, seconds to exhaust and to the first bug, next to frontrun on the same programs.

    python benchmarks/check/against_frontrun.py [PYTHON_WITH_FRONTRUN] [--repeat 5] [--limit 20]

Without the first argument whilst is measured alone. Milliseconds are medians (least to most) and include rewriting the
code and giving it back; the first run of a program, which finds its functions, is among them. The ratio is how many
times as long frontrun takes to exhaust the tree, or until the limit, where it did not; beside it what it says.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from programs import CASES, Case

from whilst.checking.engine.events import Status
from whilst.checking.explorer.explorer import Execution, Explorer, Program
from whilst.checking.search.search import SearchConfig, SearchReport, search


def explore(case: Case, *, stop: bool, is_symmetric: bool = False) -> tuple[SearchReport, float, bool]:
    """The report, seconds, and whether a violation was found."""
    found = False

    def note(execution: Execution) -> bool:
        nonlocal found
        bad = execution.status is not Status.DONE or not case.holds(execution.state)
        found = found or bad
        return bad and stop

    started = time.perf_counter()
    with Explorer(Program(case.setup, tuple(case.tasks))) as explorer:
        report = search(explorer, SearchConfig(is_symmetric=is_symmetric), note)
    return report, time.perf_counter() - started, found


def spread(values: list[float]) -> str:
    """Median (least to most), in milliseconds."""
    low, middle, high = min(values) * 1e3, statistics.median(values) * 1e3, max(values) * 1e3
    return f"{middle:8.1f} ({low:.1f} to {high:.1f})"


def ours(case: Case, repeat: int) -> dict[str, Any]:
    """Everything about one program."""
    every, first, symmetric, alone = [], [], 0, []
    for _ in range(repeat):
        report, seconds, found = explore(case, stop=False)
        every.append(seconds)
        alone.append(report.executions / max(report.elapsed_s, 1e-9))
        if not case.is_safe:
            first.append(explore(case, stop=True)[1])
    symmetric = explore(case, stop=False, is_symmetric=True)[0].executions
    return {
        "runs": report.executions,
        "symmetric": symmetric,
        "found": found,
        "every": every,
        "first": first,
        "rate": statistics.median(alone),
    }


def theirs(python: str, limit_s: float, repeat: int) -> dict[str, Any]:
    """frontrun's lines, by name."""
    command = [
        str(Path(python).parent / "frontrun"),
        python,
        str(Path(__file__).parent / "frontrun_side.py"),
        str(limit_s),
        str(repeat),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        print(done.stderr[-2000:], file=sys.stderr)
    return {line["name"]: line for line in lines}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("frontrun", nargs="?")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--limit", type=float, default=20.0)
    options = parser.parse_args()
    other = theirs(options.frontrun, options.limit, options.repeat) if options.frontrun else {}
    print(f"{'program':24} {'runs':>6} {'sym.':>5} {'runs/s':>7}  {'exhaust, ms':28} {'first bug, ms':28} truth found")
    for name, case in CASES.items():
        mine = ours(case, options.repeat)
        first = spread(mine["first"]) if mine["first"] else ""
        truth = "safe" if case.is_safe else "bug"
        found = "bug" if mine["found"] else "safe"
        print(
            f"{name:24} {mine['runs']:6} {mine['symmetric']:5} {mine['rate']:7.0f}  {spread(mine['every']):28} "
            f"{first:28} {truth:5} {found}"
        )
        if name in other:
            print(compared(other[name], mine["every"], options.limit))


def compared(line: dict[str, Any], mine: list[float], limit_s: float) -> str:
    """frontrun's row: the same columns, its verdict, and how many times as long it takes."""
    every = [each["seconds"] for each in line["every"]]
    early = [each["seconds"] for each in line["first"]]
    last = line["every"][-1]
    ours_s = statistics.median(mine)
    low, middle, high = (each / ours_s for each in (min(every), statistics.median(every), max(every)))
    said = "cut off" if statistics.median(every) >= limit_s else last["said"]
    return (
        f"{'    frontrun':24} {last['executions']:6} {'':5} {last['executions'] / statistics.median(every):7.0f}  "
        f"{spread(every):28} {spread(early):28} {said}: {middle:.0f} times as long ({low:.0f} to {high:.0f})"
    )


if __name__ == "__main__":
    main()
