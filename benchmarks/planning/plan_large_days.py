"""Planning time and gap to the bound, at 100 to 100,000 tasks on 64 executors.

    python benchmarks/planning/plan_large_days.py [--most 10000] [--repeat 5]

Three kinds of days, made from a fixed seed: independent tasks; tasks that come after up to two of the 200 before
them, a fifth of them reserved to one of eight teams; and forks and joins. Seconds are CPU seconds of this process,
which a busy machine disturbs less than a wall clock does.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time

from whilst.model import Day, Mode, Step, Task, wait, work
from whilst.planning import plan

EXECUTORS = tuple(f"e{number}" for number in range(64))
SIZES = (100, 1_000, 10_000, 100_000)


def course(source: random.Random) -> tuple[Step, ...]:
    steps = []
    for _ in range(source.randint(1, 3)):
        steps.append(work(source.randint(1, 20)))
        if source.random() < 0.6:
            steps.append(wait(source.randint(1, 40)))
    return tuple(steps)


def independent(count: int, source: random.Random) -> Day:
    return Day(EXECUTORS, tuple(Task(f"t{number}", course(source)) for number in range(count)))


def dependent(count: int, source: random.Random) -> Day:
    tasks = []
    for number in range(count):
        before = [source.randrange(max(0, number - 200), number) for _ in range(source.randint(0, 2))] if number else []
        team = number % 8 * 8
        by = EXECUTORS[team : team + 8] if source.random() < 0.2 else ()
        tasks.append(Task(f"t{number}", course(source), tuple({f"t{each}" for each in before}), by))
    return Day(EXECUTORS, tuple(tasks))


def forked(count: int, source: random.Random) -> Day:
    """Ten stages, each of which waits for the whole one before."""
    width = max(1, count // 10 - 1)
    tasks: list[Task] = []
    joined: tuple[str, ...] = ()
    while len(tasks) + width + 1 <= count:
        stage = len(tasks)
        names = tuple(f"t{stage + number}" for number in range(width))
        tasks += [Task(name, course(source), joined) for name in names]
        tasks.append(Task(f"join {stage}", (work(1),), names))
        joined = (f"join {stage}",)
    return Day(EXECUTORS, tuple(tasks))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=10_000, help="largest number of tasks")
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    print(
        f"{'tasks':>8} {'kind':<12} {'mode':<10} {'median':>8} {'fastest':>8} {'slowest':>8} {'gap':>8}  {'proved':<6}"
    )
    for count in SIZES:
        if count > arguments.most:
            break
        for make in (independent, dependent, forked):
            day = make(count, random.Random(1))
            for mode in (Mode.PARALLEL, Mode.COMBINED):
                report(day, mode, make.__name__, arguments.repeat if count < 100_000 else 1)


def report(day: Day, mode: Mode, kind: str, repeat: int) -> None:
    seconds = []
    for _ in range(repeat):
        begin = time.process_time()
        planned = plan(day, mode)
        seconds.append(time.process_time() - begin)
    print(
        f"{len(day.tasks):>8,} {kind:<12} {mode:<10} {statistics.median(seconds):>6.3f} s {min(seconds):>6.3f} s "
        f"{max(seconds):>6.3f} s {planned.gap:>8.3%}  {'yes' if planned.is_optimal else 'no':<6}",
        flush=True,
    )


if __name__ == "__main__":
    main()
