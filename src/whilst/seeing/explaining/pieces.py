"""From a recording to what each thread did when: at work, waiting for what, held off by what, or without a task.

Pure. When a thread was on a core comes from the clock; why it was not, from where it was seen: in the middle of the
interval, else just before or after it. What was never seen is `unknown`, and is counted.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import accumulate, islice
from operator import itemgetter
from typing import Final

from whilst.model import Kind
from whilst.seeing.events import BLOCKED, IN, NOWHERE, AgentLog, Place, Recording, SeenThread, Stack, Switches
from whilst.seeing.explaining.causes import (
    BY_SYSTEM_CALL,
    Cause,
    Owned,
    Role,
    is_own,
    own_place,
    packages_of,
    since_fork,
    wait_of,
)
from whilst.seeing.explaining.intervals import intervals, switches_by_sight

_SHORT_WAKE_NS: Final = 300_000
"""Woken for no longer, with others at work, a thread got what it waited for, but not the GIL."""
_ANY_FILE: Final = ("poll", "ppoll", "select", "pselect6", "epoll_wait", "epoll_pwait")
_TURN_NS: Final = 1_000_000
"""Who holds the GIL gives it away after 5 ms if others want it; a shorter wait is more likely one of its own."""
_LONGEST_TURN_NS: Final = 10_000_000
"""Who waits for the GIL wakes every 5 ms to ask for it again; a longer sleep is for something else."""
_AGENTS_NS: Final = 20_000_000
_NEAR_NS: Final = 2_000_000_000
"""Seen waiting no further away, a thread is taken to have waited for the same in between."""
_LONG_NS: Final = 100_000_000
"""A thread that was not seen in as long is none of Python's."""
_BUSY: Final = 0.3
START: Final = Cause("import", "start of Python")


@dataclass(slots=True)
class Piece:
    """A stretch of one thread. `kind` is None where it had no task; `cause` is None where it was at work."""

    start_ns: int
    end_ns: int
    kind: Kind | None
    cause: Cause | None = None
    stack: Stack = NOWHERE
    where: Place | None = None

    @property
    def length_ns(self) -> int:
        return self.end_ns - self.start_ns


@dataclass(slots=True)
class Lane:
    """One thread: its pieces in order, without gaps."""

    name: str
    process: Process
    seen: SeenThread | None
    pieces: list[Piece] = field(default_factory=list)
    is_main: bool = False

    def stack_at(self, now: int) -> Stack:
        """Where it was seen last at that time."""
        if self.seen is None or self.process.log is None:
            return NOWHERE
        at = bisect_right(self.seen.at_ns, now) - 1
        number = self.seen.stack[at] if at >= 0 else -1
        return self.process.stacks[number] if number >= 0 else NOWHERE

    def piece_at(self, now: int) -> Piece | None:
        at = bisect_right(self.pieces, now, key=lambda piece: piece.start_ns) - 1
        return self.pieces[at] if at >= 0 and now < self.pieces[at].end_ns else None


@dataclass(slots=True)
class Process:
    """One process: what its agent noted, if it had one, and its lanes. `command` is what the system calls it."""

    pid: int
    name: str
    command: str
    log: AgentLog | None = None
    lanes: list[Lane] = field(default_factory=list)
    owned: Owned = field(default_factory=Owned)
    stacks: list[Stack] = field(default_factory=list)
    """The log's, without what the process that forked was doing then."""


def processes_of(recording: Recording) -> list[Process]:
    """All processes with their lanes, the program's own first."""
    logs: dict[int, list[AgentLog]] = {}
    for log in recording.logs:
        logs.setdefault(log.pid, []).append(log)
    packages = packages_of(recording.logs[0].arguments) if recording.logs else frozenset()
    by_pid: dict[int, list[Switches]] = {}
    for thread in recording.threads:
        if thread.tid not in {agent for log in logs.get(thread.pid, ()) for agent in log.agents}:
            by_pid.setdefault(thread.pid, []).append(thread)
    if recording.clock == "stacks":
        by_pid = {
            pid: switches_by_sight(each[-1], _owned(each[-1], packages), recording.end_ns) for pid, each in logs.items()
        }
    found: list[Process] = []
    for pid, threads in sorted(by_pid.items(), key=lambda each: min(thread.start_ns for thread in each[1])):
        own = logs[pid][-1] if pid in logs else None
        command = next((thread.command for thread in threads if thread.tid == pid and thread.command), "")
        process = Process(pid, _process_name(pid, command, own, is_first=not found), command, own)
        if own is not None:
            process.owned = _owned(own, packages)
            process.stacks = [since_fork(stack) for stack in own.stacks]
        _fill(process, threads, recording)
        found.append(process)
    return found


def _owned(log: AgentLog, packages: frozenset[str]) -> Owned:
    is_helper = any("multiprocessing" in each or "loky" in each for each in log.arguments)
    return Owned(frozenset({log.library, "<string>"} if is_helper else {log.library}), packages)


def _process_name(pid: int, command: str, log: AgentLog | None, *, is_first: bool) -> str:
    if is_first:
        return ""
    named = next((seen.process for seen in log.threads if seen.process != "MainProcess"), "") if log else ""
    rest = list(log.arguments[1:]) if log and "-c" not in log.arguments else []
    script = next((each for each in rest if not each.startswith("-")), "")
    return named or f"{script.rpartition('/')[2][:24] or command or 'process'} ({pid})"


def _fill(process: Process, threads: Sequence[Switches], recording: Recording) -> None:
    log = process.log
    threads_seen = log.threads if log else []
    if log is not None and not log.has_gil:
        threads_seen = list(_seen_whole(threads_seen, process))
    seen_by_id = {seen.native_id: seen for seen in threads_seen if seen.native_id}
    busy = _Busy(threads, recording.end_ns)
    is_crowded = sum(thread.tid in seen_by_id for thread in threads) > 1
    for thread in sorted(threads, key=lambda each: (each.tid != process.pid, each.start_ns)):
        seen = seen_by_id.get(thread.tid)
        is_main = thread.tid == process.pid
        name = (seen.name if seen else "") or ("MainThread" if is_main else f"thread {thread.tid}")
        if process.name:
            name = process.name if is_main else f"{process.name} {name}"
        lane = Lane(name, process, seen, is_main=is_main)
        lane.pieces = list(_Reader(thread, lane, busy if is_crowded else None, recording).pieces())
        if log is not None and seen is not None and log.collections:
            lane.pieces = list(_with_collections(lane.pieces, log, seen.ident, process.owned))
        process.lanes.append(lane)


def _seen_whole(threads: Sequence[SeenThread], process: Process) -> Iterator[SeenThread]:
    """Without a GIL only who stands still is seen whole; of others only the innermost frame is known.

    It is made whole by what stood at the same instruction at another time, in this thread or else in any, if that
    was always at one line of the user's.
    """
    stacks, owned = process.stacks, process.owned

    def wholes(numbers: Iterable[int]) -> dict[Place, int]:
        found: dict[Place, list[int]] = {}
        for number in numbers:
            if number >= 0 and len(stacks[number]) > 1:
                found.setdefault(stacks[number][0], []).append(number)
        return {
            inner: each[0] for inner, each in found.items() if len({own_place(stacks[at], owned) for at in each}) == 1
        }

    anywhere = wholes(range(len(stacks)))
    for seen in threads:
        own = anywhere | wholes(sorted(set(seen.stack)))
        known = {at: own.get(stacks[at][0], at) for at in set(seen.stack) if at >= 0 and len(stacks[at]) == 1}
        yield replace(seen, stack=array("i", [known.get(at, at) for at in seen.stack]))


def _with_collections(pieces: Sequence[Piece], log: AgentLog, ident: int, owned: Owned) -> Iterator[Piece]:
    """Work, parted where a full garbage collection took place."""
    collections = [(start, end, stack) for start, end, thread, stack in log.collections if thread == ident]
    at = 0
    for piece in pieces:
        since = piece.start_ns
        while at < len(collections) and collections[at][1] <= since:
            at += 1
        if piece.kind is Kind.WORK:
            for start, end, stack in islice(collections, at, None):
                if start >= piece.end_ns:
                    break
                first, last = max(start, since), min(end, piece.end_ns)
                if first > since:
                    yield replace(piece, start_ns=since, end_ns=first)
                where = own_place(stack, owned) if stack else piece.where
                yield replace(piece, start_ns=first, end_ns=last, cause=Cause("gc", "", where), where=where)
                since = last
        if piece.end_ns > since:
            yield replace(piece, start_ns=since)


class _Busy:
    """How much of a stretch the threads of a process were at work, or ready for it, all together."""

    def __init__(self, threads: Sequence[Switches], end_ns: int) -> None:
        changes: list[int] = []  # twice the time, and 1 more where one more is ready: numbers sort quickest
        for thread in threads:
            for start, end, what in intervals(thread, end_ns):
                if what != BLOCKED:  # who holds the GIL may be waiting for a core
                    changes += (2 * start + 1, 2 * end)
        changes.sort()
        self._at = [change >> 1 for change in changes]
        self._level = list(accumulate([1 if change & 1 else -1 for change in changes]))
        lengths = [0, *(after - before for before, after in zip(self._at, self._at[1:], strict=False))]
        self._sum = list(accumulate(length * level for length, level in zip(lengths, [0, *self._level], strict=False)))

    def share(self, start: int, end: int) -> float:
        return (self._until(end) - self._until(start)) / (end - start) if end > start else 0.0

    def _until(self, now: int) -> int:
        at = bisect_right(self._at, now) - 1
        return self._sum[at] + self._level[at] * (now - self._at[at]) if at >= 0 else 0


class _Reader:
    """Explains the intervals of one thread."""

    def __init__(self, thread: Switches, lane: Lane, busy: _Busy | None, recording: Recording) -> None:
        self._thread, self._lane, self._busy, self._recording = thread, lane, busy, recording
        log = lane.process.log
        self._has_gil = bool(log and log.has_gil)
        self._stacks = lane.process.stacks
        self._at = lane.seen.at_ns if lane.seen else ()
        self._numbers = lane.seen.stack if lane.seen else ()

    def pieces(self) -> Iterator[Piece]:
        owned = self._lane.process.owned
        last_sight, woken_ns = -2, 0
        for start, end, what in intervals(self._thread, self._recording.end_ns):
            if what == IN:
                yield from self._work(start, end)
                woken_ns = end - start
                continue
            sight = max(self._sight(start, end), 0)
            stack = self._stack(sight)
            if what != BLOCKED:
                yield Piece(start, end, Kind.HELD, Cause("core"), stack, own_place(stack, owned))
                continue
            is_woken_again = sight == last_sight and woken_ns <= _SHORT_WAKE_NS and end - start >= _TURN_NS
            cause = self._why(start, end, stack, is_woken_again)
            if cause.role is Role.TASK and self._is_of_a_library(stack):
                cause = replace(cause, role=Role.IDLE)
            last_sight = sight
            kind = None if cause.role is not Role.TASK else Kind.HELD if cause.kind in ("gil", "core") else Kind.WAIT
            yield Piece(start, end, kind, cause, stack, cause.where)

    def _is_of_a_library(self, stack: Stack) -> bool:
        """Is it a thread that a library keeps for itself? What it waits for holds up no task."""
        if self._lane.is_main or self._lane.process.log is None:
            return False
        if not stack:
            lived_ns = (self._thread.end_ns or self._recording.end_ns) - self._thread.start_ns
            return self._lane.seen is None and lived_ns > _LONG_NS
        return not _has_own(stack, self._lane.process.owned)

    def _why(self, start: int, end: int, stack: Stack, is_woken_again: bool) -> Cause:
        owned = self._lane.process.owned
        calls = self._thread.calls
        at = bisect_left(calls, start, key=itemgetter(0)) if calls else 0
        call = calls[at][1] if at < len(calls) and calls[at][0] < end else ""
        by_call = BY_SYSTEM_CALL.get(call, "")
        wait = wait_of(stack, owned)
        if wait is not None and self._lane.process.log is not None:
            is_held = (
                is_woken_again
                and end - start <= _LONGEST_TURN_NS
                and by_call in ("", "lock")
                and wait.kind != "lock"
                and wait.role is Role.TASK
                and self._others(start, end) >= _BUSY
            )
            if is_held:
                return Cause("gil", "", wait.where)
            return _refined(wait, call, by_call)
        where = own_place(stack, owned)
        if self._lane.is_main and (not self._at or end <= self._at[0]) and self._lane.process.log is not None:
            return START
        if stack and by_call in ("", "lock") and self._others(start, end) >= _BUSY:
            return Cause("gil", "", where)
        if stack and self._busy is None and self._has_gil and call in ("", "futex") and end - start < _AGENTS_NS:
            return Cause("core", "", where)  # a thread alone waits for nobody but the agent, for a moment
        if by_call == "child":
            return Cause("child", "", where, Role.COORDINATING)
        if by_call == "lock":
            return Cause("lock", "interpreter" if stack and not self._has_gil else "", where)
        if by_call:
            return Cause(by_call, call.partition(" ")[2] if call.endswith(("pipe", "terminal")) else "", where)
        return Cause("unknown", "", where)

    def _others(self, start: int, end: int) -> float:
        """How much the threads that may have held the GIL meanwhile were at work, or ready for it."""
        return self._busy.share(start, end) if self._busy and self._has_gil else 0.0

    def _work(self, start: int, end: int) -> Iterator[Piece]:
        """At work: parted where the thread was seen at another place."""
        first, last = bisect_right(self._at, start), bisect_left(self._at, end)
        owned = self._lane.process.owned
        stack = self._stack(first - 1)
        if first < last and wait_of(stack, owned) is not None:
            stack = self._stack(first)  # it has left the place where it waited
        since = start
        for sight in range(first, last):
            now, after = self._at[sight], self._stack(sight)
            if now > since and own_place(after, owned) != own_place(stack, owned):
                yield Piece(since, now, Kind.WORK, None, stack, own_place(stack, owned))
                since = now
            stack = after
        yield Piece(since, end, Kind.WORK, None, stack, own_place(stack, owned))

    def _sight(self, start: int, end: int) -> int:
        """Which sighting tells where it waited from start to end."""
        owned = self._lane.process.owned
        last = bisect_left(self._at, end) - 1
        for sight in range(last, -1, -1):
            if self._at[sight] < start:
                break
            if wait_of(self._stack(sight), owned) is not None or (sight == last and end - start > _NEAR_NS):
                return sight
        if last >= 0 and self._at[last] >= start:
            return last
        for sight in (last, last + 1):
            is_near = 0 <= sight < len(self._at) and abs(self._at[sight] - start) < _NEAR_NS
            if is_near and wait_of(self._stack(sight), owned) is not None:
                return sight
        return last

    def _stack(self, sight: int) -> Stack:
        number = self._numbers[sight] if 0 <= sight < len(self._numbers) else -1
        return self._stacks[number] if number >= 0 else NOWHERE


@lru_cache(100_000)
def _has_own(stack: Stack, owned: Owned) -> bool:
    return any(is_own(place.file, owned) for place in stack)


def _refined(wait: Cause, call: str, by_call: str) -> Cause:
    """What the kernel says of a wait whose name is all that the code says."""
    if not wait.kind.startswith("io:") or not by_call or call in _ANY_FILE:
        return wait
    if by_call == "sleep":  # a database's way to wait for its lock
        return Cause("lock", "database", wait.where, wait.role)
    if by_call.startswith("io:"):
        name = "pipe" if call.endswith("pipe") else wait.name if by_call == wait.kind else ""
        return Cause(by_call, name, wait.where, wait.role)
    return wait


__all__ = ["Lane", "Piece", "Process", "processes_of"]
