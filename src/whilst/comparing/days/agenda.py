"""What an executor turns to next: a state machine that is told what happened and never looks at a clock itself.

Priorities. The plan's order for this executor is a list of stretches. A task's priority is the position of its
first stretch that is not yet used up, so a task gives way as soon as the plan's share for it is done and another
task that stands earlier in the order is ready. The rule is work-conserving: when the task whose turn it is isn't
ready (its wait ends a little late, say), the next one goes on, and gives way at its next interruption point.
Following the planned order rigidly instead would let every late wake-up add to the makespan; following planned
start *times* would leave the executor idle whenever the real day is a moment ahead of the paper one.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from whilst.comparing.days.script import Part, Script
from whilst.model import Kind

_NEVER = 1 << 62
_ROUNDING_NS = 2
"""What the plan's rounding leaves of a share is not worth turning to the task once more."""
_NOTICEABLE_NS = 100_000
"""Being ready for less than this before the executor turns to it isn't called held off: it is the hand-over itself."""


@dataclass(frozen=True, slots=True)
class Work:
    """Give this task that much CPU time, unless `Agenda.calls_away` says otherwise on the way."""

    task: int
    work_ns: int
    label: str


@dataclass(frozen=True, slots=True)
class Idle:
    """Sleep until then, or until a message comes; None: only a message can help."""

    until_ns: int | None


@dataclass(frozen=True, slots=True)
class Stay:
    """What happened to a task between two instants without the executor's attention: a wait, or being held off."""

    task: int
    kind: Kind
    start_ns: int
    end_ns: int
    label: str


@dataclass(slots=True)
class _State:
    part: Part
    missing: set[int]
    shares: deque[list[int]]
    step: int = -1
    left_ns: int = 0
    since_ns: int = 0
    """When the present wait began, or since when the task is ready and without attention."""
    is_begun: bool = False

    @property
    def priority(self) -> int:
        return self.shares[0][0] if self.shares else _NEVER

    @property
    def label(self) -> str:
        return self.part.steps[self.step][2] if 0 <= self.step < len(self.part.steps) else ""

    @property
    def is_finished(self) -> bool:
        return self.step == len(self.part.steps)


class Agenda:
    """The state of one executor's tasks. Every method that takes `now_ns` must be told times that never fall."""

    def __init__(self, script: Script) -> None:
        shares: dict[int, deque[list[int]]] = {number: deque() for number in script.tasks}
        for position, stretch in enumerate(script.order):
            shares[stretch.task].append([position, stretch.work_ns])
        self._states = {number: _State(part, set(part.after), shares[number]) for number, part in script.tasks.items()}
        self._rank = {number: rank for rank, number in enumerate(script.tasks)}
        self._unfinished = len(self._states)
        # A task without work needs nobody: it passes by itself once it may begin, whoever is busy.
        self._free = {
            number
            for number, part in script.tasks.items()
            if script.overlaps or not any(kind is Kind.WORK and length for kind, length, _ in part.steps)
        }
        self._queue = deque(number for number in script.tasks if number not in self._free)
        self._waits: list[tuple[int, int]] = []
        self._ready: list[tuple[int, int, int]] = []
        self._at_work: tuple[int, int, int] | None = None
        self._dependents: dict[int, list[int]] = {}
        for number, part in script.tasks.items():
            for earlier in part.after:
                self._dependents.setdefault(earlier, []).append(number)
        self._stays: list[Stay] = []
        self._finished: list[int] = []

    def begin(self, now_ns: int) -> None:
        """The day begins: tasks that come after nothing may start."""
        self._enter([number for number in self._free if not self._states[number].missing], now_ns)

    def next(self) -> Work | Idle | None:
        """What to do now; None when everything is done. A `Work` is to be answered by `worked`."""
        if not self._unfinished:
            return None
        if not self._ready:
            return Idle(self._waits[0][0] if self._waits else None)
        self._at_work = heapq.heappop(self._ready)
        number = self._at_work[2]
        state = self._states[number]
        share = state.shares[0][1] if len(state.shares) > 1 else state.left_ns
        return Work(number, min(state.left_ns, share), state.label)

    def calls_away(self) -> bool:
        """True if another task is to have the executor's attention now: an interruption point asks."""
        return bool(self._ready) and self._at_work is not None and self._ready[0] < self._at_work

    def worked(self, start_ns: int, work_ns: int, now_ns: int) -> None:
        """The task that `next` named has had that much CPU time in [start_ns, now_ns)."""
        assert self._at_work is not None
        task = self._at_work[2]
        self._at_work = None
        state = self._states[task]
        if state.is_begun and start_ns - state.since_ns > _NOTICEABLE_NS:
            self._stays.append(Stay(task, Kind.HELD, state.since_ns, start_ns, state.label))
        state.is_begun, state.since_ns = True, now_ns
        state.left_ns -= work_ns
        _use_share(state.shares, work_ns)
        if state.left_ns > 0:
            heapq.heappush(self._ready, (state.priority, self._rank[task], task))
        else:
            self._enter([task], now_ns)

    def heard(self, task: int, now_ns: int) -> None:
        """A task on another executor is finished."""
        self._enter(self._freed_by(task), now_ns)

    @property
    def next_wait_ends_ns(self) -> int:
        """When the next wait is over; far away if there is none."""
        return self._waits[0][0] if self._waits else _NEVER

    def pass_time(self, now_ns: int) -> None:
        """End the waits that are over."""
        while self._waits and self._waits[0][0] <= now_ns:
            _, task = heapq.heappop(self._waits)
            state = self._states[task]
            self._stays.append(Stay(task, Kind.WAIT, state.since_ns, now_ns, state.label))
            self._enter([task], now_ns)

    def take_stays(self) -> Iterator[Stay]:
        """Hand out the waits and held-off spans since the last time."""
        stays, self._stays = self._stays, []
        return iter(stays)

    def take_finished(self) -> list[int]:
        """Hand out the tasks that finished since the last time."""
        finished, self._finished = self._finished, []
        return finished

    def _enter(self, tasks: list[int], now_ns: int) -> None:
        """Let tasks go on to their next step, and those that may start because of it to their first.

        With a list of its own in place of recursion, since a chain of 100,000 tasks without length is a valid day.
        """
        while tasks or (tasks := self._next_whole_task()):
            task = tasks.pop()
            state = self._states[task]
            if self._enter_next_step(task, state, now_ns):
                self._unfinished -= 1
                self._finished.append(task)
                tasks += self._freed_by(task)

    def _enter_next_step(self, task: int, state: _State, now_ns: int) -> bool:
        """True if there was no further step."""
        steps = state.part.steps
        state.step += 1
        while state.step < len(steps) and steps[state.step][1] <= 0:
            state.step += 1
        state.since_ns = now_ns
        if state.is_finished:
            return True
        kind, length_ns, _ = steps[state.step]
        if kind is Kind.WAIT:
            state.is_begun = True
            heapq.heappush(self._waits, (now_ns + length_ns, task))
        else:
            state.left_ns = length_ns
            heapq.heappush(self._ready, (state.priority, self._rank[task], task))
        return False

    def _freed_by(self, task: int) -> list[int]:
        freed = []
        for number in self._dependents.pop(task, ()):
            missing = self._states[number].missing
            missing.discard(task)
            if number in self._free and not missing:
                freed.append(number)
        return freed

    def _next_whole_task(self) -> list[int]:
        """Where waits hold the executor: the first task of the queue, if the one before is done and it may start."""
        while self._queue and self._states[self._queue[0]].is_finished:
            self._queue.popleft()
        if not self._queue:
            return []
        state = self._states[self._queue[0]]
        return [] if state.missing or state.step >= 0 else [self._queue[0]]


def _use_share(shares: deque[list[int]], work_ns: int) -> None:
    """Take the work off the plan's shares for the task; the last share stays, since it is the task's priority."""
    while len(shares) > 1 and work_ns > 0:
        used = min(shares[0][1], work_ns)
        shares[0][1] -= used
        work_ns -= used
        if shares[0][1] <= _ROUNDING_NS:
            shares.popleft()
