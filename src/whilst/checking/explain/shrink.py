"""From the interleaving that the search came across to the one that a person can follow.

Smallest first by this order: it can happen while a GIL is on, fewest context switches, fewest steps. Two passes:

1. *Merging*, which takes what was found and joins pieces of the same task wherever the result still fails.
2. *Deepening*: every interleaving with 0, then 1, then 2, … switches is run until one fails (the idea of iterative
   context bounding, Musuvathi and Qadeer, PLDI 2007, applied to a program known to fail). An interleaving is a
   prefix of choices and what follows by itself, so that each is met at the level of its own switches or before;
   once a level is done, nothing with that many switches was missed, and the result is provably the shortest.
   Where an interleaving comes to what another one came to, in the same order of all that depends on each other,
   with the same task running and no fewer switches, all that follows is known.

Both stop when `runs` or the time are used up; the second then leaves the claim of minimality out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from whilst.checking.engine.events import Status
from whilst.checking.explorer.execution import Execution

_RUNS: Final = 12_000
_SECONDS: Final = 4.0
_FEW: Final = 2  # switches: deepening comes to what merging would leave of them after as many runs

Run = Callable[[Sequence[int]], Execution]
Along = Callable[[], Sequence[tuple[Collection[int], Hashable]]]


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The choices of the smallest failing execution found; `is_shortest` if no fewer switches can fail."""

    choices: tuple[int, ...]
    is_shortest: bool


def shrink(
    run: Run, fails: Callable[[Execution], bool], first: Execution, tasks: int, along: Along | None = None
) -> Shrunk:
    """Find a smaller execution that fails as `first` does; `fails` judges a live execution.

    `along`: for each event of the last run the tasks that could have gone on there, and what had happened by then
    (equal if the same can follow), if that is known.
    """
    best = _Best(run, fails, first)
    best.offer(first)
    if best.switches > _FEW:
        _merge(best)
    is_shortest = _deepen(best, tasks, along)
    return Shrunk(best.choices, is_shortest)


class _Best:
    """The smallest failing execution so far, and what may still be spent on finding a smaller one."""

    def __init__(self, run: Run, fails: Callable[[Execution], bool], first: Execution) -> None:
        self._run, self._fails = run, fails
        self._runs_left = _RUNS
        self._deadline = time.monotonic() + _SECONDS
        self.choices = first.choices
        self.key: tuple[bool, int, int] = (True, first.switches + 1, 0)

    @property
    def switches(self) -> int:
        return self.key[1]

    def is_spent(self) -> bool:
        return self._runs_left <= 0 or time.monotonic() > self._deadline

    def run(self, choices: Sequence[int]) -> Execution:
        self._runs_left -= 1
        return self._run(choices)

    def offer(self, execution: Execution) -> bool:
        """Take it if it fails and is smaller than the best."""
        if execution.status in (Status.DIVERGED, Status.CUT):
            return False
        if execution.switches > self.key[1] and not self.key[0]:
            return False
        if not self._fails(execution):
            return False
        key = (execution.needs_free_threading, execution.switches, len(execution.choices))
        if key < self.key:
            self.key, self.choices = key, execution.choices
            return True
        return False


def _merge(best: _Best) -> None:
    """Join two pieces of one task by moving what lies between them behind or before, as long as that helps."""
    has_improved = True
    while has_improved and not best.is_spent():
        has_improved = False
        for choices in _merged(best.choices):
            if best.is_spent():
                return
            if best.offer(best.run(choices)):
                has_improved = True
                break


def _merged(choices: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    pieces = [(task, len(list(group))) for task, group in groupby(choices)]
    for at, (task, _) in enumerate(pieces):
        following = next((k for k in range(at + 1, len(pieces)) if pieces[k][0] == task), None)
        if following is None:
            continue
        between = pieces[at + 1 : following]
        pair = [pieces[at], pieces[following]]
        for changed in ([*pair, *between], [*between, *pair]):
            whole = [*pieces[:at], *changed, *pieces[following + 1 :]]
            yield tuple(each for each, length in whole for _ in range(length))


def _deepen(best: _Best, tasks: int, along: Along | None) -> bool:
    """Run every interleaving with 0, 1, 2, … switches; true if all levels up to the best's own were done."""
    levels: dict[int, list[tuple[int, ...]]] = {0: [(task,) for task in range(tasks)]}
    met: dict[Hashable, int] = {}  # state -> the fewest switches that it was come to with
    level = 0
    while level <= best.switches:
        for prefix in levels.pop(level, ()):
            if best.is_spent():
                return False
            execution = best.run(prefix)
            if execution.status is Status.DIVERGED:
                continue
            everyone = {*range(tasks), *execution.choices}
            steps = along() if along is not None else [(everyone, object()) for _ in execution.choices]
            if level == 0 and steps and prefix[0] not in steps[0][0]:
                continue  # one of several identical tasks: another one begins in its stead
            best.offer(execution)
            for switches, at, able in _ways_out(execution.choices, len(prefix), level, steps):
                if switches > best.switches:
                    break
                before = execution.choices[at - 1]
                state = (steps[at][1], before)
                if met.get(state, switches + 1) <= switches:
                    continue
                met[state] = switches
                levels.setdefault(switches, []).extend((*execution.choices[:at], task) for task in able)
        level += 1
    return True


def _ways_out(
    choices: Sequence[int], done: int, switches: int, steps: Sequence[tuple[Collection[int], Hashable]]
) -> Iterator[tuple[int, int, list[int]]]:
    """Where an execution can be left: with how many switches then, at which event, and for whom; fewest first."""
    for at in range(done, len(choices)):
        before, taken = choices[at - 1], choices[at]
        others = [task for task in steps[at][0] if task not in (taken, before)]
        if others:
            yield switches + 1, at, others
        switches += before != taken  # it came by itself: the task before had ended, or was blocked
