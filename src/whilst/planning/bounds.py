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
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from heapq import heappush, heappushpop
from typing import Final

from whilst.planning.paths import Paths, find_paths, preemptive_bound
from whilst.planning.problem import Problem, granularity_ns

_UNIONS: Final = 256
# Operations that the bounds of single sets of executors may look at in all: a few hundredths of a second.
_EFFORT: Final = 12_000
_MANY: Final = 2_000
_PACKING_BITS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Bound:
    """Nanoseconds that no schedule can go below, and the reason in words."""

    length: int
    reason: str


class LowerBound:
    """The largest of the bounds; the costly ones are worked out once a schedule does not meet the cheap ones."""

    def __init__(self, problem: Problem) -> None:
        self.paths = find_paths(problem)
        self.best = Bound(0, "no day is shorter than nothing")
        self._problem = problem
        # Some optimal schedule has a makespan that is a multiple of this, see `solving`.
        self._unit = granularity_ns(problem)
        self._work = [0] * len(problem.lead)
        for task, length in zip(problem.task, problem.length, strict=True):
            self._work[task] += length
        self._teams = _find_teams(problem, self._work)
        self._is_sharp = False
        self._raise(self.paths.span, lambda: "the critical path")
        for team in self._teams:
            self._raise(-(-team.work // len(team.executors)), partial(self._load_reason, team))

    def is_met_by(self, makespan: int) -> bool:
        """Whether a schedule that long is proved to be optimal."""
        if makespan > self.best.length and not self._is_sharp and not self._is_near(makespan):
            self._sharpen()
        return makespan <= self.best.length

    def _is_near(self, makespan: int) -> bool:
        """On a large day, where the better bounds take as long as a schedule, the last hundredth isn't worth them."""
        return len(self._problem.length) > _EFFORT and makespan * 100 <= self.best.length * 101

    def _raise(self, length: int, reason: Callable[[], str]) -> None:
        length = -(-length // self._unit) * self._unit
        if length > self.best.length:
            self.best = Bound(length, reason())

    def _load_reason(self, team: _Team) -> str:
        what = "the work" if self._problem.is_preemptive else "the work and waits"
        return f"{what} {team.whose(self._problem)}"

    def _head_tail_reason(self, team: _Team) -> str:
        return f"{self._load_reason(team)}, with what comes before and after"

    def _sharing_reason(self, team: _Team) -> str:
        return f"the whole tasks that {team.who(self._problem)} must share"

    def _sharpen(self) -> None:
        self._is_sharp = True
        problem = self._problem
        paths = find_paths(problem, sharpen=True)
        self._raise(paths.span, lambda: "the critical path through shared executors")
        members: list[list[int]] = [[] for _ in problem.groups]
        for task, group in enumerate(problem.group):
            members[group].append(task)
        effort = _EFFORT
        for number, team in enumerate(self._teams):
            effort -= team.size
            if effort < 0 and number:
                break
            tasks = _Tasks(problem, paths, team, members, self._work)
            self._raise(tasks.head_tail_bound(), partial(self._head_tail_reason, team))
            if len(team.executors) > 1:
                self._raise(tasks.pigeonhole_bound(), partial(self._sharing_reason, team))
                self._raise(tasks.packing_bound(self._unit), partial(self._sharing_reason, team))


@dataclass(frozen=True, slots=True)
class _Team:
    """Some executors, and what only they may do: in groups of tasks, and summed up."""

    executors: frozenset[int]
    groups: tuple[int, ...]
    work: int
    size: int
    is_everyone: bool

    def who(self, problem: Problem) -> str:
        names = sorted(problem.executors[each] for each in self.executors)
        if len(names) == 1:
            return repr(names[0])
        if self.is_everyone:
            return f"all {len(names)} executors"
        shown = [repr(name) for name in names[:3]] + ([f"{len(names) - 3} more"] if len(names) > 3 else [])
        return f"{', '.join(shown[:-1])} and {shown[-1]}"

    def whose(self, problem: Problem) -> str:
        return f"of {self.who(problem)}" if self.is_everyone else f"that only {self.who(problem)} may do"


class _Tasks:
    """A team's tasks and operations, with their heads and tails."""

    def __init__(self, problem: Problem, paths: Paths, team: _Team, members: list[list[int]], work: list[int]) -> None:
        self.machines = len(team.executors)
        self.work = team.work
        self.jobs: list[tuple[int, int, int]] = []
        # For each task: head of its first operation, work, tail of its last.
        self.wholes: list[tuple[int, int, int]] = []
        for task in (task for group in team.groups for task in members[group]):
            operations = problem.operations(task)
            if operations:
                self.wholes.append((paths.head[operations[0]], work[task], paths.tail[operations[-1]]))
                self.jobs += [(paths.head[each], problem.length[each], paths.tail[each]) for each in operations]

    def head_tail_bound(self) -> int:
        largest = preemptive_bound(self.jobs, self.machines)
        if self.machines > 1:
            for near, far in ((2, 0), (0, 2)):
                largest = max(largest, self._distinct_ends_bound(near, far))
        return largest

    def _distinct_ends_bound(self, near: int, far: int) -> int:
        """Carlier's bound for m executors over the sets "the longest tails", or "the longest heads".

        (m smallest heads + all lengths + m smallest tails) / m. With 2 m jobs or more, an executor that did none of
        them would be idle for as long as some job's head and tail together, so that the count holds for it too.
        """
        machines = self.machines
        ordered = sorted(self.jobs, key=lambda job: -job[near])
        # The m smallest far ends seen so far, negated for a heap; the m smallest near ends are those that came last.
        smallest: list[int] = []
        largest = far_sum = near_sum = total = 0
        for count, job in enumerate(ordered, 1):
            total += job[1]
            near_sum += job[near]
            far_sum += job[far]
            if count > machines:
                near_sum -= ordered[count - machines - 1][near]
                far_sum += heappushpop(smallest, -job[far])
            else:
                heappush(smallest, -job[far])
            if count >= 2 * machines:
                largest = max(largest, far_sum + total + near_sum)
        return -(-largest // machines)

    def pigeonhole_bound(self) -> int:
        """Tasks cut off by tail, then by head: the shortest k + 1 of the k m + 1 longest share an executor."""
        machines = self.machines
        largest = 0
        for key in (0, 2):
            ordered = sorted(self.wholes, key=lambda whole: -whole[key])
            # On a large day only a few cuts: near the end, where little is left to share, and none at all.
            powers = range(1, len(ordered).bit_length()) if len(ordered) <= _MANY else range(5, 9)
            cuts = {len(ordered)} | {2**power for power in powers}
            for cut in sorted(cuts):
                chosen = ordered[:cut]
                fixed = min(head for head, _, _ in chosen) + min(tail for _, _, tail in chosen)
                lengths = sorted((work for _, work, _ in chosen), reverse=True)
                for shared in range(1, min(16, (len(lengths) - 1) // machines) + 1):
                    last = shared * machines
                    largest = max(largest, fixed + sum(lengths[last - shared : last + 1]))
        return largest

    def packing_bound(self, unit: int) -> int:
        """The smallest sum of whole tasks that is no less than the mean load."""
        bits = self.work // unit + 1
        if bits > _PACKING_BITS or bits * len(self.wholes) > _PACKING_BITS * 64:
            return 0
        sums = 1
        for _, work, _ in self.wholes:
            sums |= sums << (work // unit)
        mean = -(-self.work // (self.machines * unit))
        reachable = sums >> mean
        load = (mean + (reachable & -reachable).bit_length() - 1) * unit
        return load + min(head for head, _, _ in self.wholes) + min(tail for _, _, tail in self.wholes)


def _find_teams(problem: Problem, work: list[int]) -> list[_Team]:
    """Sets of executors with what only they may do, the most loaded first."""
    load_of: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for task, group in enumerate(problem.group):
        if work[task]:
            load_of[group][0] += work[task]
            load_of[group][1] += len(problem.operations(task))
    heaviest = sorted(load_of, key=lambda group: -load_of[group][0])[:_UNIONS]
    able = {group: frozenset(problem.groups[group]) for group in load_of}
    everyone = frozenset(range(len(problem.executors)))
    chosen = dict.fromkeys([everyone, *(able[group] for group in heaviest)])
    grown = list(chosen)
    # Unions of unions, breadth first, as long as there is room: each is a set that could be a bottleneck.
    for one in grown:
        for group in heaviest:
            if len(chosen) >= _UNIONS:
                break
            union = one | able[group]
            if union not in chosen:
                chosen[union] = None
                grown.append(union)
    # With very many qualifications, only the heaviest are asked whether they lie inside a set.
    inside_of = load_of if len(load_of) * len(chosen) <= 1_000_000 else heaviest
    teams = []
    for executors in chosen:
        inside = (
            tuple(load_of) if executors == everyone else tuple(each for each in inside_of if able[each] <= executors)
        )
        if inside:
            loads = [load_of[each] for each in inside]
            total, size = sum(load for load, _ in loads), sum(count for _, count in loads)
            teams.append(_Team(executors, inside, total, size, executors == everyone))
    return sorted(
        teams, key=lambda team: (-team.work / len(team.executors), len(team.executors), sorted(team.executors))
    )
