"""The other side, run by an interpreter that has frontrun: one JSON line a program."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import frontrun
from programs import CASES


def run(name: str, *, stop: bool, limit_s: float) -> dict[str, object]:
    """One exploration: executions, seconds, whether it says that the property holds."""
    case = CASES[name]
    started = time.perf_counter()
    try:
        result = frontrun.explore(
            setup=case.setup,
            workers=case.tasks,
            invariant=case.holds,
            preemption_bound=None,
            stop_on_first=stop,
            reproduce_on_failure=0,
            detect_io=False,
            deadlock_timeout=1.0,
            timeout_per_run=3.0,
            total_timeout=limit_s,
        )
        said = "holds" if result.property_holds else "violated"
        executions = result.num_explored
    except Exception as error:  # whatever it raises is its answer
        said, executions = f"{type(error).__name__}", 0
    return {"said": said, "executions": executions, "seconds": time.perf_counter() - started}


def runs(name: str, *, stop: bool, limit_s: float, repeat: int) -> list[dict[str, object]]:
    """As often as asked, but not if once takes seconds."""
    done = [run(name, stop=stop, limit_s=limit_s)]
    while len(done) < repeat and float(str(done[0]["seconds"])) < 1:
        done.append(run(name, stop=stop, limit_s=limit_s))
    return done


def main() -> None:
    """Arguments: seconds a program, how often, then names."""
    limit_s, repeat = float(sys.argv[1]), int(sys.argv[2])
    for name in sys.argv[3:] or CASES:
        first = runs(name, stop=True, limit_s=limit_s, repeat=repeat)
        every = runs(name, stop=False, limit_s=limit_s, repeat=repeat)
        print(json.dumps({"name": name, "first": first, "every": every}), flush=True)


main()
