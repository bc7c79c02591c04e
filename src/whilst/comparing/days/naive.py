"""Naive threads for real: one free thread a task, which is what most people try first.

Each performs its task as if that were all that an executor has to do; who comes after it is told through a queue.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from queue import Empty, SimpleQueue

from whilst.comparing.days.clocks import Row
from whilst.comparing.days.loop import Wires, head_start_ns, perform_script
from whilst.comparing.days.script import Script
from whilst.errors import DayError
from whilst.model import Day

MOST_THREADS = 200
_LOOK_UP_S = 0.05
"""How often the caller looks up from waiting for its threads, where a signal doesn't wake it (Windows)."""
_STOP = -1


class _StoppedError(Exception):
    """Nobody wants the rest."""


class _Letters(Wires):
    """Messages between threads: each has a queue, by the number of its task."""

    kept_by = "the GIL"

    def __init__(self, number: int, queues: Sequence[SimpleQueue[int]]) -> None:
        self._queue, self._queues = queues[number], queues

    def tell(self, executors: Sequence[int], task: int) -> None:
        for executor in executors:
            self._queues[executor].put(task)

    def hear(self, until_ns: int | None = 0) -> list[int]:
        left_s = None if until_ns is None else max(0.0, (until_ns - time.perf_counter_ns()) / 1e9)
        try:
            heard = [self._queue.get(left_s != 0, left_s)]
        except Empty:
            return []
        if _STOP in heard:
            raise _StoppedError
        return heard


def perform_on_threads(scripts: Sequence[Script]) -> tuple[int, list[list[Row]]]:
    """Perform each task's script in a thread of its own; returns the common start and each script's rows.

    Ctrl-C stops every thread at its next interruption point, 0.2 ms away while it works.
    """
    queues: list[SimpleQueue[int]] = [SimpleQueue() for _ in scripts]
    start_ns = time.perf_counter_ns() + head_start_ns(len(scripts))
    with ThreadPoolExecutor(len(scripts)) as threads:
        try:
            performed = [
                threads.submit(perform_script, script, _Letters(number, queues), start_ns)
                for number, script in enumerate(scripts)
            ]
            left = set(performed)
            while left:
                done, left = wait(left, _LOOK_UP_S, FIRST_EXCEPTION)
                for each in done:
                    each.result()  # raises what it has raised: the others may wait for it
        finally:
            for queue in queues:
                queue.put(_STOP)
    return start_ns, [each.result() for each in performed]


def check_size(day: Day) -> None:
    """Refuse a day for naive threads.

    Raises:
        DayError: the day has more tasks than one would start threads for.
    """
    if len(day.tasks) > MOST_THREADS:
        raise DayError(f"The day has {len(day.tasks)} tasks; naive threads are performed for up to {MOST_THREADS}.")
