"""Whose turn it is: who goes next at every event of an execution, and what has been written down of it.

Decided from the plan, from what is pending and from who polls; no task is run here (see `scheduler`). This is asked
once an event, which is why one class holds all there is to know and the common way through `choose` calls nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from whilst.checking.engine.events import Op, Status, TaskResult
from whilst.checking.engine.operations import Event, HeldOff, Operation, touches
from whilst.checking.engine.spin_loops import LOCKING, Polling

__all__ = ["LOOKS", "Turns"]

_LOOK_EVERY: Final = 256  # events between two looks at the bounds of an execution
LOOKS: Final = frozenset({Op.TRY, Op.READ, Op.ACQUIRE})
_NO_PLAN: Final[tuple[int, ...]] = ()
_NOT_MEASURED: Final[Any] = object()


class Turns:
    """The state of one execution after the other, and the choices in it."""

    __slots__ = (
        "_choices_are_outer",
        "_gate",
        "_is_followed",
        "_look_at",
        "_looked",
        "_looks",
        "_main",
        "_plan",
        "_plan_length",
        "_polling",
        "children",
        "count",
        "daemons",
        "deadline",
        "did_begin",
        "enabled_along",
        "gates",
        "groups",
        "held_off",
        "holding",
        "idle",
        "keep",
        "keeps_enabled",
        "limit_s",
        "limit_steps",
        "numbers",
        "on_event",
        "outer",
        "patience",
        "pending",
        "picker",
        "reason",
        "results",
        "sleep",
        "sleep_from",
        "sleeps",
        "status",
        "stuck",
        "task_numbers",
        "trace",
        "unmodelled",
    )

    def __init__(self) -> None:
        self.limit_steps, self.limit_s = 0, 0.0  # events and seconds that one execution may take
        self.task_numbers: dict[tuple[int, int], int] = {}  # (parent, nth child) -> task, for the whole search
        self.gates: dict[int, int] = {}  # task -> the identical task that must have begun before it
        self.picker: Callable[[int, list[int]], int] | None = None
        self.on_event: Callable[[Event], None] | None = None
        self.patience = 0  # in an audit: how many more instructions go by before somebody may lose its turn
        self.keeps_enabled = False
        self.deadline: float | None = None  # while an execution runs; the watchdog looks at it
        self._looks: dict[int, int] = {}  # by task: how often it has looked at anything since it last wrote
        self._looked: dict[int, dict[tuple[Any, ...], int]] = {}  # once that is often: how often at what, from where
        self.holding: dict[int, int] = {}  # how many locks a task has
        self.children: dict[int, int] = {}
        self.groups: dict[int, int] = {}  # task -> the bit that it shares with others; else 1 << task
        self.daemons: set[int] = set()
        self.keep: list[object] = []
        self._reset(0)

    def _reset(self, count: int) -> None:
        """A new execution of that many tasks. What an `Execution` may hold is made anew, the rest emptied."""
        self.count = count
        self.trace: list[Event] = []
        self.pending: dict[int, Operation] = {}
        self.results: dict[int, TaskResult] = {}
        numbers = range(count)
        self.outer: dict[int, int] = dict(zip(numbers, numbers, strict=True))  # our number -> number outside
        self.numbers: list[int] = [*numbers]  # number outside -> ours
        self.sleeps: list[int] = []
        self.stuck: dict[int, Operation] = {}  # what was pending at the end
        self.enabled_along: list[list[int]] = []
        self.idle: dict[int, int] = {}  # task that polls in vain -> the depth at which it was noticed
        self.held_off: HeldOff = {}
        for held in (self._looks, self._looked, self.holding, self.children, self.groups, self.daemons, self.keep):
            if held:
                held.clear()
        self.unmodelled = ""  # what a task asked for in vain
        self.sleep = self.sleep_from = 0
        self.status, self.reason = Status.DONE, ""
        self._polling: Polling | None = None  # once a task has looked often enough
        self._main = -1  # one after the other: whose turn it is
        self._plan: Sequence[int] = _NO_PLAN
        self._plan_length = 0
        self._choices_are_outer = False
        self._look_at = _LOOK_EVERY
        self._gate = self.gates
        self.did_begin = 0  # mask of the tasks that have had an event, if there are gates
        self._is_followed = self.keeps_enabled or self.on_event is not None  # somebody wants to know of every event

    # ------------------------------------------------------------------ who can go on

    def is_enabled(self, task: int) -> bool:
        """Whether the task's pending operation can happen now."""
        if self.idle and task in self.idle and self._polling is not None and self._polling.is_unchanged(task):
            return False
        return self._can_happen(task)

    def _can_happen(self, task: int) -> bool:
        """The same, if a look of a task that polls in vain is to be had: it is put off, not blocked."""
        operation = self.pending[task]
        if operation[0] == 2:
            sync = operation[5]
            if sync.blocks and not sync.needs(sync.measure()):
                return False
        gate = self._gate
        if gate and task in gate and not (self.did_begin >> task) & 1:
            return bool((self.did_begin >> gate[task]) & 1)
        return True

    def enabled(self) -> list[int]:
        """Every task that can go on, in ascending order."""
        if self.idle or self._gate:
            return sorted([task for task in self.pending if self.is_enabled(task)])
        return sorted([task for task, each in self.pending.items() if each[0] != 2 or self.is_enabled(task)])

    def _would_fail(self, task: int) -> bool:
        """A try or a time-out that would get nothing: others go first unless the plan says otherwise."""
        operation = self.pending[task]
        if operation[0] != 2:
            return False
        sync = operation[5]
        return sync.kind is Op.TRY and sync.needs is not None and not sync.needs(sync.measure())

    def _first_enabled(self) -> int:
        """The lowest that can go on, asleep ones left out, a try that would fail only if there is nothing else."""
        is_any_enabled, last, sleep = False, -1, self.sleep
        is_plain = not self.idle and not self._gate
        for task in sorted(self.pending):
            if is_plain and self.pending[task][0] != 2:
                is_any_enabled = True
                if not (sleep >> task) & 1:
                    return task
                continue
            if not self.is_enabled(task):
                continue
            is_any_enabled = True
            if (sleep >> task) & 1:
                continue
            if not self._would_fail(task):
                return task
            last = task if last < 0 else last
        if last >= 0:
            return last
        if not is_any_enabled:
            return self._nobody()
        self.status = Status.CUT
        return -1

    def _nobody(self) -> int:
        """Nobody can go on: all done, or, with anyone left but daemon threads, a deadlock."""
        if self._main >= 0 and self._main not in self.pending:
            return -1  # one after the other: what is left waits for the tasks that follow
        if any(task not in self.daemons for task in self.pending):
            self.status = Status.SPINNING if self.idle else Status.DEADLOCK
            if self.idle:
                task = min(self.idle)
                location = self.pending[task][3].location
                self.reason = f"task {self.outer[task]} goes round for ever at {location.file}:{location.line}"
        return -1

    # ------------------------------------------------------------------ choosing

    def choose(self, task: int) -> int:
        """Who goes next, as an event already written down; -1 ends the execution. `task` ran until now."""
        trace, pending = self.trace, self.pending
        depth = len(trace)
        if depth >= self._look_at and self._is_too_long(depth):
            return -1
        before = _NOT_MEASURED
        if depth < self._plan_length:
            chosen = self._plan[depth]
            operation = pending.get(chosen)
            if (
                operation is None
                or self._choices_are_outer
                or self.idle
                or (self._gate and not (self.did_begin >> chosen) & 1)
                or (
                    operation[0] == 2
                    and operation[5].blocks
                    and not operation[5].needs(before := operation[5].measure())
                )
            ):
                chosen, before = self._planned(depth), _NOT_MEASURED
        elif self.picker is not None:
            chosen = self._picked(task, self.picker)
        else:
            # By default the one that runs goes on, but not into a wait, nor into a try that would fail.
            chosen = task
            operation = pending.get(task)
            if (
                operation is None
                or (self.sleep >> task) & 1
                or (
                    operation[0] == 2
                    and operation[5].needs is not None
                    and not operation[5].needs(before := operation[5].measure())
                )
                or ((self.idle or (self._gate and not (self.did_begin >> task) & 1)) and not self.is_enabled(task))
            ):
                chosen, before = self._first_enabled(), _NOT_MEASURED
        if chosen < 0:
            return -1
        operation = pending[chosen]
        code = operation[0]
        event: Event
        if code != 2:
            event = (chosen, code == 1, operation[1], operation[2], None, operation)
        else:
            sync = operation[5]
            if before is _NOT_MEASURED:
                before = sync.measure() if sync.measure is not None else None
            writes = sync.writes if sync.writes < 2 else sync.needs(before)
            event = (chosen, bool(writes), operation[1], operation[2], before, operation)
        if self._is_followed:
            self._follow(chosen, depth, event)
        if self._gate:
            self.did_begin |= 1 << chosen
        if event[1] and chosen in self._looks and (code == 1 or operation[5].kind not in LOCKING):
            del self._looks[chosen]
            self._looked.pop(chosen, None)
        if self.sleep and depth >= self.sleep_from:
            self.sleeps.append(self.sleep)
            self._wake(event)
        trace.append(event)
        return chosen

    def looks_since_write(self, task: int) -> Iterator[Operation]:
        """What the task has looked at since it last wrote anything but a lock."""
        for event in reversed(self.trace):
            operation = event[5]
            if event[0] != task:
                continue
            if event[1] and (operation[0] == 1 or operation[5].kind not in LOCKING):
                return
            if operation[0] == 0 or (operation[0] == 2 and operation[5].kind in LOOKS):
                yield operation

    def _follow(self, chosen: int, depth: int, event: Event) -> None:
        """What only some executions need to know of an event that is about to happen."""
        if self.keeps_enabled:
            self.enabled_along.append(self.enabled())
        if self._polling is not None:
            if chosen in self.idle:
                self.held_off[depth] = (self.idle.pop(chosen), self._polling.seen_by(chosen))
            self._polling.note(event)
        if self.on_event is not None:
            self.on_event(event)

    def _picked(self, task: int, picker: Callable[[int, list[int]], int]) -> int:
        if self.patience and task in self.pending and self.is_enabled(task):
            self.patience -= 1
            return task
        enabled = self.enabled()
        chosen = picker(task, enabled) if enabled else self._nobody()
        if chosen < 0 and enabled:
            self.status = Status.CUT
        return chosen

    def _planned(self, depth: int) -> int:
        chosen = self._plan[depth]
        if self._choices_are_outer:
            if not 0 <= chosen < len(self.numbers):
                return self._diverge(depth, chosen, "has not been started")
            chosen = self.numbers[chosen]
        if chosen not in self.pending:
            return self._diverge(depth, chosen, "has nothing left to do")
        if not self._can_happen(chosen):
            return self._diverge(depth, chosen, "is blocked")
        return chosen

    def _diverge(self, depth: int, task: int, why: str) -> int:
        self.status = Status.DIVERGED
        self.reason = f"choice {depth} names task {task}, which {why}"
        return -1

    def _is_too_long(self, depth: int) -> bool:
        self._look_at = depth + _LOOK_EVERY
        if depth >= self.limit_steps:
            self.reason = f"the step bound of {self.limit_steps} events was reached"
        elif self.deadline is not None and time.monotonic() > self.deadline:
            self.reason = f"one execution took more than {self.limit_s} s"
        else:
            return False
        self.status = Status.TOO_LONG
        return True

    def _wake(self, event: Event) -> None:
        """Tasks leave the sleep set when something happens that their pending operation depends on."""
        sleeping = rest = self.sleep & ~(1 << event[0])
        while rest:
            lowest = rest & -rest
            if touches(self.pending.get(lowest.bit_length() - 1), event):
                sleeping ^= lowest
            rest ^= lowest
        self.sleep = sleeping
