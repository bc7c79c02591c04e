"""The doubt: random schedules that may switch ahead of every single instruction.

The search switches only where it knows of an access to something shared. Should there be state that it does not see
(a C extension's, a file's), a switch anywhere else may bring out what the search did not find. So the code is
rewritten once more, with a switch point ahead of every instruction, and run under random schedules: mostly few
switches far apart, since that is where two tasks meet in the middle of something, sometimes many.
"""

from __future__ import annotations

import random

__all__ = ["RandomSwitches"]


class RandomSwitches:
    """The picker of one random run after another."""

    def __init__(self, seed: int) -> None:
        self._draws = random.Random(seed)  # noqa: S311  # repeatable on purpose
        self.begin()

    def begin(self) -> None:
        """Ahead of each run: how restless it is."""
        self._rate = self._draws.choice((0.02, 0.1, 0.3, 0.5))

    def pick(self, task: int, enabled: list[int]) -> int:
        """Mostly the one that runs."""
        if task in enabled and self._draws.random() > self._rate:
            return task
        return self._draws.choice(enabled)
