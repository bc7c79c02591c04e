"""A last test of a proof: random switches before any instruction.

The search switches only where it knows of an access to something shared. Should there be state that it does not see
(a C extension's, a file's), a switch anywhere else may bring out what the search did not find. So the code is
rewritten once more, with a switch point ahead of every instruction, and run under random schedules: mostly few
switches far apart, since that is where two tasks meet in the middle of something, sometimes many.
"""

from __future__ import annotations

import random
from math import log

from whilst.checking.explorer.execution import Plan
from whilst.checking.explorer.explorer import Explorer
from whilst.checking.search.strategy import SearchConfig, Strategy


class RandomSwitches(Strategy):
    """One random run after another.

    At every instruction the one that runs may lose its turn, with the same probability. How many instructions go by
    before that is drawn at once and counted down where they are hooked (`patience`), so that most of them cost nothing.
    """

    label = "random switches"
    is_sample = at_every_instruction = True

    def __init__(self, explorer: Explorer, config: SearchConfig) -> None:
        self._draws = random.Random(config.seed)  # noqa: S311  # repeatable on purpose
        self._scheduler = explorer.scheduler
        self._left = config.random_executions

    def next_plan(self) -> Plan | None:
        """Each run has its own probability of a switch."""
        if not self._left:
            return None
        self._left -= 1
        self._log_of_staying = log(1.0 - self._draws.choice((0.02, 0.1, 0.3, 0.5)))
        self._scheduler.patience = 0
        return Plan(picker=self._pick)

    def _pick(self, _task: int, enabled: list[int]) -> int:
        """Anyone, the one that ran until now included; asked once patience is at its end, or it can't go on."""
        draw = self._draws.random
        self._scheduler.patience = int(log(1.0 - draw()) / self._log_of_staying)
        return enabled[int(draw() * len(enabled))]
