"""How the cost grows: with the number of tasks, and with the accesses of each."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from programs import Counter, add, add_locked

from whilst.checking.engine import Explorer, Program
from whilst.checking.search import SearchConfig, search


def adding(times: int) -> Callable[[Any], None]:
    """A task of `times` locked additions."""

    def run(state: Any) -> None:
        for _ in range(times):
            with state.lock:
                state.value += 1

    return run


def measure(name: str, tasks: list[Callable[[Any], None]], *, is_symmetric: bool, budget_s: float = 10.0) -> None:
    """One line."""
    started = time.perf_counter()
    with Explorer(Program(Counter, tuple(tasks))) as explorer:
        report = search(explorer, SearchConfig(budget_s=budget_s, is_symmetric=is_symmetric), lambda _: False)
    seconds = time.perf_counter() - started
    events = report.events / max(report.executions, 1)
    print(
        f"{name:44} {report.executions:8} executions {events:6.1f} events each {seconds:7.2f} s "
        f"{report.executions / seconds:8.0f}/s  {report.guarantee}"
    )


def main() -> None:
    """Print the table."""
    for tasks in range(2, 7):
        measure(f"lost update, {tasks} tasks", [add] * tasks, is_symmetric=False)
        measure(f"lost update, {tasks} tasks, symmetric", [add] * tasks, is_symmetric=True)
        measure(f"locked counter, {tasks} tasks", [add_locked] * tasks, is_symmetric=False)
        measure(f"locked counter, {tasks} tasks, symmetric", [add_locked] * tasks, is_symmetric=True)
    for times in (1, 2, 4, 6, 12):
        measure(f"two tasks of {times * 4} accesses under a lock", [adding(times), adding(times)], is_symmetric=False)


if __name__ == "__main__":
    main()
