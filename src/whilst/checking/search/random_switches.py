"""A last test of a proof: random switches before any instruction.

The search switches only where it knows of an access to something shared. Should there be state that it does not see
(a C extension's, a file's), a switch anywhere else may bring out what the search did not find. So the code is
rewritten once more, with a switch point ahead of every instruction, and run under random schedules: mostly few
switches far apart, since that is where two tasks meet in the middle of something, sometimes many.
"""

from __future__ import annotations

import random
from math import log
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whilst.checking.engine.scheduler import Scheduler

__all__ = ["RandomSwitches"]


class RandomSwitches:
    """The picker of one random run after another.

    At every instruction the one that runs may lose its turn, with the same probability. How many instructions go by
    before that is drawn at once and counted down where they are hooked (`patience`), so that most of them cost nothing.
    """

    def __init__(self, seed: int, scheduler: Scheduler) -> None:
        self._draws = random.Random(seed)  # noqa: S311  # repeatable on purpose
        self._scheduler = scheduler
        self.begin()

    def begin(self) -> None:
        """Ahead of each run: how restless it is."""
        self._log_of_staying = log(1.0 - self._draws.choice((0.02, 0.1, 0.3, 0.5)))
        self._scheduler.patience = 0

    def pick(self, _task: int, enabled: list[int]) -> int:
        """Anyone, the one that ran until now included; asked once patience is at its end, or it can't go on."""
        draw = self._draws.random
        self._scheduler.patience = int(log(1.0 - draw()) / self._log_of_staying)
        return enabled[int(draw() * len(enabled))]
