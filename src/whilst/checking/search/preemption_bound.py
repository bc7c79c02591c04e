"""Iterative preemption bounding: every interleaving with at most b switches away from a task that could go on.

After Musuvathi and Qadeer, "Iterative Context Bounding for Systematic Testing of Multithreaded Programs", PLDI
2007. Switches where a task ends or waits are free. Executions are not reduced by partial order, since a bound
breaks its argument (Coons et al., OOPSLA 2013); instead a prefix whose happens-before relation was reached before,
with the same task running and no fewer preemptions left, is cut: the state is the same, so is all that follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from whilst.checking.engine.fingerprint import Fingerprint
from whilst.checking.engine.operations import Event
from whilst.checking.explorer.execution import Execution, Plan
from whilst.checking.explorer.explorer import Explorer
from whilst.checking.search.strategy import Guarantee, SearchConfig, Strategy, Vouched

_MOST_PREEMPTIONS: Final = 2  # where no bound is asked for: most bugs need no more


class PreemptionBound(Strategy):
    """Bound 0, then 1, 2 ...; depth first below each of them."""

    share_of_budget = 0.9

    def __init__(self, explorer: Explorer, config: SearchConfig) -> None:
        self.scheduler = explorer.scheduler
        self._last_bound = _MOST_PREEMPTIONS if config.preemptions is None else config.preemptions
        self._begin_bound(0)

    def _begin_bound(self, bound: int) -> None:
        self.bound = bound
        self.label = f"at most {bound} preemptions"
        self._choices: list[int] = []
        self._open: list[list[int]] = []  # at each depth, the tasks still to be tried
        self._seen: dict[tuple[int, int], int] = {}

    def next_plan(self) -> Plan | None:
        if self.bound > self._last_bound:
            return None
        self._fingerprint = Fingerprint()
        self._done = self._used = 0
        self._running = -1
        return Plan(self._choices, picker=self._pick, keeps_enabled=True)

    def guarantee(self) -> Vouched:
        return Vouched(Guarantee.PREEMPTIONS, preemptions=self.bound - 1) if self.bound else Vouched()

    def _pick(self, task: int, enabled: list[int]) -> int:
        """The scheduler's question beyond the plan: go on with the running task; note what else there was."""
        trace = self.scheduler.trace
        self._catch_up(trace)
        chosen = task if task in enabled else enabled[0]
        key = (self._fingerprint.value, task if task in enabled else -1)
        if self._seen.get(key, self.bound + 1) <= self._used:
            return -1
        self._seen[key] = self._used
        cost = 1 if task in enabled else 0
        others = [other for other in enabled if other != chosen] if self._used + cost <= self.bound else []
        self._open.append(others)
        return chosen

    def _catch_up(self, trace: Sequence[Event]) -> None:
        """Fingerprint and preemptions of what the plan has done already."""
        while self._done < len(trace):
            event = trace[self._done]
            if self._running >= 0 and event[0] != self._running and self._could_go_on(self._done):
                self._used += 1
            self._fingerprint.add(event)
            self._running = event[0]
            self._done += 1

    def _could_go_on(self, depth: int) -> bool:
        """Whether the task that ran before could have had this event too."""
        return self._running in self.scheduler.enabled_along[depth]

    def note(self, _execution: Execution) -> None:
        """The deepest task not tried yet comes next."""
        trace = self.scheduler.trace
        while self._open and not self._open[-1]:
            self._open.pop()
        if not self._open:
            self._begin_bound(self.bound + 1)
            return
        depth = len(self._open) - 1
        self._choices = [event[0] for event in trace[:depth]]
        self._choices.append(self._open[-1].pop(0))
