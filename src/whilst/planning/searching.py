"""Finds a short schedule by dispatching with several priority rules, forward and backward, and keeps the best.

Longest remaining tail first is Jackson's rule with the tail counted after an operation, and Hu's level rule (T. C.
Hu, Parallel sequencing and assembly line problems, Operations Research 9, 1961) with the operation counted in.
Dispatching the mirrored problem and taking its mirrored times as new tails (forward-backward improvement: V.
Valls, F. Ballestin, S. Quintanilla, Justification and RCPSP, EJOR 165, 2005) lets tails feel who competes for an
executor. On small days, rules with seeded noise follow. Everything is counted in operations dispatched, never
in seconds, so that the same day always gives the same plan.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from whilst.planning.bounds import LowerBound
from whilst.planning.dispatching import Policy
from whilst.planning.paths import Paths
from whilst.planning.problem import Problem, Schedule, reverse_problem

# Operations dispatched (or entries into queues) in all: about a third of a second.
_EFFORT: Final = 40_000
_FEWEST, _MOST = 2, 250


@dataclass(frozen=True, slots=True)
class Found:
    """A schedule, the rule that gave it, and the policy that gives it again."""

    schedule: Schedule
    rule: str
    policy: Policy


def find_schedule(problem: Problem, bound: LowerBound, *, seed: int = 0) -> Found:
    """Return the shortest schedule found; among equals, the one that interrupts least."""
    best: Found | None = None
    # A task of a rare qualification stands in one queue for each executor that may do it.
    cost = max(len(problem.length), sum(map(len, problem.task_queues)), 1)
    passes = min(_MOST, max(_FEWEST, _EFFORT // cost))
    for rule, policy, spent in _attempts(problem, bound.paths, seed, is_large=passes <= _FEWEST):
        if best is not None and (passes < spent or _is_close(best.schedule, bound, passes)):
            break
        passes -= spent
        schedule = policy.run(problem)
        if best is None or _merit(schedule) < _merit(best.schedule):
            best = Found(schedule, rule, policy)
        # Not interrupting comes first, so that a plan with no need to interrupt ends the search.
        if bound.is_met_by(best.schedule.makespan):
            break
    assert best is not None
    return best


def find_declared(problem: Problem) -> Found:
    """Do everything in declared order, as a person without a plan does."""
    policy = Policy(list(range(len(problem.length))))
    return Found(policy.run(problem), "as declared", policy)


def _merit(schedule: Schedule) -> tuple[int, int]:
    return schedule.makespan, len(schedule.operation)


def _is_close(schedule: Schedule, bound: LowerBound, passes: int) -> bool:
    """On a large day, of few passes, the last thousandth isn't worth another one; nor, of two, the last hundredth."""
    parts = 1000 if passes >= _FEWEST else 100
    return passes < 10 and schedule.makespan * parts <= bound.best.length * (parts + 1)


def _attempts(problem: Problem, paths: Paths, seed: int, *, is_large: bool) -> Iterator[tuple[str, Policy, int]]:
    """Yield the rule, the policy, and how many passes it takes in all.

    `is_large`: there is time for a pass or two, so what is mostly best comes before what interrupts least.
    """
    rules = {
        "longest remaining tail first": _by_tail(problem, paths),
        "longest remaining tail first, own work included": _by_level(problem, paths),
    }
    manners = _manners(problem)
    if is_large:
        manners.sort(key=lambda manner: not manner.is_eager)
    for name, order in rules.items():
        for manner in manners:
            yield name, replace(manner, order=order), 1
    mirrored = reverse_problem(problem)
    back = _mirrored_operations(problem)
    for order in rules.values():
        for manner in manners:
            # The order of ends in the mirrored schedule is the order of urgency here, and the other way round.
            for _ in range(3):
                behind = replace(manner, order=_by_tail_times(order, back)).run(mirrored)
                order = _by_start(behind, back)
                yield "forward and backward", replace(manner, order=order), 3
                order = _reverse_by_end(replace(manner, order=order).run(problem))
    yield "as declared", Policy(list(range(len(problem.length)))), 1
    # Seeded, so that the same day gives the same plan; nothing here is a secret.
    draw = random.Random(seed)  # noqa: S311
    level = [paths.tail[each] + problem.length[each] for each in range(len(problem.length))]
    while True:
        for base in (paths.tail, level):
            noise = draw.choice((0.05, 0.2, 0.5, 1.0)) * (max(base, default=0) + 1)
            order = _descending([each + noise * draw.random() for each in base])
            for manner in manners:
                yield "longest remaining tail first, varied", replace(manner, order=order), 1


def _manners(problem: Problem) -> list[Policy]:
    """The ways to follow an order that this mode allows, the plainest first."""
    manners = [Policy([])]
    if problem.is_preemptive:
        if len(problem.executors) > 1:
            manners.append(Policy([], may_interrupt=True, is_eager=True))
        manners.append(Policy([], may_interrupt=True))
    return manners


def _by_tail(problem: Problem, paths: Paths) -> list[int]:
    return sorted(range(len(problem.length)), key=lambda each: (-paths.tail[each], -problem.length[each]))


def _by_level(problem: Problem, paths: Paths) -> list[int]:
    return _descending([paths.tail[each] + problem.length[each] for each in range(len(problem.length))])


def _descending(keys: Sequence[float]) -> list[int]:
    return sorted(range(len(keys)), key=lambda each: -keys[each])


def _mirrored_operations(problem: Problem) -> list[int]:
    """For each operation its number in the reversed problem; the mapping is its own inverse."""
    back = [0] * len(problem.length)
    for task in range(len(problem.lead)):
        operations = problem.operations(task)
        for ahead, behind in zip(operations, reversed(operations), strict=True):
            back[ahead] = behind
    return back


def _by_tail_times(order: Sequence[int], back: Sequence[int]) -> list[int]:
    """The most urgent operation forward is the least urgent one backward."""
    return [back[each] for each in reversed(order)]


def _by_start(behind: Schedule, back: Sequence[int]) -> list[int]:
    """What begins last in the mirrored schedule ends first here, and is the most urgent."""
    begin: dict[int, int] = {}
    for operation, start, _ in behind.pieces():
        begin[back[operation]] = min(start, begin.get(back[operation], start))
    return sorted(range(len(back)), key=lambda each: -begin[each])


def _reverse_by_end(ahead: Schedule) -> list[int]:
    """Operations by end: reversed by the caller, the last to end begins first in the mirrored schedule."""
    finish: dict[int, int] = {}
    for operation, _, end in ahead.pieces():
        finish[operation] = max(end, finish.get(operation, end))
    return sorted(finish, key=finish.__getitem__)
