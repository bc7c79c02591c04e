"""One execution: tasks as pooled greenlets in one OS thread, run event by event as the plan says.

A task parks *ahead of* each event. Whoever arrives at an event asks `choose` who goes next and switches straight
to that greenlet, without a detour through the hub; when it is the same task, nothing switches at all. Making a
greenlet costs 9 us and a switch 0.3 us, hence the pool.

Tasks are numbered for the whole search (`(parent, nth child)` keeps its number);
outside, spawned tasks are numbered in the order of their start in that execution, so that choices mean the same
in any process.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Any

from greenlet import getcurrent, greenlet

from whilst.checking.engine.events import Status, TaskResult
from whilst.checking.engine.operations import Operation
from whilst.checking.engine.spin_loops import ROUNDS, Polling, local_state
from whilst.checking.engine.turns import LOOKS, Turns

__all__ = ["Abort", "Overdue", "Scheduler"]

_UNWIND_EVENTS = 2_000  # how much a task may do while it is being unwound before it is cut off again
_RETURNED = TaskResult(has_finished=True)


class Abort(BaseException):
    """Unwinds a parked task at the end of an execution; user code is not meant to catch it."""


class Overdue(BaseException):
    """Raised by the watchdog in a task that runs on and on without an event."""


class Scheduler(Turns):
    """Runs one execution after another; `step` is what every hooked access ends in."""

    __slots__ = (
        "_contexts",
        "_hub",
        "_is_over",
        "_is_unusual",
        "_jobs",
        "_pool",
        "_to_begin",
        "_unwound",
        "blocked_outside",
        "cur",
        "interrupt",
        "is_killing",
        "on_stuck",
    )

    def __init__(self) -> None:
        self._pool: list[greenlet] = []
        self._contexts: list[Context] = []
        self._is_over = False
        self.cur = -1
        self.on_stuck: Callable[[], None] | None = None
        self.interrupt: BaseException | None = None
        self.blocked_outside = ""  # where the watchdog found a task in a system call
        self.is_killing = self._is_unusual = False
        self._unwound = 0
        self._to_begin = 0  # while tasks run to their first events: which is the next
        self._jobs: dict[int, Callable[[], object]] = {}
        super().__init__()

    def forget(self) -> None:
        """The check is over; parked greenlets stay for the next."""
        self.task_numbers, self.gates = {}, {}
        self.picker = self.on_event = self.interrupt = None
        self.keeps_enabled, self.patience = False, 0
        self._jobs.clear()
        self._reset(0)

    def end(self) -> None:
        """Let the parked greenlets come to their end: while they are alive the collector leaves them, and what they
        hold, alone."""
        self._is_over = True
        for green in self._pool:
            if green and not green.dead:
                green.parent = getcurrent()
                green.switch()
        self._pool.clear()
        self._contexts.clear()

    # ------------------------------------------------------------------ running

    def run(
        self,
        jobs: Sequence[Callable[[], object]],
        plan: Sequence[int],
        *,
        are_outer: bool = False,
        sleep: int = 0,
        sleep_from: int = 0,
        order: Sequence[int] | None = None,
    ) -> None:
        """Run `jobs` as tasks 0, 1, ... The outcome is in `trace`, `results`, `status`, `pending`, `sleeps`."""
        self._reset(len(jobs))
        self._jobs.clear()
        self._hub = getcurrent()
        self._plan, self._plan_length, self._choices_are_outer = plan, len(plan), are_outer
        self.sleep, self.sleep_from = sleep, sleep_from
        self.blocked_outside = ""
        self.deadline = time.monotonic() + self.limit_s
        try:
            if order is None:
                self._run_interleaved(jobs)
            else:
                self._run_in_order(jobs, order)
        except BaseException as error:
            self.interrupt = self.interrupt or error
        finally:
            self._to_begin, self._is_unusual = 0, False
            if self.on_stuck is not None and self.pending:
                self.on_stuck()
            self._unwind()
            if self.unmodelled:
                self.status, self.reason = Status.OUTSIDE, f"{self.unmodelled} is not modelled by the check"
            self.cur = -1
            self.deadline = None
            error_, self.interrupt = self.interrupt, None
            if error_ is not None:
                raise error_

    def _run_interleaved(self, jobs: Sequence[Callable[[], object]]) -> None:
        """Each task runs as far as its first event and hands over to the next; the last one lets the plan begin."""
        for task, job in enumerate(jobs):
            self._prepare(task, job)
        if jobs:
            self._to_begin, self._is_unusual = 1, True
            self.cur = 0
            self._pool[0].switch()

    def _begin_next(self) -> int:
        """While tasks run to their first events: the next to do so, or who goes first, by the plan."""
        task = self._to_begin
        if task < self.count:
            self._to_begin = task + 1
            return task
        self._to_begin, self._is_unusual = 0, False
        self.cur = -1
        return self.choose(-1)

    def _run_in_order(self, jobs: Sequence[Callable[[], object]], order: Sequence[int]) -> None:
        self._gate = {}
        for task in order:
            self._prepare(task, jobs[task])
            self.cur = self._main = task
            self._pool[task].switch()
            if self.status is not Status.DONE or self.interrupt:
                return
        self._main = -1
        self._nobody()

    def _prepare(self, task: int, job: Callable[[], object]) -> None:
        pool, contexts = self._pool, self._contexts
        while len(pool) <= task:
            pool.append(greenlet(self._work, self._hub))
            contexts.append(Context())
            pool[-1].gr_context = contexts[-1]
        if pool[task].dead:
            pool[task] = greenlet(self._work, self._hub)
            pool[task].gr_context = contexts[task] = Context()
        elif len(contexts[task]):  # a thread's own, new in every execution
            pool[task].gr_context = contexts[task] = Context()
        self._jobs[task] = job

    def _work(self) -> None:
        """A pooled greenlet: one job after another, for whichever task it stands for at the time."""
        while not self._is_over:
            task = self.cur
            job = self._jobs.pop(task)
            try:
                value = job()
                self.results[task] = _RETURNED if value is None else TaskResult(has_finished=True, value=value)
                del value
            except Abort:
                self.results[task] = TaskResult(has_finished=False)
            except Overdue:
                self.status = Status.TOO_LONG
                self.reason = f"task {self.outer[task]} ran for more than {self.limit_s} s in one execution"
                if self.blocked_outside:
                    self.status = Status.OUTSIDE
                    self.reason = (
                        f"task {self.outer[task]} waited for more than {self.limit_s} s at {self.blocked_outside}, "
                        "for something that the check does not model"
                    )
                self.results[task] = TaskResult(has_finished=False)
                self.pending.pop(task, None)
                self._hub.switch()
                continue
            except KeyboardInterrupt as error:
                self.interrupt = error
            except BaseException as error:  # a task's outcome, SystemExit included
                self.results[task] = TaskResult(has_finished=True, error=error)
            self.pending.pop(task, None)
            self.did_begin |= 1 << task
            del job
            if self.is_killing or self.interrupt:
                self._hub.switch()
                continue
            following = self._begin_next() if self._to_begin else self.choose(task)
            if following < 0:
                self._hub.switch()
            else:
                self.cur = following
                self._pool[following].switch()

    def step(self, operation: Operation) -> None:
        """The running task is about to do this: let the plan decide who goes first."""
        task = self.cur
        if self._is_unusual and self.is_killing:
            self._step_unwinding(operation)
            return
        self.pending[task] = operation
        code = operation[0]
        if code == 0 or (code == 2 and operation[5].kind in LOOKS):
            looks = self._looks
            looks[task] = count = looks.get(task, 0) + 1
            if count >= ROUNDS:
                self._look_again(task, operation)
        if self._is_unusual:
            following = self._begin_next()
            self.cur = task
        else:
            following = self.choose(task)
        if following == task:
            return
        if following < 0:
            self._hub.switch()
        else:
            self.cur = following
            self._pool[following].switch()
        if self.is_killing:
            raise Abort

    def _look_again(self, task: int, operation: Operation) -> None:
        """A task has looked a few times since it last wrote: how often at this, from here?"""
        looked = self._looked.get(task)
        if looked is None:
            looked = self._looked[task] = {}
            for earlier in self.looks_since_write(task):
                view = _view_of(earlier)
                looked[view] = looked.get(view, 0) + 1
        view = _view_of(operation)
        looked[view] = count = looked.get(view, 0) + 1
        if count >= ROUNDS:
            self._doubt(task, operation)

    def _doubt(self, task: int, operation: Operation) -> None:
        """A task has looked at the same thing from the same place a third time: does it poll?"""
        if self._polling is None:
            self._polling, self._is_followed = Polling(), True
            self._polling.catch_up(self.trace, self.pending, task)
        known = self._polling.look(task, operation)
        if known is None or self.holding.get(task):  # it never waits with a lock in its hands
            return
        local = local_state(Scheduler._work.__code__)
        if local is not None and known[1] == local:
            self.idle[task] = len(self.trace)
        known[1] = local

    def _step_unwinding(self, operation: Operation) -> None:
        """Let releases and clean-up through, never a wait, and nothing that goes on for ever."""
        self._unwound += 1
        sync = operation[5] if operation[0] == 2 else None
        is_stuck = sync is not None and sync.blocks and not sync.needs(sync.measure())
        if is_stuck or self._unwound > _UNWIND_EVENTS:
            raise Abort

    def spawn(self, job: Callable[[], object], operation: Operation) -> int:
        """A new task, with `operation` as its first event; the parent's own event comes before this call."""
        task = self.next_child()
        self.children[self.cur] = self.children.get(self.cur, 0) + 1
        self.outer[task] = len(self.numbers)
        self.numbers.append(task)
        self._prepare(task, job)
        self.pending[task] = operation
        return task

    def next_child(self) -> int:
        """The number that the next task has which the running one starts."""
        key = (self.cur, self.children.get(self.cur, 0))
        task = self.task_numbers.get(key)
        if task is None:
            task = self.task_numbers[key] = self.count + len(self.task_numbers)
        return task

    # ------------------------------------------------------------------ ending

    def _unwind(self) -> None:
        """Raise Abort in every task that is parked, so that `with` and `finally` give back what they took."""
        self.stuck = dict(self.pending)
        if not self.stuck:
            return
        self.is_killing = self._is_unusual = True
        interrupt, self.interrupt = self.interrupt, None
        hook, sys.unraisablehook = sys.unraisablehook, _say_nothing
        unawaited = getattr(warnings, _UNAWAITED)
        setattr(warnings, _UNAWAITED, _say_nothing)
        for task in sorted(self.pending):
            self.cur = task
            self._unwound = 0
            worker = self._pool[task]
            if task in self._jobs:  # was never begun
                del self._jobs[task]
                self.results.setdefault(task, TaskResult(has_finished=False))
                continue
            worker.switch()
            if task not in self.results:
                self.results[task] = TaskResult(has_finished=False)
        sys.unraisablehook = hook
        setattr(warnings, _UNAWAITED, unawaited)
        self.is_killing = self._is_unusual = False
        self.interrupt = interrupt or self.interrupt


def _view_of(look: Operation) -> tuple[Any, ...]:
    """From where a task looked, and at what."""
    return (look[3], look[1], look[2])


_UNAWAITED = "_warn_unawaited_coroutine"  # what the interpreter calls for a coroutine that goes without having begun


def _say_nothing(_gone: object) -> None:
    """`__del__` and callbacks of weak references can't pass on what unwinds their task; Python would print it."""
