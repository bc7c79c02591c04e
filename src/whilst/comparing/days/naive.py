"""Naive threads for real: one free thread a task, which is what most people try first."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from whilst.comparing.days.clocks import Recorder, Row, burn
from whilst.comparing.days.script import Part, parts
from whilst.errors import DayError
from whilst.model import Day, Kind

MOST_THREADS = 200
_LOOK_UP_S = 0.05
"""How often the caller looks up from waiting for its threads, where a signal doesn't wake it (Windows)."""


def perform_on_threads(day: Day) -> tuple[int, list[Row]]:
    """Start one thread a task and let them run; returns the start and all spans.

    Ctrl-C stops every thread at its next interruption point, 0.2 ms away while it works.

    Raises:
        DayError: see `check_size`.
    """
    check_size(day)
    return _Crowd(parts(day)).run()


def check_size(day: Day) -> None:
    """Refuse a day for naive threads.

    Raises:
        DayError: the day has more tasks than one would start threads for.
    """
    if len(day.tasks) > MOST_THREADS:
        raise DayError(f"The day has {len(day.tasks)} tasks; naive threads are performed for up to {MOST_THREADS}.")


class _Crowd:
    def __init__(self, tasks: Mapping[int, Part]) -> None:
        self._tasks = tasks
        self._done = {number: threading.Event() for number in tasks}
        self._start = threading.Event()
        self._stop = threading.Event()
        self._start_ns = 0
        self._recorders = {number: Recorder() for number in tasks}
        self._failures: list[BaseException] = []

    def run(self) -> tuple[int, list[Row]]:
        threads = [threading.Thread(target=self._perform, args=(number,), daemon=True) for number in self._tasks]
        try:
            for thread in threads:
                thread.start()
            self._start_ns = time.perf_counter_ns()
            self._start.set()
            for done in self._done.values():
                while not done.wait(_LOOK_UP_S):
                    pass
        finally:
            self._end(threads)
        if self._failures:
            raise self._failures[0]
        return self._start_ns, [row for recorder in self._recorders.values() for row in recorder.rows]

    def _end(self, threads: list[threading.Thread]) -> None:
        self._stop.set()
        for event in (self._start, *self._done.values()):
            event.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join()

    def _perform(self, number: int) -> None:
        try:
            self._start.wait()
            for earlier in self._tasks[number].after:
                self._done[earlier].wait()
            for kind, length_ns, label in self._tasks[number].steps:
                if self._stop.is_set():
                    return
                self._perform_step(number, kind, length_ns, label)
        except BaseException as error:
            self._failures.append(error)
        finally:
            self._done[number].set()

    def _perform_step(self, number: int, kind: Kind, length_ns: int, label: str) -> None:
        recorder = self._recorders[number]
        if length_ns <= 0:
            return
        if kind is Kind.WORK:
            burn(length_ns, recorder, (number, label), self._is_stopped)
            return
        start_ns = time.perf_counter_ns()
        self._stop.wait(length_ns / 1e9)
        recorder.add(number, Kind.WAIT, start_ns, time.perf_counter_ns(), label, "sleep")

    def _is_stopped(self, now_ns: int) -> bool:  # noqa: ARG002 (the shape of a call at an interruption point)
        return self._stop.is_set()
