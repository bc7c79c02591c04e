"""Lower bounds on a day's makespan: why no plan can be shorter.

- critical path: the longest chain of work, waits and dependencies.
- head-tail bounds: for a set of executors, all that only they may do. Jackson's preemptive schedule gives the
  largest "smallest head + work + smallest tail" over all subsets (see `paths.preemptive_bound`); for several
  executors also Carlier's count of m different first heads and m different last tails (The one-machine sequencing
  problem, EJOR 11, 1982, section on m machines), since each executor has its own first and last operation.
- pigeonholes: a task stays with one executor, so of the k m + 1 longest tasks k + 1 share one of m executors.
- packing: some executor does at least the mean, and what one executor does is a sum of whole tasks.

The sets of executors tried are those of the declared qualifications and their unions, the most loaded first.
Each bound holds by itself, so that leaving some out on a large day costs sharpness and never truth.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from whilst.planning.paths import Paths, find_paths, preemptive_bound
from whilst.planning.problem import Problem, granularity_ns

__all__ = ["Bound", "lower_bound"]

_UNIONS: Final = 256
# Operations that head-tail bounds may look at in all, over the sets of executors: it bounds their time.
_EFFORT: Final = 400_000
_PACKING_BITS: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class Bound:
    """Nanoseconds that no schedule can go below, and the reason in words."""

    length: int
    reason: str


def lower_bound(problem: Problem) -> Bound:
    """Return the largest of the bounds; of equal ones, the plainest."""
    best = Bound(find_paths(problem).span, "the critical path")
    teams = _teams(problem)
    for team in teams:
        best = _larger(best, team.load_bound(problem))
    paths = find_paths(problem, sharpen=True)
    best = _larger(best, Bound(paths.span, "the critical path through shared executors"))
    effort = _EFFORT
    for team in teams:
        effort -= len(team.operations)
        if effort < 0 and team is not teams[0]:
            break
        best = _larger(best, team.head_tail_bound(problem, paths))
        best = _larger(best, team.pigeonhole_bound(problem, paths))
        best = _larger(best, team.packing_bound(problem, paths))
    # Some optimal schedule has a makespan that is a multiple of this, see `solving`.
    unit = granularity_ns(problem)
    return Bound(-(-best.length // unit) * unit, best.reason)


def _larger(one: Bound, other: Bound) -> Bound:
    return other if other.length > one.length else one


@dataclass(frozen=True, slots=True)
class _Team:
    """Some executors, and the tasks that only they may do."""

    executors: frozenset[int]
    tasks: list[int]
    operations: list[int]
    work: int
    is_everyone: bool

    def load_bound(self, problem: Problem) -> Bound:
        return Bound(-(-self.work // len(self.executors)), f"{self._what(problem)} {self._whose(problem)}")

    def head_tail_bound(self, problem: Problem, paths: Paths) -> Bound:
        reason = f"{self._what(problem)} {self._whose(problem)}, with what must come before and after"
        machines = len(self.executors)
        jobs = [(paths.head[each], problem.length[each], paths.tail[each]) for each in self.operations]
        largest = preemptive_bound(jobs, machines)
        if machines > 1:
            largest = max(largest, _distinct_ends_bound(jobs, machines))
        return Bound(largest, reason)

    def pigeonhole_bound(self, problem: Problem, paths: Paths) -> Bound:
        """Tasks cut off by tail (then by head): the shortest k + 1 of the k m + 1 longest share an executor."""
        machines = len(self.executors)
        largest = 0
        ends = [(self._head(problem, paths, each), self._tail(problem, paths, each), each) for each in self.tasks]
        for key in (0, 1):
            ends.sort(key=lambda end: -end[key])
            cuts = {len(ends)} | {2**power for power in range(1, len(ends).bit_length())}
            for cut in sorted(cuts):
                chosen = ends[:cut]
                fixed = min(head for head, _, _ in chosen) + min(tail for _, tail, _ in chosen)
                lengths = sorted((_work(problem, task) for _, _, task in chosen), reverse=True)
                for shared in range(1, (len(lengths) - 1) // machines + 1):
                    last = shared * machines
                    largest = max(largest, fixed + sum(lengths[last - shared : last + 1]))
                    if shared > 64:
                        break
        return Bound(largest, f"the whole tasks that {self._who(problem)} must share")

    def packing_bound(self, problem: Problem, paths: Paths) -> Bound:
        """The smallest sum of whole tasks that is no less than the mean load."""
        reason = f"the whole tasks that {self._who(problem)} must share"
        machines = len(self.executors)
        lengths = [work for task in self.tasks if (work := _work(problem, task))]
        unit = granularity_ns(problem)
        bits = self.work // unit + 1
        if machines == 1 or not lengths or bits * len(lengths) > _PACKING_BITS * 32 or bits > _PACKING_BITS:
            return Bound(0, reason)
        sums = 1
        for length in lengths:
            sums |= sums << (length // unit)
        mean = -(-self.work // (machines * unit))
        reachable = sums >> mean
        load = (mean + (reachable & -reachable).bit_length() - 1) * unit
        head = min(self._head(problem, paths, task) for task in self.tasks)
        tail = min(self._tail(problem, paths, task) for task in self.tasks)
        return Bound(load + head + tail, reason)

    def _head(self, problem: Problem, paths: Paths, task: int) -> int:
        operations = problem.operations(task)
        return paths.head[operations[0]] if operations else 0

    def _tail(self, problem: Problem, paths: Paths, task: int) -> int:
        operations = problem.operations(task)
        return paths.tail[operations[-1]] if operations else 0

    def _who(self, problem: Problem) -> str:
        names = sorted(problem.executors[each] for each in self.executors)
        if len(names) == 1:
            return repr(names[0])
        if self.is_everyone:
            return f"all {len(names)} executors"
        shown = ", ".join(map(repr, names[:4])) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        return f"{shown} between them" if len(names) > 4 else shown.replace(", ", " and ")

    def _what(self, problem: Problem) -> str:
        return "the work" if problem.is_preemptive else "the work and waits"

    def _whose(self, problem: Problem) -> str:
        who = self._who(problem)
        return f"of {who}" if self.is_everyone else f"that only {who} may do"


def _work(problem: Problem, task: int) -> int:
    return sum(problem.length[each] for each in problem.operations(task))


def _distinct_ends_bound(jobs: list[tuple[int, int, int]], machines: int) -> int:
    """Carlier's bound for m executors, over the sets "the longest tails" and "the longest heads".

    (m smallest heads + all lengths + m smallest tails) / m. With 2 m jobs or more, an executor that did none of
    them would be idle for as long as some job's head and tail together, so that the count holds for it too.
    """
    largest = 0
    for near, far in ((2, 0), (0, 2)):
        ordered = sorted(jobs, key=lambda job: -job[near])
        # The m smallest of the far end seen so far, kept as a sorted list; those of the near end come last.
        smallest: list[int] = []
        total = 0
        for count, job in enumerate(ordered, 1):
            total += job[1]
            _insert_smallest(smallest, job[far], machines)
            if count >= 2 * machines:
                near_sum = sum(each[near] for each in ordered[count - machines : count])
                largest = max(largest, -(-(sum(smallest) + total + near_sum) // machines))
    return largest


def _insert_smallest(smallest: list[int], value: int, count: int) -> None:
    if len(smallest) < count:
        smallest.append(value)
        smallest.sort()
    elif value < smallest[-1]:
        smallest[-1] = value
        smallest.sort()


def _teams(problem: Problem) -> list[_Team]:
    """Sets of executors with what only they may do, the most loaded first."""
    tasks_of: dict[frozenset[int], list[int]] = defaultdict(list)
    for task, group in enumerate(problem.group):
        if problem.operations(task):
            tasks_of[frozenset(problem.groups[group])].append(task)
    work_of = {able: sum(_work(problem, task) for task in tasks) for able, tasks in tasks_of.items()}
    everyone = frozenset(range(len(problem.executors)))
    chosen = dict.fromkeys([everyone, *sorted(tasks_of, key=lambda able: -work_of[able])][:_UNIONS])
    grown = list(chosen)
    # Unions of unions, breadth first, as long as there is room: each is a set that could be a bottleneck.
    for one in grown:
        for other in list(tasks_of)[:_UNIONS]:
            if len(chosen) >= _UNIONS:
                break
            union = one | other
            if union not in chosen:
                chosen[union] = None
                grown.append(union)
    teams = []
    for able in chosen:
        inside = [each for each in tasks_of if each <= able]
        tasks = [task for each in inside for task in tasks_of[each]]
        work = sum(work_of[each] for each in inside)
        if tasks:
            teams.append((work / len(able), able, sorted(tasks), work))
    teams.sort(key=lambda team: (-team[0], len(team[1]), sorted(team[1])))
    return [
        _Team(able, tasks, [each for task in tasks for each in problem.operations(task)], work, able == everyone)
        for _, able, tasks, work in teams
    ]
