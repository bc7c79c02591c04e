"""Concurrent: a few threads of this process that share one GIL (if there is one)."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence

from whilst.comparing.calling import Sampler, make_call
from whilst.comparing.recording import CallRecord, Run

__all__ = ["run_on_threads"]


def run_on_threads(
    fn: Callable[[object], object], items: Sequence[object], threads: int, tick: Callable[[], None]
) -> Run:
    """Make all calls on that many threads.

    The threads are daemons of our own and not a `ThreadPoolExecutor`'s: Ctrl-C then returns at once, no further
    call begins, and the end of the program doesn't wait for those that are running.
    """
    start = time.perf_counter_ns()
    numbers: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    answers: queue.SimpleQueue[CallRecord | BaseException] = queue.SimpleQueue()
    count = min(threads, len(items))
    lanes = [f"thread {number + 1}" for number in range(count)]
    is_abandoned = threading.Event()

    def work_off(lane: str, sampler: Sampler) -> None:
        try:
            sampler.register(lane)
            while (number := numbers.get()) is not None and not is_abandoned.is_set():
                answers.put(make_call(fn, items[number], number, lane))
        except BaseException as error:
            answers.put(error)

    for each in (*range(len(items)), *([None] * count)):
        numbers.put(each)
    with Sampler() as sampler:
        workers = [threading.Thread(target=work_off, args=(lane, sampler), daemon=True) for lane in lanes]
        calls: list[CallRecord] = []
        try:
            for worker in workers:
                worker.start()
            while len(calls) < len(items):
                answer = answers.get()
                if isinstance(answer, BaseException):
                    raise answer
                calls.append(answer)
                tick()
        except BaseException:
            is_abandoned.set()
            raise
        end = time.perf_counter_ns()
        for worker in workers:
            worker.join()
    who = f"{count} threads" if count != 1 else "1 thread"
    return Run(who, calls, start, end, sampler.samples, dict.fromkeys(lanes, "here"))
