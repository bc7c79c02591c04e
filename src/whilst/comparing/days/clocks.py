"""Burning CPU time to the microsecond, and seeing in passing when the thread was kept from it.

Work is measured by the thread's own CPU clock: two executors that share one core both make half the progress, as
they would with real work. Where wall time ran on while CPU time stood still, the thread was held off, and the
kernel's run-queue statistics tell whether it lacked a core; if not, it waited for the GIL.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from whilst.measuring.clocks import queued_ns
from whilst.model import Kind

Row = tuple[int, int, int, int, str, str]
"""(task number, kind, start_ns, end_ns, label, detail): a span on its way to a timeline."""

HELD_NS: Final = 500_000
"""Being off the core for less is counted as work: an interrupt, not a competitor (the GIL's turn takes 5 ms)."""
_POLL_NS: Final = 200_000
_GRAIN: Final = range(60)  # about 1 µs: as little as keeps reading two clocks from being most of the work


def never(now_ns: int) -> bool:  # noqa: ARG001 (the shape of a call at an interruption point)
    """For work that nothing interrupts."""
    return False


@dataclass(slots=True)
class Recorder:
    """Collects one thread's rows; neighbours that only the bookkeeping parted become one."""

    rows: list[Row] = field(default_factory=list)

    def add(self, task: int, kind: Kind, start_ns: int, end_ns: int, label: str = "", detail: str = "") -> None:
        if end_ns > start_ns:
            self.rows.append((task, int(kind), start_ns, end_ns, label, detail))

    def add_work(self, task: int, start_ns: int, end_ns: int, label: str) -> None:
        if self.rows and end_ns > start_ns:
            last = self.rows[-1]
            if last[0] == task and last[1] == Kind.WORK and last[4] == label and start_ns - last[3] < _POLL_NS:
                self.rows[-1] = (task, last[1], last[2], end_ns, label, last[5])
                return
        self.add(task, Kind.WORK, start_ns, end_ns, label)


def burn(
    work_ns: int, recorder: Recorder, what: tuple[int, str], is_interrupted: Callable[[int], bool] = never
) -> tuple[int, int, int]:
    """Use that much of the thread's CPU time, or less if interrupted.

    Args:
        work_ns: CPU nanoseconds.
        recorder: gets the work spans and, between them, the held-off ones.
        what: number and label of the task at work.
        is_interrupted: the interruption point, asked every 0.2 ms with the time.
    Returns:
        When it started, the CPU time used (a few microseconds over, at most), and when it ended.
    """
    clock, cpu, task, label = time.perf_counter_ns, time.thread_time_ns, *what
    began = stretch = wall = clock()
    first = used = cpu()
    target, poll = used + work_ns, began + _POLL_NS
    queued = queued_ns()
    while True:
        for _ in _GRAIN:
            pass
        now, now_used = clock(), cpu()
        off = now - wall - (now_used - used)
        if off > HELD_NS:
            recorder.add_work(task, stretch, wall, label)
            now_queued = queued_ns()
            recorder.add(task, Kind.HELD, wall, wall + off, label, _reason(off, queued, now_queued))
            stretch, queued = wall + off, now_queued
        wall, used = now, now_used
        if used >= target:
            break
        if now >= poll:
            if is_interrupted(now):
                break
            poll = now + _POLL_NS
    recorder.add_work(task, stretch, now, label)
    return began, used - first, now


def _reason(off_ns: int, before: int | None, after: int | None) -> str:
    if threading.active_count() == 1 or (before is not None and after is not None and 2 * (after - before) > off_ns):
        return "no core"
    return "" if before is None else "the GIL"
