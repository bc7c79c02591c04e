"""Heads and tails: what must come before and after each operation, however many executors there are.

The head of an operation is the longest chain of work and waits before it can begin, its tail the longest chain
after its end. With `sharpen`, chains also count that the tasks one comes after share the executors that may do
them: each task's release is at least the bound of the little problem "finish all that I come after".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise

from whilst.planning.problem import Problem, reverse_problem


@dataclass(frozen=True, slots=True)
class Paths:
    """Nanoseconds before each operation's earliest start, and after its end, and the span."""

    head: list[int]
    tail: list[int]
    span: int


def find_paths(problem: Problem, *, sharpen: bool = False) -> Paths:
    """Return heads and tails of all operations.

    Args:
        sharpen: let releases count that executors are shared; slower, never smaller.
    """
    head, span = _heads(problem, sharpen)
    if not sharpen:
        return Paths(head, _tails(problem), span)
    mirrored, mirrored_span = _heads(reverse_problem(problem), sharpen)
    tail: list[int] = []
    for begin, end in pairwise(problem.first):
        tail += mirrored[begin:end][::-1]
    return Paths(head, tail, max(span, mirrored_span))


def span_ns(problem: Problem) -> int:
    """The length of the critical path."""
    return _heads(problem, sharpen=False)[1]


def preemptive_bound(jobs: Sequence[tuple[int, int, int]], machines: int) -> int:
    """A lower bound on the makespan of jobs (head, length, tail) that share so many like executors.

    Jackson's preemptive schedule (longest tail first, interrupting at heads) is optimal on one executor: J. R.
    Jackson, Scheduling a production line to minimize maximum tardiness, 1955; J. Carlier, The one-machine
    sequencing problem, EJOR 11, 1982. Its makespan is the largest, over all sets of jobs, of smallest head + sum
    of lengths + smallest tail. m executors can do nothing that one of m times the speed could not, so with every
    time scaled by m the same schedule bounds them.
    """
    ordered = sorted(jobs)
    waiting: list[list[int]] = []
    now = latest = 0
    position = 0
    while position < len(ordered) or waiting:
        if not waiting:
            now = max(now, ordered[position][0] * machines)
        while position < len(ordered) and ordered[position][0] * machines <= now:
            _, length, tail = ordered[position]
            heappush(waiting, [-tail, length])
            position += 1
        until = ordered[position][0] * machines if position < len(ordered) else None
        while waiting and (until is None or now < until):
            negative_tail, length = waiting[0]
            if until is not None and now + length > until:
                waiting[0][1] -= until - now
                now = until
            else:
                heappop(waiting)
                now += length
                latest = max(latest, now - negative_tail * machines)
    return -(-latest // machines)


def _heads(problem: Problem, sharpen: bool) -> tuple[list[int], int]:
    # Plain loops over plain lists: on a large day this is run for every bound.
    first, length, lag, lead, earlier = problem.first, problem.length, problem.lag, problem.lead, problem.before
    head = [0] * len(length)
    complete = [0] * len(lead)
    for task in problem.order:
        now = 0
        if before := earlier[task]:
            now = max([complete[each] for each in before])
            if sharpen and len(before) > 1:
                now = max(now, _shared_release(problem, before, head, complete))
        now += lead[task]
        for operation in range(first[task], first[task + 1]):
            head[operation] = now
            now += length[operation] + lag[operation]
        complete[task] = now
    return head, max(complete)


def _tails(problem: Problem) -> list[int]:
    first, length, lag, lead, following = problem.first, problem.length, problem.lag, problem.lead, problem.next
    tail = [0] * len(length)
    ahead = [0] * len(lead)
    for task in reversed(problem.order):
        later = following[task]
        now = max([ahead[each] for each in later]) if later else 0
        for operation in range(first[task + 1] - 1, first[task] - 1, -1):
            now += lag[operation]
            tail[operation] = now
            now += length[operation]
        ahead[task] = now + lead[task]
    return tail


def _shared_release(problem: Problem, before: tuple[int, ...], head: list[int], complete: list[int]) -> int:
    """When all of these tasks can be complete at the earliest, given the executors they share."""
    groups = {problem.group[task] for task in before}
    # Fewer tasks than executors: the plain chains say as much, and are there already.
    if len(before) <= max(len(problem.groups[group]) for group in groups):
        return 0
    able = {executor for group in groups for executor in problem.groups[group]}
    jobs = [
        (
            head[operation],
            problem.length[operation],
            complete[task] - head[operation] - problem.length[operation],
        )
        for task in before
        for operation in problem.operations(task)
    ]
    return preemptive_bound(jobs, len(able))
