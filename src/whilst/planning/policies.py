"""A policy: what every executor takes first. Run on a problem it gives a schedule, whatever the lengths are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from whilst.planning.dispatching import dispatch
from whilst.planning.problem import Problem, Schedule

__all__ = ["Policy"]


@dataclass(frozen=True, slots=True)
class Policy:
    """Operations, the most urgent first.

    Args:
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
