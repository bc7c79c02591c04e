"""PCT: random priorities with d - 1 random points at which the running task drops below all others.

Burckhardt, Kothari, Musuvathi, Nagarakatte, "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs",
ASPLOS 2010: one run finds a bug of depth d with a probability of at least 1 / (n k**(d-1)), for n tasks and k steps.
"""

from __future__ import annotations

import random

__all__ = ["Pct", "odds_of"]


class Pct:
    """The picker of one run after another."""

    def __init__(self, seed: int, depth: int) -> None:
        self._draws = random.Random(seed)  # noqa: S311  # repeatable on purpose
        self.depth = depth
        self.steps = 1
        self.begin()

    def begin(self) -> None:
        """Ahead of each run: new priorities, new points."""
        self._priority: dict[int, float] = {}
        self._step = 0
        points = [self._draws.randrange(1, self.steps + 1) for _ in range(self.depth - 1)]
        self._drops = {point: -1.0 - index for index, point in enumerate(points)}

    def pick(self, task: int, enabled: list[int]) -> int:
        """The one with the highest priority."""
        self._step += 1
        self.steps = max(self.steps, self._step)
        for each in enabled:
            if each not in self._priority:
                self._priority[each] = self._draws.random()
        drop = self._drops.get(self._step)
        if drop is not None and task in self._priority:
            self._priority[task] = drop
        return max(enabled, key=self._priority.__getitem__)


def odds_of(runs: int, tasks: int, steps: int, depth: int) -> float:
    """The least probability that `runs` runs find a bug of that depth."""
    once = 1.0 / (max(tasks, 1) * float(max(steps, 1)) ** (depth - 1))
    return float(1.0 - (1.0 - once) ** runs)
