"""Event-driven list scheduling: whoever is free takes the most urgent thing he may do.

The source is Graham's list scheduling (Bounds for certain multiprocessing anomalies, Bell System Technical
Journal 45, 1966), with interruption as in Horn's earliest-due-date rule for jobs with release times (Some simple
scheduling algorithms, Naval Research Logistics Quarterly 21, 1974). Urgency is a fixed rank of every operation.

That fixed ranks lose nothing is what makes this worth doing well: take any schedule, give each operation the time
at which it ends there as its due date, and dispatch by due date with the same executors. By induction over the
due dates, every operation is available no later than before, so on each executor Horn's theorem says that it ends
no later than before. Le Pape and Baptiste call this the Jackson derivation (Resource constraints for preemptive
job-shop scheduling, Constraints 3, 1998); waits and dependencies only delay releases and change nothing in it.
So with the right ranks and the right executors the dispatcher yields an optimal interruptible schedule, and
every time in it is a sum of the given lengths: no optimum is lost to fractions.

Invariant, whenever the clock moves on: no executor stands idle while something that it may do is ready, and, where
interruption is allowed, none works on something less urgent than what waits for it alone. The alternative, a
serial scheme that inserts one task after the other into gaps, was rejected: it costs a search for the gap an
operation, and cannot follow an interruption.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush

from whilst.planning.problem import Problem, Schedule


@dataclass(frozen=True, slots=True)
class Policy:
    """What every executor takes first: run on a problem it gives a schedule, whatever the lengths are.

    Args:
        order: all operations, the most urgent first.
        may_interrupt: work may be interrupted by something more urgent.
        executor: for each task, the one who does it; None lets whoever is free take it.
        is_eager: whoever has the least work in hand takes a task as soon as it is ready, see `dispatch`.
    """

    order: list[int]
    may_interrupt: bool = False
    executor: list[int] | None = None
    is_eager: bool = False

    def run(self, problem: Problem) -> Schedule:
        if self.executor is None:
            return dispatch(problem, self.order, may_interrupt=self.may_interrupt, is_eager=self.is_eager)
        if problem.is_preemptive:
            return dispatch(_give_to(problem, self.executor), self.order)
        # A plan without interruptions may keep an executor idle for something urgent; so must its policy.
        return _follow(problem, self.order, self.executor)


def dispatch(problem: Problem, order: Sequence[int], *, may_interrupt: bool = True, is_eager: bool = False) -> Schedule:
    """Schedule the problem.

    Args:
        order: all operations, the most urgent first.
        may_interrupt: False keeps work whole even where it might be interrupted.
        is_eager: give a task to the executor with the least work in hand as soon as it is ready, the longest
            first, rather than to the next one who is idle. Where waits free executors, an idle one takes on task
            after task, and has to finish them all himself while others go home.
    """
    return _Dispatcher(problem, order, may_interrupt and problem.is_preemptive, is_eager).run()


class _Dispatcher:
    """The state of one pass; `order` and `rank` are each other's inverse, so that heaps hold plain numbers."""

    def __init__(self, problem: Problem, order: Sequence[int], may_interrupt: bool, is_eager: bool) -> None:
        self.problem = problem
        self.order = order
        self.rank = [0] * len(order)
        for position, operation in enumerate(order):
            self.rank[operation] = position
        self.may_interrupt = may_interrupt
        self.is_eager = is_eager
        executors = len(problem.executors)
        self.remaining = problem.length[:]
        self.missing = [len(each) for each in problem.before]
        self.where = [-1] * len(problem.lead)
        self.running = [-1] * executors
        self.since = [0] * executors
        self.until = [0] * executors
        self.mine: list[list[int]] = [[] for _ in range(executors)]
        self.queues: list[list[int]] = [[] for _ in problem.queue_members]
        self.idle = set(range(executors))
        self.in_hand = [0] * executors
        self.work = [0] * len(problem.lead)
        if is_eager:
            for task, length in zip(problem.task, problem.length, strict=True):
                self.work[task] += length
        self.events: list[tuple[int, int]] = []
        self.operation: list[int] = []
        self.start: list[int] = []
        self.end: list[int] = []

    def run(self) -> Schedule:
        problem, events = self.problem, self.events
        count = len(problem.length)
        now = 0
        todo = [2 * count + len(problem.lead) + task for task, missing in enumerate(self.missing) if not missing]
        todo.reverse()
        while True:
            woken, filled = self._happen(todo, now)
            if self.may_interrupt:
                self._interrupt_own(woken, now)
            self._fill(woken, filled, now)
            if self.may_interrupt:
                self._interrupt_for(filled, now)
            if not events:
                break
            now = events[0][0]
            while events and events[0][0] == now:
                todo.append(heappop(events)[1])
        for task, executor in enumerate(self.where):
            if executor < 0:
                self.where[task] = problem.groups[problem.group[task]][0]
        return Schedule(self.operation, self.start, self.end, self.where, now)

    def _happen(self, todo: list[int], now: int) -> tuple[set[int], set[int]]:
        """Work through what happens now; return the executors and queues that have something new."""
        problem, rank, events = self.problem, self.rank, self.events
        count, tasks = len(problem.length), len(problem.lead)
        finishes, completes, releases = count, 2 * count, 2 * count + tasks
        woken: set[int] = set()
        filled: set[int] = set()
        fresh: list[int] = []
        while todo:
            code = todo.pop()
            follow = -1
            if code < finishes:
                executor = self.where[problem.task[code]]
                if executor >= 0:
                    heappush(self.mine[executor], rank[code])
                    woken.add(executor)
                elif self.is_eager:
                    fresh.append(code)
                else:
                    for queue in problem.task_queues[problem.task[code]]:
                        heappush(self.queues[queue], rank[code])
                        filled.add(queue)
            elif code < completes:
                operation = code - finishes
                task = problem.task[operation]
                executor = self.where[task]
                # An interruption leaves the old end behind in the heap.
                if self.running[executor] != operation or self.until[executor] != now:
                    continue
                self._stop(executor, now)
                woken.add(executor)
                follow = operation + 1 if operation + 1 < problem.first[task + 1] else completes + task
                after = problem.lag[operation]
            elif code < releases:
                task = code - completes
                for later in problem.next[task]:
                    self.missing[later] -= 1
                    if not self.missing[later]:
                        todo.append(releases + later)
            else:
                task = code - releases
                is_work = problem.first[task] < problem.first[task + 1]
                follow = problem.first[task] if is_work else completes + task
                after = problem.lead[task]
            if follow >= 0:
                if after:
                    heappush(events, (now + after, follow))
                else:
                    todo.append(follow)
        for operation in sorted(fresh, key=lambda each: (-self.work[problem.task[each]], rank[each])):
            woken.add(self._hand_out(operation, now))
        return woken, filled

    def _hand_out(self, operation: int, now: int) -> int:
        """Give a task to the executor with the least work in hand."""
        task = self.problem.task[operation]
        able = self.problem.groups[self.problem.group[task]]
        left = [self.in_hand[each] - (now - self.since[each] if self.running[each] >= 0 else 0) for each in able]
        executor = able[left.index(min(left))]
        self.where[task] = executor
        self.in_hand[executor] += self.work[task]
        heappush(self.mine[executor], self.rank[operation])
        return executor

    def _interrupt_own(self, woken: set[int], now: int) -> None:
        for executor in woken:
            mine = self.mine[executor]
            operation = self.running[executor]
            if operation >= 0 and mine and mine[0] < self.rank[operation]:
                self._interrupt(executor, now)

    def _fill(self, woken: set[int], filled: set[int], now: int) -> None:
        """Give each idle executor, the least flexible first, the most urgent thing that it may do."""
        if filled:
            candidates = sorted(self.idle)
        else:
            candidates = sorted(woken & self.idle) if len(woken) > 1 else list(woken & self.idle)
        for executor in candidates:
            mine = self.mine[executor]
            best, source = (mine[0], mine) if mine else (len(self.order), mine)
            for queue in self.problem.executor_queues[executor]:
                top = self._top(queue)
                if top < best:
                    best, source = top, self.queues[queue]
            if best < len(self.order):
                heappop(source)
                self._begin(executor, self.order[best], now)

    def _interrupt_for(self, filled: set[int], now: int) -> None:
        """Let tasks that have just become ready take the place of the least urgent work in progress."""
        for queue in sorted(filled):
            members = self.problem.queue_members[queue]
            while (top := self._top(queue)) < len(self.order):
                urgency = [self.rank[self.running[each]] if self.running[each] >= 0 else -1 for each in members]
                least = max(urgency)
                if top > least:
                    break
                executor = members[urgency.index(least)]
                heappop(self.queues[queue])
                self._interrupt(executor, now)
                self._begin(executor, self.order[top], now)

    def _top(self, queue: int) -> int:
        """The most urgent rank in a queue, or the number of operations; a task may stand in several queues."""
        ranks = self.queues[queue]
        while ranks and self.where[self.problem.task[self.order[ranks[0]]]] >= 0:
            heappop(ranks)
        return ranks[0] if ranks else len(self.order)

    def _begin(self, executor: int, operation: int, now: int) -> None:
        self.where[self.problem.task[operation]] = executor
        self.running[executor] = operation
        self.since[executor] = now
        self.until[executor] = now + self.remaining[operation]
        self.idle.discard(executor)
        heappush(self.events, (self.until[executor], len(self.order) + operation))

    def _interrupt(self, executor: int, now: int) -> None:
        operation = self.running[executor]
        self._stop(executor, now)
        heappush(self.mine[executor], self.rank[operation])

    def _stop(self, executor: int, now: int) -> None:
        operation = self.running[executor]
        done = now - self.since[executor]
        if done:
            self.operation.append(operation)
            self.start.append(self.since[executor])
            self.end.append(now)
            self.remaining[operation] -= done
            self.in_hand[executor] -= done
        self.running[executor] = -1
        self.idle.add(executor)


def _give_to(problem: Problem, executor: Sequence[int]) -> Problem:
    """The same problem with every task given to one executor."""
    members: list[tuple[int, ...]] = [(each,) for each in range(len(problem.executors))]
    return replace(
        problem,
        group=list(executor),
        groups=members,
        task_queues=[(each,) for each in executor],
        executor_queues=members,
        queue_members=members,
    )


def _follow(problem: Problem, order: Sequence[int], executor: Sequence[int]) -> Schedule:
    """Let each executor do its operations whole and in that order, each as early as it can.

    `order` must keep dependencies and the order within tasks.
    """
    free = [0] * len(problem.executors)
    release = [0] * len(problem.lead)
    missing = [len(each) for each in problem.before]
    ready = [0] * len(problem.length)
    operations, starts, ends = [], [], []
    makespan = 0

    def complete(task: int, end: int) -> int:
        """Tell the tasks that come after; those without work complete in their turn. Return the last end."""
        latest = end
        stack = [(task, end)]
        while stack:
            done, now = stack.pop()
            latest = max(latest, now)
            for later in problem.next[done]:
                missing[later] -= 1
                release[later] = max(release[later], now)
                if not missing[later] and not problem.operations(later):
                    stack.append((later, release[later] + problem.lead[later]))
        return latest

    for task, earlier in enumerate(problem.before):
        if not earlier and not problem.operations(task):
            makespan = max(makespan, complete(task, problem.lead[task]))
    for operation in order:
        task = problem.task[operation]
        if operation == problem.first[task]:
            ready[operation] = release[task] + problem.lead[task]
        start = max(ready[operation], free[executor[task]])
        end = start + problem.length[operation]
        free[executor[task]] = end
        operations.append(operation)
        starts.append(start)
        ends.append(end)
        if operation + 1 < problem.first[task + 1]:
            ready[operation + 1] = end + problem.lag[operation]
        else:
            makespan = max(makespan, complete(task, end + problem.lag[operation]))
    return Schedule(operations, starts, ends, list(executor), makespan)
