"""One execution: tasks as pooled greenlets in one OS thread, run event by event as the plan says.

A task parks *ahead of* each event. Whoever arrives at an event asks `choose` who goes next and switches straight
to that greenlet, without a detour through the hub; when it is the same task, nothing switches at all. Making a
greenlet costs 9 us and a switch 0.3 us, hence the pool.

Tasks are numbered for the whole search: the nth child of a parent keeps its number. Outside, spawned tasks are
numbered in the order of their start in that execution, so that choices mean the same in any process.

Who goes next is decided from the plan, from what is pending and from who polls. This is asked once an event, which is
why one class holds all there is to know and the common way through `choose` calls nothing.
"""

from __future__ import annotations

import _thread
import math
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context
from typing import Any, Final

from greenlet import getcurrent, greenlet

from whilst.checking.engine.events import Op, Status, TaskResult
from whilst.checking.engine.operations import Event, HeldOff, Operation, touches
from whilst.checking.engine.pollers import Places, Pollers
from whilst.checking.engine.spin_loops import LOCKING, LOOKS

_UNWIND_EVENTS = 2_000  # how much a task may do while it is being unwound before it is cut off again
_RETURNED = TaskResult(has_finished=True)
_LOOK_EVERY: Final = 256  # events between two looks at the bounds of an execution
_NO_PLAN: Final[tuple[int, ...]] = ()
_NOT_MEASURED: Final[Any] = object()
_FIRST_TASKS: Final[dict[int, dict[int, int]]] = {}  # by how many they are: the numbers of the program's own tasks


class Abort(BaseException):
    """Unwinds a parked task at the end of an execution; user code is not meant to catch it."""


class Overdue(BaseException):
    """Raised by the watchdog in a task that runs on and on without an event."""


class Scheduler:
    """Runs one execution after another; `step` is what every hooked access ends in, `choose` decides who goes next."""

    __slots__ = (
        "_all_shut",
        "_choices_are_outer",
        "_contexts",
        "_defers",
        "_emptied",
        "_hub",
        "_is_between",
        "_is_followed",
        "_is_over",
        "_is_unusual",
        "_jobs",
        "_look_at",
        "_looked",
        "_looks",
        "_main",
        "_opens",
        "_opens_by",
        "_plan",
        "_plan_length",
        "_pool",
        "_shut",
        "_to_begin",
        "_unwound",
        "blocked_outside",
        "children",
        "count",
        "cur",
        "daemons",
        "deadline",
        "defers_timers",
        "enabled_along",
        "ends_at",
        "gates",
        "groups",
        "has_met_timer",
        "held_off",
        "holding",
        "ident",
        "idle",
        "interrupt",
        "is_killing",
        "is_overdue",
        "keep",
        "keeps_enabled",
        "limit_s",
        "limit_steps",
        "numbers",
        "on_event",
        "on_stuck",
        "outer",
        "patience",
        "pending",
        "picker",
        "pollers",
        "reason",
        "results",
        "sleep",
        "sleep_from",
        "sleeps",
        "status",
        "stuck",
        "task_numbers",
        "timers",
        "trace",
        "unmodelled",
    )

    def __init__(self) -> None:
        self._pool: list[greenlet] = []
        self._contexts: list[Context] = []
        self._is_over = False
        self.cur = -1
        self.ident = 0  # of the thread that runs the tasks
        self.on_stuck: Callable[[], None] | None = None
        self.interrupt: BaseException | None = None
        self.is_overdue = False  # the watchdog raised Overdue, which a call from C code may have passed over
        self.blocked_outside = ""  # where the watchdog found a task in a system call
        self.is_killing = self._is_unusual = False
        self._unwound = 0
        self._to_begin = 0  # while tasks run to their first events: which is the next
        self._jobs: dict[int, Callable[[], object]] = {}
        self.limit_steps, self.limit_s = 0, 0.0  # events and seconds that one execution may take
        self.task_numbers: dict[tuple[int, int], int] = {}  # (parent, nth child) -> task, for the whole search
        self.gates: Mapping[int, int] = {}  # task -> the identical task that must have begun before it
        self._opens_by: Mapping[int, int] = self.gates  # what `_opens` and `_all_shut` are made from
        self._opens: dict[int, int] = {}  # task -> mask of those that may begin once it has begun
        self._all_shut = 0  # mask of the tasks that have to wait for another's beginning
        self.picker: Callable[[int, list[int]], int] | None = None
        self.on_event: Callable[[Event], None] | None = None
        self.patience = 0  # with random switches: how many more instructions go by before somebody may lose its turn
        self.keeps_enabled = False
        self.deadline: float | None = None  # while an execution runs; the watchdog looks at it
        self.ends_at = math.inf  # when the check ends, and no execution goes on, by `time.monotonic`
        self.pollers = Pollers(Scheduler._work.__code__)
        self.idle = self.pollers.idle  # tasks that poll in vain
        self._looks, self._looked = self.pollers.looks, self.pollers.looked
        self.holding: dict[int, int] = {}  # how many locks a task has
        self.children: dict[int, int] = {}
        self.groups: dict[int, int] = {}  # task -> the bit that it shares with others; else 1 << task
        self.daemons: set[int] = set()
        self.timers: set[int] = set()  # tasks that are time-outs of event loops
        self.defers_timers = 0  # one after the other: after which places they run out later (a mask)
        self.has_met_timer = False  # one after the other: one could run out between two tasks
        self._is_between = self._defers = self._is_followed = self._choices_are_outer = False
        self._plan: Sequence[int] = _NO_PLAN
        self._plan_length = self.sleep = self.sleep_from = 0
        self.keep: list[object] = []
        self._emptied: tuple[Any, ...] = (
            self.holding,
            self.children,
            self.groups,
            self.daemons,
            self.timers,
            self.keep,
        )
        self.begin(0)

    def begin(self, count: int) -> None:
        """A new execution of that many tasks. What an `Execution` may hold is made anew, the rest emptied."""
        self.count = count
        numbers = _FIRST_TASKS.get(count)
        if numbers is None:
            numbers = _FIRST_TASKS[count] = {task: task for task in range(count)}
        self.trace: list[Event] = []
        self.pending: dict[int, Operation] = {}
        self.results: dict[int, TaskResult] = {}
        self.outer: dict[int, int] = numbers.copy()  # our number -> number outside
        self.numbers: list[int] = [*numbers]  # number outside -> ours
        self.sleeps: list[int] = []
        self.stuck: dict[int, Operation] = {}  # what was pending at the end
        self.enabled_along: list[list[int]] = []
        self.held_off: HeldOff = {}
        for held in filter(None, self._emptied):
            held.clear()
        self.unmodelled = ""  # what a task asked for in vain
        self.status, self.reason = Status.DONE, ""
        self.pollers.begin()
        self._main = -1  # one after the other: whose turn it is
        self._look_at = _LOOK_EVERY
        self._shut = 0 if not self.gates else self._all_shut if self.gates is self._opens_by else self._know_gates()

    def _know_gates(self) -> int:
        """All who have to wait for another's beginning."""
        self._opens_by, self._opens, self._all_shut = self.gates, {}, 0
        for task, gate in self.gates.items():
            self._opens[gate] = self._opens.get(gate, 0) | 1 << task
            self._all_shut |= 1 << task
        return self._all_shut

    def forget(self) -> None:
        """The check is over; parked greenlets stay for the next."""
        self.task_numbers = {}
        self._opens_by = self.gates = {}
        self.picker = self.on_event = self.interrupt = None
        self.keeps_enabled, self.patience, self.pollers.has_waited_asleep = False, 0, False
        self._jobs.clear()
        self.begin(0)

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
        """Run `jobs` as tasks 0, 1, ... after `begin`. The outcome is in `trace`, `results`, `status`, `pending`,
        `sleeps`."""
        self._is_followed = self.keeps_enabled or self.on_event is not None  # somebody wants to know of every event
        self._jobs.clear()
        self._hub = getcurrent()
        self.ident = _thread.get_ident()
        self._plan, self._plan_length, self._choices_are_outer = plan, len(plan), are_outer
        self.sleep, self.sleep_from = sleep, sleep_from
        self.blocked_outside = ""
        self.deadline = min(time.monotonic() + self.limit_s, self.ends_at)
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
            if self.is_overdue:
                self.is_overdue = False
                self._end_late(f"one execution took more than {self.limit_s} s")
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
        self._shut = 0
        self.has_met_timer = False
        for place, task in enumerate(order):
            self._is_between = place < len(order) - 1
            self._defers = bool((self.defers_timers >> place) & 1)
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
                self.is_overdue = False
                self._end_late(f"task {self.outer[task]} ran for more than {self.limit_s} s in one execution")
                if self.blocked_outside and self.status is Status.TOO_LONG:
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
            if self._shut:
                self._shut &= ~self._opens.get(task, 0)
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
            seen = self._looks.get(task)
            if seen is None:
                self._looks[task] = {operation[3]}
            elif operation[3] not in seen and task not in self._looked:
                seen.add(operation[3])
            else:
                holds = bool(self.holding.get(task))
                self.pollers.look_again(task, operation, self.trace, self.pending, is_holding=holds)
                self._is_followed = self._is_followed or self.pollers.must_follow
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

    def wait_for(self, seen: Places) -> None:
        """The running task, of an event loop, is about to go round as before: see `Pollers.wait_for`."""
        self.pollers.wait_for(self.cur, seen, len(self.trace))
        self._is_followed = True

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

    # ------------------------------------------------------------------ who can go on

    def is_enabled(self, task: int) -> bool:
        """Whether the task's pending operation can happen now."""
        if self.idle and self.pollers.is_in_vain(task):
            return False
        return self._can_happen(task)

    def _can_happen(self, task: int) -> bool:
        """The same, if a look of a task that polls in vain is to be had: it is put off, not blocked."""
        operation = self.pending[task]
        if operation[0] == 2:
            sync = operation[5]
            if sync.blocks and not sync.needs(sync.measure()):
                return False
        return not (self._shut >> task) & 1

    def enabled(self) -> list[int]:
        """Every task that can go on, in ascending order."""
        if self.idle or self._shut:
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
        idle, shut = self.idle, self._shut
        for task in sorted(self.pending):
            if (shut >> task) & 1:
                continue
            if self.pending[task][0] != 2 and not idle:
                is_any_enabled = True
                if not (sleep >> task) & 1:
                    return task
                continue
            if not self.is_enabled(task):
                continue
            if self.timers and task in self.timers and self._may_defer():
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
            return self._much_later() if self.idle else self._nobody()
        self.status = Status.CUT
        return -1

    def _may_defer(self) -> bool:
        """One after the other: time may be short between two tasks, so that a time-out comes later."""
        if self._main < 0 or self._main in self.pending or not self._is_between:
            return False
        self.has_met_timer = True
        return self._defers

    def _much_later(self) -> int:
        """Nobody can go on but who polls: if one sleeps between its looks, it looks again, much later."""
        task = self.pollers.much_later([each for each in self.idle if each in self.pending and self._can_happen(each)])
        return task if task >= 0 else self._nobody()

    def _nobody(self) -> int:
        """Nobody can go on: all done, or, with anyone left but daemon threads, a deadlock."""
        if self._main >= 0 and self._main not in self.pending:
            return -1  # one after the other: what is left waits for the tasks that follow
        if self.pending and any(task not in self.daemons for task in self.pending):
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
                or (self._shut >> chosen) & 1
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
                or ((self.idle or (self._shut >> task) & 1) and not self.is_enabled(task))
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
            writes = sync.writes if sync.writes < 2 else sync.does_write(before)
            event = (chosen, bool(writes), operation[1], operation[2], before, operation)
        if self._is_followed:
            self._follow(depth, event)
        if self._shut:
            self._shut &= ~self._opens.get(chosen, 0)
        if event[1] and chosen in self._looks and (code == 1 or operation[5].kind not in LOCKING):
            del self._looks[chosen]
            self._looked.pop(chosen, None)
        if self.sleep and depth >= self.sleep_from:
            self.sleeps.append(self.sleep)
            self._wake(event)
        trace.append(event)
        return chosen

    def _follow(self, depth: int, event: Event) -> None:
        """What only some executions need to know of an event that is about to happen."""
        if self.keeps_enabled:
            self.enabled_along.append(self.enabled())
        if self.pollers.must_follow:
            held_off = self.pollers.follow(event)
            if held_off is not None:
                self.held_off[depth] = held_off
        if self.on_event is not None:
            self.on_event(event)

    def _picked(self, task: int, picker: Callable[[int, list[int]], int]) -> int:
        if self.patience and task in self.pending and self.is_enabled(task):
            self.patience -= 1
            return task
        enabled = self.enabled()
        chosen = picker(task, enabled) if enabled else self._much_later() if self.idle else self._nobody()
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
        if chosen in self.idle and chosen in self.pollers.naps and not self.enabled():  # as when this was not planned
            self.pollers.let_time_go_by(chosen)
        return chosen

    def _diverge(self, depth: int, task: int, why: str) -> int:
        self.status = Status.DIVERGED
        self.reason = f"choice {depth} names task {task}, which {why}"
        return -1

    def _is_too_long(self, depth: int) -> bool:
        self._look_at = depth + _LOOK_EVERY
        if depth >= self.limit_steps:
            self.status, self.reason = Status.TOO_LONG, f"the step bound of {self.limit_steps} events was reached"
        elif self.deadline is not None and time.monotonic() > self.deadline:
            self._end_late(f"one execution took more than {self.limit_s} s")
        else:
            return False
        return True

    def _end_late(self, why: str) -> None:
        """The deadline is over."""
        self.status, self.reason = Status.TOO_LONG, why
        if time.monotonic() > self.ends_at:
            self.status, self.reason = Status.OUT_OF_BUDGET, "the budget was used up in the middle of an execution"

    def _wake(self, event: Event) -> None:
        """Tasks leave the sleep set when something happens that their pending operation depends on."""
        sleeping = rest = self.sleep & ~(1 << event[0])
        while rest:
            lowest = rest & -rest
            if touches(self.pending.get(lowest.bit_length() - 1), event):
                sleeping ^= lowest
            rest ^= lowest
        self.sleep = sleeping

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


_UNAWAITED = "_warn_unawaited_coroutine"  # what the interpreter calls for a coroutine that goes without having begun


def _say_nothing(_gone: object) -> None:
    """`__del__` and callbacks of weak references can't pass on what unwinds their task; Python would print it."""
