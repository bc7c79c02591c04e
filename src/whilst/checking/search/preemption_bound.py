"""Iterative preemption bounding: every interleaving with at most b switches away from a task that could go on.

After Musuvathi and Qadeer, "Iterative Context Bounding for Systematic Testing of Multithreaded Programs", PLDI
2007. Switches where a task ends or waits are free. Executions are not reduced by partial order, since a bound
breaks its argument (Coons et al., OOPSLA 2013); instead a prefix whose happens-before relation was reached before,
with the same task running and no fewer preemptions left, is cut: the state is the same, so is all that follows.
"""

from __future__ import annotations

from collections.abc import Sequence

from whilst.checking.engine.fingerprint import Fingerprint
from whilst.checking.engine.operations import Event
from whilst.checking.engine.scheduler import Scheduler

__all__ = ["PreemptionBound"]


class PreemptionBound:
    """Depth first below one bound; `plan` is what to run next, until `is_over`."""

    def __init__(self, scheduler: Scheduler, bound: int) -> None:
        self.scheduler, self.bound = scheduler, bound
        self.plan: list[int] = []
        self.is_over = False
        self._open: list[list[int]] = []  # at each depth, the tasks still to be tried
        self._seen: dict[tuple[int, int], int] = {}
        self._fingerprint = Fingerprint()
        self._done = 0
        self._used = 0
        self._running = -1
        self.did_cut = False

    def begin(self) -> None:
        """Ahead of each execution."""
        self._fingerprint = Fingerprint()
        self._done = self._used = 0
        self._running = -1
        self.did_cut = False

    def pick(self, task: int, enabled: list[int]) -> int:
        """The scheduler's question beyond the plan: go on with the running task; note what else there was."""
        trace = self.scheduler.trace
        self._catch_up(trace)
        chosen = task if task in enabled else enabled[0]
        key = (self._fingerprint.value, task if task in enabled else -1)
        if self._seen.get(key, self.bound + 1) <= self._used:
            self.did_cut = True
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
            if self._running >= 0 and event[0] != self._running and self.could_go_on(self._done):
                self._used += 1
            self._fingerprint.add(event)
            self._running = event[0]
            self._done += 1

    def could_go_on(self, depth: int) -> bool:
        """Whether the task that ran before could have had this event too."""
        return self._running in self.scheduler.enabled_along[depth]

    def advance(self) -> None:
        """After each execution: the deepest task not tried yet comes next."""
        trace = self.scheduler.trace
        while self._open and not self._open[-1]:
            self._open.pop()
        if not self._open:
            self.is_over = True
            return
        depth = len(self._open) - 1
        self.plan = [event[0] for event in trace[:depth]]
        self.plan.append(self._open[-1].pop(0))
