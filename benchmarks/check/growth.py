"""How the cost grows: with the number of tasks, with the accesses of each, and how it shrinks with `jobs`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from programs import Counter, add, add_locked

from whilst.checking import check
from whilst.checking.explorer.explorer import Explorer, Program
from whilst.checking.search.search import SearchConfig, search


def adding(times: int) -> Callable[[Any], None]:
    """A task of `times` locked additions."""

    def run(state: Any) -> None:
        for _ in range(times):
            with state.lock:
                state.value += 1

    return run


def alternating(times: int) -> Callable[[Any], None]:
    """A task of `times` reads and writes of one thing."""

    def run(state: Any) -> None:
        for _ in range(times):
            state.value = state.value

    return run


def measure(name: str, tasks: list[Callable[[Any], None]], *, is_symmetric: bool, budget_s: float = 5.0) -> None:
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


def add_two(state: Any) -> None:
    """Four accesses, of two things."""
    add(state)
    state.other += 1


def same(state: Any) -> bool:
    """An outcome that holds in every interleaving, so that all are run."""
    return bool(state.value)


def measure_jobs(jobs: int) -> None:
    """One line: a whole check by that many processes."""
    started = time.perf_counter()
    verdict = check(Counter, [add_two] * 4, outcome=same, jobs=jobs, budget=60)
    seconds = time.perf_counter() - started
    print(
        f"{f'four tasks of four accesses, jobs={jobs}':44} {verdict.executions:8} executions {'':18} {seconds:7.2f} s "
        f"{verdict.executions / seconds:8.0f}/s  {verdict.answer}"
    )


def main() -> None:
    """Print the table."""
    for tasks in range(2, 7):
        measure(f"lost update, {tasks} tasks", [add] * tasks, is_symmetric=False)
        measure(f"lost update, {tasks} tasks, symmetric", [add] * tasks, is_symmetric=True)
        measure(f"locked counter, {tasks} tasks", [add_locked] * tasks, is_symmetric=False)
        measure(f"locked counter, {tasks} tasks, symmetric", [add_locked] * tasks, is_symmetric=True)
    for reads in (1, 2, 4, 8, 16, 25):
        tasks = [alternating(reads), alternating(reads)]
        measure(f"two tasks of {reads * 2} accesses of one thing", tasks, is_symmetric=False)
    for times in (1, 2, 4, 6, 12):
        measure(f"two tasks of {times * 4} accesses under a lock", [adding(times), adding(times)], is_symmetric=False)
    for jobs in (1, 2):
        measure_jobs(jobs)


if __name__ == "__main__":
    main()
