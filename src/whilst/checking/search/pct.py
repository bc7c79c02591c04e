"""PCT: random priorities with d - 1 random points at which the running task drops below all others.

Burckhardt, Kothari, Musuvathi, Nagarakatte, "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs",
ASPLOS 2010: one run finds a bug of depth d with a probability of at least 1 / (n k**(d-1)), for n tasks and k steps.
"""

from __future__ import annotations

import random
from typing import Final

from whilst.checking.explorer.execution import Plan
from whilst.checking.explorer.explorer import Explorer
from whilst.checking.search.strategy import Guarantee, SearchConfig, Strategy, Vouched

_DEPTH: Final = 3  # of the bugs that the odds are stated for


class Pct(Strategy):
    """One run after another, until the budget is used up."""

    label = "sampling"
    is_sample = True

    def __init__(self, explorer: Explorer, config: SearchConfig) -> None:
        self._explorer = explorer
        self._draws = random.Random(config.seed)  # noqa: S311  # repeatable on purpose
        self._steps = 1
        self._runs = 0

    def next_plan(self) -> Plan:
        """With new priorities, and new points at which they change."""
        self._priority: dict[int, float] = {}
        self._step = 0
        self._runs += 1
        points = [self._draws.randrange(1, self._steps + 1) for _ in range(_DEPTH - 1)]
        self._drops = {point: -1.0 - index for index, point in enumerate(points)}
        return Plan(picker=self._pick)

    def guarantee(self) -> Vouched:
        tasks = max(len(self._explorer.program.tasks), len(self._explorer.scheduler.numbers))
        return Vouched(Guarantee.SAMPLED, odds=_odds_of(self._runs, tasks, self._steps, _DEPTH))

    def _pick(self, task: int, enabled: list[int]) -> int:
        """The one with the highest priority."""
        self._step += 1
        self._steps = max(self._steps, self._step)
        for each in enabled:
            if each not in self._priority:
                self._priority[each] = self._draws.random()
        drop = self._drops.get(self._step)
        if drop is not None and task in self._priority:
            self._priority[task] = drop
        return max(enabled, key=self._priority.__getitem__)


def _odds_of(runs: int, tasks: int, steps: int, depth: int) -> float:
    """The least probability that `runs` runs find a bug of that depth."""
    once = 1.0 / (max(tasks, 1) * float(max(steps, 1)) ** (depth - 1))
    return float(1.0 - (1.0 - once) ** runs)
