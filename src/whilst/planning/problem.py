"""The normal form that planning works on: a day in one mode, in whole nanoseconds, names turned into numbers.

A task is a leading wait, then operations (uninterrupted runs of work), each followed by a wait (its lag). In a
mode where a wait holds the executor, a whole task is one operation. Operations are numbered through, those of
task j being first[j] … first[j + 1] - 1. Executors are numbered from the least flexible to the most, so that
"the lowest number that can do it" leaves the versatile ones free.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Final

from whilst.errors import DayError
from whilst.model import Day, Estimate, Mode, Task

# A timeline's columns hold 64-bit nanoseconds; half of that range leaves room for any sum of a head and a tail.
_LONGEST_NS: Final = 2**62
# Qualification groups beyond these are served through a queue an executor rather than a queue a group.
_SHARED_QUEUES: Final = 24


@dataclass(frozen=True, slots=True)
class Problem:
    """What is to be scheduled.

    Args:
        executors: names, by number.
        lead: for each task, nanoseconds of wait before its first operation.
        first: for each task, the number of its first operation, and one entry more.
        task: for each operation, its task.
        length, lag: for each operation, nanoseconds of work, and of the wait that follows it.
        before, next: for each task, the tasks it comes after and those that come after it.
        order: all tasks, each after the ones it depends on; ties in declared order.
        group, groups: for each task, the position in `groups` of the executors that may do it.
        is_preemptive: an operation may be interrupted, and resumed later on the same executor.
        task_queues, executor_queues, queue_members: which queues a task that has not started stands in, which
            ones an executor serves, and who serves a queue.
    """

    executors: tuple[str, ...]
    lead: list[int]
    first: list[int]
    task: list[int]
    length: list[int]
    lag: list[int]
    before: list[tuple[int, ...]]
    next: list[tuple[int, ...]]
    order: list[int]
    group: list[int]
    groups: list[tuple[int, ...]]
    is_preemptive: bool
    task_queues: list[tuple[int, ...]]
    executor_queues: list[tuple[int, ...]]
    queue_members: list[tuple[int, ...]]

    def operations(self, task: int) -> range:
        return range(self.first[task], self.first[task + 1])


@dataclass(frozen=True, slots=True)
class Schedule:
    """Where and when every operation is done: one piece for each stretch without interruption, in columns.

    `executor` holds each task's executor.
    """

    operation: list[int]
    start: list[int]
    end: list[int]
    executor: list[int]
    makespan: int

    def pieces(self) -> Iterator[tuple[int, int, int]]:
        """Yield (operation, start, end)."""
        return zip(self.operation, self.start, self.end, strict=True)


def to_ns(length_s: float) -> int:
    """Seconds as the nearest whole number of nanoseconds."""
    if length_s < 1e6:
        return round(length_s * 1e9)
    return round(Fraction(length_s) * 10**9)


def likely_lengths_ns(day: Day) -> list[int]:
    """The length of every step, task by task; an uncertain work step counts as at least 1 ns."""
    lengths = [
        max(1, to_ns(step.length_s)) if isinstance(step.length, Estimate) else to_ns(step.length)
        for task in day.tasks
        for step in task.steps
    ]
    if sum(lengths) > _LONGEST_NS:
        raise DayError(
            f"The day's steps add up to some {Decimal(sum(lengths)) / 10**9:.3g} s, more than whilst can count in "
            f"nanoseconds ({_LONGEST_NS / 1e9:.3g} s, 146 years). Are the lengths in the right unit?"
        )
    return lengths


def make_problem(day: Day, mode: Mode, executors: Sequence[str], lengths_ns: Sequence[int]) -> Problem:
    """Put the day into normal form.

    Args:
        executors: who is there, in declared order; each task must have one who may do it.
        lengths_ns: of every step, task by task.
    """
    lead, first, of_task, length, lag = _operations(day, mode, lengths_ns)
    number = {task.name: position for position, task in enumerate(day.tasks)}
    before = [tuple(dict.fromkeys(number[name] for name in task.after)) for task in day.tasks]
    following = _inverse(before)
    names, group, groups = _qualifications(day.tasks, executors)
    task_queues, executor_queues, queue_members = _queues(group, groups, len(names))
    return Problem(
        executors=names,
        lead=lead,
        first=first,
        task=of_task,
        length=length,
        lag=lag,
        before=before,
        next=following,
        order=topological_order(before, following),
        group=group,
        groups=groups,
        is_preemptive=mode.overlaps_waits,
        task_queues=task_queues,
        executor_queues=executor_queues,
        queue_members=queue_members,
    )


def reverse_problem(problem: Problem) -> Problem:
    """The same problem with time running backward; a schedule of it, mirrored, is one of the original."""
    lead, first, of_task, length, lag = [], [0], [], [], []
    for task, (begin, end) in enumerate(pairwise(problem.first)):
        if begin < end:
            lead.append(problem.lag[end - 1])
            length += problem.length[begin:end][::-1]
            lag += problem.lag[begin : end - 1][::-1]
            lag.append(problem.lead[task])
            of_task += [task] * (end - begin)
        else:
            lead.append(problem.lead[task])
        first.append(end)
    turned = replace(problem, lead=lead, first=first, task=of_task, length=length, lag=lag, order=problem.order[::-1])
    return replace(turned, before=problem.next, next=problem.before)


def topological_order(before: Sequence[Sequence[int]], following: Sequence[Sequence[int]]) -> list[int]:
    """Kahn's algorithm, first come, first served; a Day has no cycles."""
    missing = [len(each) for each in before]
    order = [task for task, count in enumerate(missing) if not count]
    for task in order:
        for later in following[task]:
            missing[later] -= 1
            if not missing[later]:
                order.append(later)
    return order


def _operations(
    day: Day, mode: Mode, lengths_ns: Sequence[int]
) -> tuple[list[int], list[int], list[int], list[int], list[int]]:
    lead: list[int] = []
    first = [0]
    of_task: list[int] = []
    length: list[int] = []
    lag: list[int] = []
    position = 0
    is_whole = not mode.overlaps_waits
    for number, task in enumerate(day.tasks):
        until = position + len(task.steps)
        ahead = 0
        if is_whole:
            if whole := sum(lengths_ns[position:until]):
                length.append(whole)
                lag.append(0)
        else:
            is_after_work = False
            for step, step_ns in zip(task.steps, lengths_ns[position:until], strict=True):
                # A step of no length asks for nobody, so that the runs of work around it are one.
                if not step_ns:
                    continue
                if not step.is_work:
                    if len(length) == first[-1]:
                        ahead += step_ns
                    else:
                        lag[-1] += step_ns
                    is_after_work = False
                elif is_after_work:
                    length[-1] += step_ns
                else:
                    length.append(step_ns)
                    lag.append(0)
                    is_after_work = True
        of_task += [number] * (len(length) - first[-1])
        lead.append(ahead)
        first.append(len(length))
        position = until
    return lead, first, of_task, length, lag


def _inverse(before: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    following: list[list[int]] = [[] for _ in before]
    for task, earlier in enumerate(before):
        for each in earlier:
            following[each].append(task)
    return [tuple(each) for each in following]


def _qualifications(
    tasks: Sequence[Task], executors: Sequence[str]
) -> tuple[tuple[str, ...], list[int], list[tuple[int, ...]]]:
    present = set(executors)
    able = [frozenset(task.by) & present if task.by else frozenset(present) for task in tasks]
    tally = Counter(able)
    versatility = {name: sum(count for names, count in tally.items() if name in names) for name in executors}
    names = tuple(sorted(executors, key=versatility.__getitem__))
    number = {name: position for position, name in enumerate(names)}
    position_of: dict[frozenset[str], int] = {}
    group = [position_of.setdefault(each, len(position_of)) for each in able]
    return names, group, [tuple(sorted(number[name] for name in each)) for each in position_of]


def _queues(
    group: Sequence[int], groups: Sequence[tuple[int, ...]], executors: int
) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]], list[tuple[int, ...]]]:
    """A queue for each common group; tasks of rarer groups stand in a queue of each executor that may do them."""
    shared = [position for position, _ in Counter(group).most_common(_SHARED_QUEUES)]
    members = [groups[each] for each in shared]
    of_group: dict[int, tuple[int, ...]] = {each: (queue,) for queue, each in enumerate(shared)}
    if len(groups) > len(shared):
        own = len(members)
        members += [(executor,) for executor in range(executors)]
        for each in set(range(len(groups))) - set(shared):
            of_group[each] = tuple(own + executor for executor in groups[each])
    serves: list[list[int]] = [[] for _ in range(executors)]
    for queue, able in enumerate(members):
        for executor in able:
            serves[executor].append(queue)
    return [of_group[each] for each in group], [tuple(each) for each in serves], members


def granularity_ns(problem: Problem) -> int:
    """The greatest common divisor of all lengths: some optimal schedule has every time a multiple of it."""
    return math.gcd(*problem.lead, *problem.length, *problem.lag) or 1
