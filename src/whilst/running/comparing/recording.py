"""What a pool says of the calls it made, and the timeline that follows from it.

Every call's start and end come from the thread that made it, with its CPU clock; in between, a sampler reads the
CPU clocks of all threads at work. Between two readings the share of CPU time is exact and its place isn't: the
work is drawn first. A coroutine's steps are exact, since each is a stretch of the loop's thread.

A thread that is off the core while its process burns a whole core may wait for the GIL or for something else. What
it waited in the sequential run is counted as waiting again, the rest as held off by the GIL: an estimate, and the
span's detail says so.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from whilst.model import Kind, Timeline, TimelineBuilder
from whilst.running.comparing.outcomes import Outcome

__all__ = ["CallRecord", "Run", "make_timeline"]

GIL: Final = "the GIL (estimated)"
_BUSY: Final = 0.7
"""From this share of one core on, a process is taken to have had its GIL in use all the time."""
_WHOLE: Final = 0.95


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call. `stretches` are a coroutine's own steps (start_ns, end_ns), else None."""

    item: int
    lane: str
    outcome: Outcome
    start_ns: int
    end_ns: int
    cpu_ns: int
    cpu_start_ns: int = 0
    queued_ns: int = 0
    """How long its thread was ready without getting a core; 0 where the kernel doesn't say."""
    stretches: Sequence[tuple[int, int]] | None = None

    @property
    def off_ns(self) -> int:
        """Time that its thread was not on a core."""
        return max(0, self.end_ns - self.start_ns - self.cpu_ns)

    @property
    def wait_ns(self) -> int:
        """Time that its thread was neither on a core nor in the queue for one."""
        return max(0, self.off_ns - self.queued_ns)


@dataclass(frozen=True, slots=True)
class Run:
    """All calls in one mode. `samples` holds (time, CPU time) of each lane's thread, both in nanoseconds."""

    who: str
    calls: Sequence[CallRecord]
    start_ns: int
    end_ns: int
    samples: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)
    shares_gil: Mapping[str, str] = field(default_factory=dict)
    """For each lane, the process whose GIL it shares with others; a lane that shares with none isn't in it."""
    peaks_bytes: Sequence[int | None] = ()
    """Peak memory of each process that took part, the caller's excepted."""


def make_timeline(run: Run, name: str, waits_ns: Mapping[int, int] | None = None) -> Timeline:
    """Draw the run from its start on, start-up included as time in which nothing happened.

    Args:
        waits_ns: for each item, how long its call was off the core in the sequential run.
    """
    builder = TimelineBuilder()
    builder.declare(executors=sorted({call.lane for call in run.calls}, key=_natural))
    busy = _Busy(run)
    for call in sorted(run.calls, key=lambda each: each.start_ns):
        task = f"item {call.item}"
        if call.stretches is not None:
            _add_steps(builder, call, task)
        else:
            own_wait = call.wait_ns if waits_ns is None else waits_ns.get(call.item, call.wait_ns)
            _add_thread_call(builder, call, task, run, busy, own_wait)
    return builder.build(name=name, origin_ns=run.start_ns)


def _add_steps(builder: TimelineBuilder, call: CallRecord, task: str) -> None:
    now = call.start_ns
    for start, end in call.stretches or ():
        if start > now:
            builder.add(call.lane, task, Kind.WAIT, now, start)
        builder.add(call.lane, task, Kind.WORK, start, end)
        now = end
    if call.end_ns > now:
        builder.add(call.lane, task, Kind.WAIT, now, call.end_ns)


def _add_thread_call(
    builder: TimelineBuilder, call: CallRecord, task: str, run: Run, busy: _Busy, own_wait_ns: int
) -> None:
    pen = _Pen(builder, call.lane, task)
    queued_share = min(1.0, call.queued_ns / call.off_ns) if call.off_ns else 0.0
    marks = _marks(call, run.samples.get(call.lane, ()))
    for (start, cpu_start), (end, cpu_end) in pairwise(marks):
        work = min(end - start, cpu_end - cpu_start)
        if work >= _WHOLE * (end - start):
            work = end - start
        pen.draw(Kind.WORK, start, start + work)
        work_end, off = start + work, end - start - work
        queued = round(off * queued_share)
        free = off - queued
        is_held = call.lane in run.shares_gil and busy.share(call.lane, start, end) >= _BUSY
        waited = min(free, own_wait_ns) if is_held else free
        own_wait_ns -= min(free, own_wait_ns)
        pen.draw(Kind.WAIT, work_end, work_end + waited)
        pen.draw(Kind.HELD, work_end + waited, end - queued, GIL)
        pen.draw(Kind.HELD, end - queued, end, "no core")
    pen.lift()


def _marks(call: CallRecord, samples: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """(time, CPU time) from the call's start to its end, never falling."""
    first = bisect_right(samples, (call.start_ns, 1 << 62))
    inside = []
    for time_ns, cpu_ns in samples[first:]:
        if time_ns >= call.end_ns:
            break
        inside.append((time_ns, cpu_ns))
    marks = [(call.start_ns, call.cpu_start_ns)]
    last = call.cpu_start_ns + call.cpu_ns
    for time_ns, cpu_ns in inside:
        marks.append((time_ns, min(max(cpu_ns, marks[-1][1]), last)))
    marks.append((call.end_ns, last))
    return marks


class _Pen:
    """Draws neighbouring stretches of one kind as one span."""

    def __init__(self, builder: TimelineBuilder, lane: str, task: str) -> None:
        self._builder, self._lane, self._task = builder, lane, task
        self._open: tuple[Kind, int, int, str] | None = None

    def draw(self, kind: Kind, start_ns: int, end_ns: int, detail: str = "") -> None:
        if end_ns <= start_ns:
            return
        if self._open is not None and self._open[0] is kind and self._open[2:] == (start_ns, detail):
            self._open = (kind, self._open[1], end_ns, detail)
            return
        self.lift()
        self._open = (kind, start_ns, end_ns, detail)

    def lift(self) -> None:
        if self._open is not None:
            kind, start, end, detail = self._open
            self._builder.add(self._lane, self._task, kind, start, end, "", detail)
            self._open = None


class _Busy:
    """How much of one core the threads of a process used together, between two instants."""

    def __init__(self, run: Run) -> None:
        self._groups: dict[str, list[Sequence[tuple[int, int]]]] = {}
        self._of = run.shares_gil
        for lane, group in run.shares_gil.items():
            self._groups.setdefault(group, []).append(run.samples.get(lane, ()))

    def share(self, lane: str, start_ns: int, end_ns: int) -> float:
        if end_ns <= start_ns:
            return 0.0
        used = sum(_at(curve, end_ns) - _at(curve, start_ns) for curve in self._groups[self._of[lane]])
        return used / (end_ns - start_ns)


def _at(curve: Sequence[tuple[int, int]], time_ns: int) -> float:
    """The curve's value at an instant, by a straight line between two readings."""
    position = bisect_right(curve, (time_ns, 1 << 62))
    if position == 0:
        return float(curve[0][1]) if curve else 0.0
    before = curve[position - 1]
    if position == len(curve):
        return float(before[1])
    after = curve[position]
    return before[1] + (after[1] - before[1]) * (time_ns - before[0]) / max(1, after[0] - before[0])


def _natural(name: str) -> tuple[tuple[str, int], ...]:
    """Sort "thread 10" after "thread 9"."""
    words = name.split()
    return tuple((word, 0) if not word.isdigit() else ("", int(word)) for word in words)
