"""The critical path: the one chain of work and waits that determined how long the program took.

Walked backward from the last end, as Yang and Miller do ("Critical Path Analysis for the Execution of Parallel and
Distributed Programs", ICDCS 1988): what a task did is on the path; a wait that another task ended is not, and the path
goes on with that task, at the time at which it ended the wait. What comes from outside (a network, a disk, a timer,
the want of a core) is on the path itself, and so is the end of a wait in which nobody worked to end it any more.
Invariant: steps never overlap, and where a task is in progress there is no gap between them.

Who ended a wait is not recorded; it is concluded from the fact that whoever wakes another has to work for it. Of a
lock, it is the one that stood where it is held; of the GIL, a loop, a queue or a result, the one among those who can
have been it whose work ended nearest to the end of the wait. So lengths are as exact as the clock, and names are
conclusions.

Rejected: wPerf (Zhou and others, OSDI 2018), whose knots of waits say what limits the throughput of a server, but
give no chain that can be marked in a picture; Coz (Curtsinger and Berger, SOSP 2015), which slows the program down
many times over to see what a line is worth; and the longest path through a graph of all events, which is the same
chain once times have been observed, and needs the graph. Pieces are found by pointers that only go back: it takes
n log n for n pieces, for the sort, and n for the walk.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from whilst.model import Kind
from whilst.seeing.explaining.causes import BY_ANOTHER, Cause, Role
from whilst.seeing.explaining.courses import Course
from whilst.seeing.explaining.holders import UNHELD, held_region
from whilst.seeing.explaining.pieces import Lane, Piece, Process
from whilst.seeing.explaining.reasons import what_works

_MOST_LOOKED_AT: Final = 64
"""Of those who stopped working before a wait ended, and of those who may hold a lock."""
_NEAR_NS: Final = 10_000_000
"""Two looks at a thread, where no clock tells more."""
_MOMENT_NS: Final = 300_000
_LONG_AGO_NS: Final = 1 << 62
_OUTSIDE: Final = ("io:socket", "io:file", "sleep", "core", "gc", "unknown", "import")
"""Causes that no task of the program is to blame for."""


def _is_outside(cause: Cause | None) -> bool:
    return cause is not None and cause.kind in _OUTSIDE and cause.name != BY_ANOTHER and cause.role is not Role.IDLE


def text_of(piece: Piece) -> str:
    """Its cause in words; empty for work."""
    return piece.cause.text if piece.cause is not None else ""


@dataclass(frozen=True, slots=True)
class Step:
    """One stretch of the path: a part of a piece, and the wait of another task through which the path came there."""

    course: Course
    piece: Piece
    start_ns: int
    end_ns: int
    awaited: Piece | None = None
    is_held: bool = False
    """What was awaited was seen to be held here."""


def critical_path(processes: Sequence[Process], courses: Sequence[Course]) -> list[Step]:
    """The steps, first to last; empty for a recording without a task."""
    return list(_Walk(processes, courses).steps())[::-1]


@dataclass(slots=True)
class _Track:
    """A thread, an asyncio task, or what a loop's thread does for no task."""

    lane: Lane
    courses: list[Course]
    pieces: list[Piece]
    is_coroutine: bool = False
    at: int = -1
    """The piece at which the walk is; it only goes back."""
    begins: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.at = len(self.pieces) - 1
        self.begins = [course.pieces[0].start_ns if course.pieces else 0 for course in self.courses]

    def before(self, now: int) -> Piece | None:
        """The last piece that begins before then."""
        while self.at >= 0 and self.pieces[self.at].start_ns >= now:
            self.at -= 1
        return self.pieces[self.at] if self.at >= 0 else None

    def at_time(self, now: int) -> Piece | None:
        """What it did up to a moment, not far before the walk's."""
        at = self.at
        while at >= 0 and self.pieces[at].start_ns >= now:
            at -= 1
        return self.pieces[at] if at >= 0 and self.pieces[at].end_ns >= now else None

    def waits_since(self) -> int:
        """Since when the walk's piece is waited for, though it was woken in between, for a moment and for nothing."""
        at, text = self.at, text_of(self.pieces[self.at])
        for before in range(at - 1, max(at - _MOST_LOOKED_AT, -1), -1):
            piece = self.pieces[before]
            if text_of(piece) == text:
                at = before
            elif piece.length_ns > _MOMENT_NS:
                break
        return self.pieces[at].start_ns

    def course_of(self, piece: Piece) -> Course | None:
        """The task that it is a part of."""
        if piece.kind is None:
            return None
        at = bisect_right(self.begins, piece.start_ns) - 1
        return self.courses[at] if at >= 0 else None


class _Stretches:
    """Stretches of work, or of waits for what is outside; asked for moments that only go back."""

    def __init__(self, tracks: Sequence[_Track], *, of_work: bool) -> None:
        self._most_ahead_ns = _LONG_AGO_NS if of_work else _NEAR_NS
        found: list[tuple[int, int, int]] = []
        for number, track in enumerate(tracks):
            start = end = -1
            for piece in track.pieces:
                if piece.kind is not (Kind.WORK if of_work else Kind.WAIT) or not (of_work or _is_outside(piece.cause)):
                    continue
                if piece.start_ns == end:
                    end = piece.end_ns
                    continue
                if end >= 0:
                    found.append((end, start, number))
                start, end = piece.start_ns, piece.end_ns
            if end >= 0:
                found.append((end, start, number))
        found.sort()
        self._earlier, self._open = found, list[tuple[int, int, int]]()

    def near(self, now: int, since: int) -> Iterator[tuple[int, int]]:
        """(end, track) of those that were under way then, and of the last that had ended, after `since`.

        Who waits for long after that moment ended nobody's wait then.
        """
        earlier = self._earlier
        while earlier and earlier[-1][0] >= now:
            self._open.append(earlier.pop())
        self._open = [each for each in self._open if each[1] < now and each[0] - now < self._most_ahead_ns]
        yield from ((end, number) for end, _, number in self._open)
        for end, _, number in islice(reversed(earlier), _MOST_LOOKED_AT):
            if end <= since:
                return
            yield end, number


class _Walk:
    """Goes back from the last end."""

    def __init__(self, processes: Sequence[Process], courses: Sequence[Course]) -> None:
        self._tracks = list(_tracks_of(processes, courses))
        self._numbers = {id(track): number for number, track in enumerate(self._tracks)}
        self._stretches = [_Stretches(self._tracks, of_work=True), _Stretches(self._tracks, of_work=False)]
        parents = {process.pid: process.log.parent for process in processes if process.log is not None}
        self._above = {process.pid: set(_ancestors(process.pid, parents)) for process in processes}

    def steps(self) -> Iterator[Step]:
        ends = [
            (course.pieces[-1].end_ns, -number)
            for number, track in enumerate(self._tracks) for course in track.courses if course.in_progress
        ]  # fmt: skip
        if not ends:
            return
        now, number = max(ends)
        track: _Track | None = self._tracks[-number]
        been: set[int] = set()  # tracks that the path came through at this moment
        awaited: Piece | None = None
        is_held, since = False, 0
        while track is not None:
            piece = track.before(now)
            been.add(id(track))
            following = self._following(track, piece, now, been)
            if following is not None:
                other, until, is_holding = following
                if piece is not None and piece.end_ns >= now and (course := track.course_of(piece)) is not None:
                    if until < now:  # nobody worked to end it any more: it was woken late, or waited for something else
                        yield Step(course, piece, until, now)
                    awaited, since, is_held = piece, track.waits_since(), is_holding
                track, now, been = other, until, been if until == now else set()
                continue
            if piece is None:
                return
            end = min(piece.end_ns, now)
            course = track.course_of(piece)
            if course is not None and awaited is not None and since < end:
                first = max(piece.start_ns, since)
                yield Step(course, piece, first, end, awaited, is_held)
                end = first
            if course is not None and piece.start_ns < end:
                yield Step(course, piece, piece.start_ns, end)
            now, been = piece.start_ns, set()
            if now <= since:
                awaited = None

    def _following(
        self, track: _Track, piece: Piece | None, now: int, been: set[int]
    ) -> tuple[_Track, int, bool] | None:
        """Who ended this wait, or started this track: which, when, and did it hold what was awaited?

        None for what is on the path itself.
        """
        if piece is None:
            found = self._nearest(track, None, now, -1, been)
            return (*found, False) if found else None
        if piece.end_ns < now:  # a hole: a wait that was no part of a task
            found = self._nearest(track, Cause("", role=Role.COORDINATING), now, piece.end_ns, been)
            return (*found, False) if found else None
        cause = piece.cause
        if piece.kind is Kind.WORK or cause is None or _is_outside(cause):
            return None
        if cause.kind == "lock" and cause.name not in UNHELD:
            holder = self._holder(track, piece, now, been)
            if holder is not None:
                return (*holder, True)
        found = self._nearest(track, cause, now, piece.start_ns, been)
        return (*found, False) if found else None

    def _nearest(
        self, track: _Track, cause: Cause | None, now: int, since: int, been: set[int]
    ) -> tuple[_Track, int] | None:
        """Who worked (else waited for something outside) nearest to a moment, of those who can have ended that wait."""
        best: tuple[bool, int, int, int, int] | None = None
        for stretches in self._stretches:
            for end, number in stretches.near(now, since):
                is_far = now - end > _NEAR_NS
                if is_far and best is not None and not best[0]:
                    break  # those that follow ended earlier still
                other = self._tracks[number]
                rank = 0 if id(other) in been else self._rank(track, cause, other)
                if rank:
                    key = (is_far, -rank, abs(end - now), number, min(end, now))
                    best = min(best or key, key)
            if best is not None and not best[0]:
                break
        return (self._tracks[best[3]], best[4]) if best is not None else None

    def _rank(self, track: _Track, cause: Cause | None, other: _Track) -> int:
        """How likely it is that one could end such a wait of the other; 0: it could not. No cause: to start it."""
        mine, others = track.lane.process, other.lane.process
        is_near, is_on_loop = mine is others, track.lane is other.lane
        is_above = others.pid in self._above[mine.pid]
        is_below = mine.pid in self._above[others.pid] or (others.log is None and not is_near)
        if cause is None:
            if track.is_coroutine:
                return int(is_on_loop)
            return int(is_above or mine.log is None is not others.log if track.lane.is_main else is_near)
        if cause.kind == "loop" or (cause.kind, cause.name, track.is_coroutine) == ("lock", "task", True):
            return int(is_on_loop)
        if cause.kind in ("gil", "import"):
            return int(is_near)
        if cause.kind == "executor" or cause.name == "executor full":
            return int(is_near and not is_on_loop)
        if cause.kind == "child":
            return int(is_below)
        if track.is_coroutine:
            return 2 * is_on_loop or int(is_near)
        if cause.role is Role.IDLE:
            return int(is_near or is_above or is_below)
        if cause.role is Role.COORDINATING:
            return int(is_near or is_below)
        return 2 if is_near else 1

    def _holder(self, track: _Track, piece: Piece, now: int, been: set[int]) -> tuple[_Track, int] | None:
        """Who was seen where the lock is held: first of those who worked as it was released, then of all others."""
        mine, cause = self._numbers[id(track)], piece.cause
        near = sorted(self._stretches[0].near(now, piece.start_ns), key=lambda each: abs(each[0] - now))
        known = {number for _, number in near}
        others = islice((number for number in range(len(self._tracks)) if number not in known), _MOST_LOOKED_AT)
        for end, number in [*near, *((now, number) for number in others)]:
            other, moment = self._tracks[number], min(end, now)
            if number == mine or id(other) in been or (other.lane is track.lane and not track.is_coroutine):
                continue
            doing = other.at_time(moment)
            if doing is None or doing.kind is None or (doing.cause and cause and doing.cause.text == cause.text):
                continue
            stack = doing.stack if other.is_coroutine else other.lane.stack_at(moment - 1) or doing.stack
            if held_region(piece.stack, stack, track.lane.process.owned) is not None:
                return other, moment
        return None


def _tracks_of(processes: Sequence[Process], courses: Sequence[Course]) -> Iterator[_Track]:
    """Every thread as it is; a loop's thread as what it does for no task, and each of its tasks."""
    by_lane: dict[int, list[Course]] = {}
    loops = set()
    for course in courses:
        if course.is_coroutine:
            loops.add(id(course.lane))
            yield _Track(course.lane, [course], course.pieces, is_coroutine=True)
        else:
            by_lane.setdefault(id(course.lane), []).append(course)
    for process in processes:
        for lane in process.lanes:
            own = by_lane.get(id(lane), [])
            of_loop = [piece for course in own for piece in course.pieces]
            yield _Track(lane, own, of_loop if id(lane) in loops else lane.pieces)


def _ancestors(pid: int, parents: dict[int, int]) -> Iterator[int]:
    known = {pid}
    while (pid := parents.get(pid, 0)) and pid not in known:
        known.add(pid)
        yield pid


@dataclass(slots=True)
class Part:
    """All steps of the path that are of one kind at one place."""

    piece: Piece
    """The longest."""
    name: str
    program: str
    """As of a `Reason`."""
    length_ns: int = 0
    awaited: Counter[str] = field(default_factory=Counter)
    """Nanoseconds by the text of the cause for which others waited meanwhile."""
    holders: Counter[str] = field(default_factory=Counter)
    """Nanoseconds by the thread, or asyncio task, that was seen to hold it."""


def parts_of(steps: Sequence[Step]) -> list[Part]:
    """What the path consists of, the largest first."""
    found: dict[object, Part] = {}
    for step in steps:
        piece, length = step.piece, step.end_ns - step.start_ns
        where, is_wait = piece.where, piece.kind is Kind.WAIT
        spot = where and (where.file, where.function, where.line if is_wait else 0)
        name = what_works(piece, step.course)
        program = step.course.lane.process.command if step.course.lane.process.log is None else ""
        part = found.setdefault((piece.kind, text_of(piece), name, program, spot), Part(piece, name, program))
        part.length_ns += length
        if piece.length_ns > part.piece.length_ns:
            part.piece = piece
        if step.awaited is not None and step.awaited.cause is not None:
            part.awaited[step.awaited.cause.text] += length
        if step.is_held:
            part.holders[step.course.task if step.course.is_coroutine else step.course.executor] += length
    return sorted(found.values(), key=lambda part: -part.length_ns)
