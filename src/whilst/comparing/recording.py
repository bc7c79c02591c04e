"""The calls of one mode as they were measured, and the timeline that is drawn from them.

Every call's start and end come from the thread that made it, with its CPU clock; in between, a sampler reads the
CPU clocks of all threads at work. Between two readings the share of CPU time is exact and its place isn't: the
work is drawn as early as the other threads' leaves room. A coroutine's steps are exact, since each is a stretch of
the loop's thread.

A thread that is off the core while its process burns a whole core may wait for the GIL or for something else. What
it waited in the sequential run is counted as waiting again, the rest as held off by the GIL: an estimate, and the
span's detail says so.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from whilst.model import Kind, Timeline, TimelineBuilder
from whilst.running.calls.sampling import Sample

GIL: Final = "the GIL (estimated)"
NO_CORE: Final = "no core"
_BUSY: Final = 0.7
"""From this share of one core on, a process is taken to have had its GIL in use all the time."""
_WHOLE: Final = 0.95


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call, by its item and the lane in which it was made."""

    item: int
    lane: str
    sample: Sample


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
    segments: list[_Segment] = []
    for call in run.calls:
        if call.sample.steps is not None:
            _add_steps(builder, call, f"item {call.item}")
            continue
        own_wait = call.sample.wait_ns if waits_ns is None else waits_ns.get(call.item, call.sample.wait_ns)
        segments += _segments(call, run, busy, own_wait)
    pens: dict[tuple[str, int], _Pen] = {}
    cursors: dict[str, list[int]] = {}
    for segment in sorted(segments, key=lambda each: (each.start_ns, each.end_ns)):
        lane = segment.call.lane
        at = segment.place(cursors.setdefault(run.shares_gil.get(lane, lane), []))
        pen = pens.setdefault((lane, segment.call.item), _Pen(builder, lane, f"item {segment.call.item}"))
        for piece in segment.pieces(at):
            pen.draw(*piece)
    for pen in pens.values():
        pen.lift()
    return builder.build(name=name, origin_ns=run.start_ns)


@dataclass(frozen=True, slots=True)
class _Segment:
    """A call between two readings of its thread's CPU clock: how much of each kind, not yet where."""

    call: CallRecord
    start_ns: int
    end_ns: int
    work_ns: int
    off: tuple[tuple[Kind, int, str], ...]

    def place(self, cursors: list[int]) -> int:
        """Choose where the work is drawn: after that of other threads of the process, as far as it fits.

        `cursors` are the ends of what is drawn already, one for each core that the process must have used. Drawing
        every thread's work first would show them all at work at once, on more cores than there are.
        """
        for number, cursor in enumerate(cursors):
            at = max(self.start_ns, cursor)
            if at + self.work_ns <= self.end_ns:
                cursors[number] = at + self.work_ns
                return at
        cursors.append(self.start_ns + self.work_ns)
        return self.start_ns

    def pieces(self, work_at_ns: int) -> Iterator[tuple[Kind, int, int, str]]:
        """(kind, start, end, detail), in order and without a gap."""
        now = self.start_ns
        for kind, length, detail in self.off:
            before = min(length, max(0, work_at_ns - now))
            if before:
                yield kind, now, now + before, detail
                now += before
            if before < length:
                if now == work_at_ns:
                    yield Kind.WORK, now, now + self.work_ns, ""
                    now += self.work_ns
                yield kind, now, now + length - before, detail
                now += length - before
        if now <= work_at_ns:
            yield Kind.WORK, work_at_ns, work_at_ns + self.work_ns, ""


def _add_steps(builder: TimelineBuilder, call: CallRecord, task: str) -> None:
    now = call.sample.start_ns
    for start, end in call.sample.steps or ():
        if start > now:
            builder.add(call.lane, task, Kind.WAIT, now, start)
        builder.add(call.lane, task, Kind.WORK, start, end)
        now = end
    if call.sample.end_ns > now:
        builder.add(call.lane, task, Kind.WAIT, now, call.sample.end_ns)


def _segments(call: CallRecord, run: Run, busy: _Busy, own_wait_ns: int) -> Iterator[_Segment]:
    queued_share = min(1.0, call.sample.queued_ns / call.sample.off_ns) if call.sample.off_ns else 0.0
    marks = _marks(call, run.samples.get(call.lane, ()))
    for (start, cpu_start), (end, cpu_end) in pairwise(marks):
        work = min(end - start, cpu_end - cpu_start)
        if work >= _WHOLE * (end - start):
            work = end - start
        queued = round((end - start - work) * queued_share)
        free = end - start - work - queued
        is_held = call.lane in run.shares_gil and busy.share(call.lane, start, end) >= _BUSY
        waited = min(free, own_wait_ns) if is_held else free
        own_wait_ns -= min(free, own_wait_ns)
        off = ((Kind.WAIT, waited, ""), (Kind.HELD, free - waited, GIL), (Kind.HELD, queued, NO_CORE))
        yield _Segment(call, start, end, work, off)


def _marks(call: CallRecord, samples: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """(time, CPU time) from the call's start to its end, never falling."""
    first = bisect_right(samples, (call.sample.start_ns, 1 << 62))
    inside = []
    for time_ns, cpu_ns in samples[first:]:
        if time_ns >= call.sample.end_ns:
            break
        inside.append((time_ns, cpu_ns))
    marks = [(call.sample.start_ns, call.sample.cpu_start_ns)]
    last = call.sample.cpu_start_ns + call.sample.cpu_ns
    for time_ns, cpu_ns in inside:
        marks.append((time_ns, min(max(cpu_ns, marks[-1][1]), last)))
    marks.append((call.sample.end_ns, last))
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
