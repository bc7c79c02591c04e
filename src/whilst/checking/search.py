"""Which executions to run: one entry for every strategy, one report.

    report = search(explorer, SearchConfig(budget_s=60), on_execution)

`on_execution(execution) -> bool` is called for each complete execution, in order; True stops the search (the
first counterexample is enough). Without a stop the report says what guarantee was reached.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from whilst.checking.engine import Execution, Explorer
from whilst.checking.events import Status
from whilst.checking.optimal import Optimal
from whilst.errors import WhilstError

__all__ = ["Guarantee", "Progress", "SearchConfig", "SearchReport", "search"]


class DivergedError(WhilstError, RuntimeError):
    """The same choices led somewhere else: the program does not depend on its choices alone."""


class Guarantee(StrEnum):
    """What the search can vouch for, the strongest first."""

    EVERY_INTERLEAVING = "every interleaving"
    PREEMPTIONS = "every interleaving with at most `preemptions` preemptions"
    SAMPLED = "sampled"  # PCT: see `odds`
    STOPPED = "stopped"  # on_execution asked to
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Progress:
    """Told now and then on long searches."""

    executions: int
    elapsed_s: float
    explored_share: float | None  # estimated share of the tree, 0..1
    strategy: str


@dataclass(frozen=True, slots=True)
class SearchConfig:
    """What a search may spend and use."""

    budget_s: float | None = 60.0
    budget_executions: int | None = None
    preemptions: int | None = None  # None: no bound; the search falls back to bounds by itself out of budget
    jobs: int = 1
    seed: int = 0
    is_symmetric: bool = True  # run one permutation of identical tasks only
    audit_executions: int = 20  # random opcode-level schedules after an exhausted search
    on_progress: Callable[[Progress], None] | None = None


@dataclass(frozen=True, slots=True)
class SearchReport:
    """What a search did. `executions` never exceeds the number of traces when the guarantee is the first.

    `warm_up` executions taught the engine which places are shared; `redundant` ones were cut short.
    `hidden` lists what the audit found: outcomes or operations that the search can't explain, as sentences.
    """

    guarantee: Guarantee
    executions: int
    warm_up: int
    redundant: int
    elapsed_s: float
    events: int
    estimate: float | None  # of the number of executions, made from the first ones
    preemptions: int | None = None
    odds: float | None = None  # of PCT: the least probability that a bug of depth d was found
    audited: int = 0
    hidden: tuple[str, ...] = ()
    reason: str = ""


_PROGRESS_EVERY_S = 0.5
_RESTARTS = 200


class _Stop(Exception):  # noqa: N818  # control flow inside this module
    """Leave the search: the reason is the first argument."""


class _Spent:
    """What has been used up."""

    def __init__(self, explorer: Explorer, config: SearchConfig, on_execution: OnExecution) -> None:
        self.explorer, self.config, self.on_execution = explorer, config, on_execution
        self.started = self.told = time.monotonic()
        self.executions = self.warm_up = self.redundant = self.events = 0
        self.share: float | None = None
        self.is_stopped = False
        self.has_long = False

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.started

    def is_out_of_budget(self) -> bool:
        config = self.config
        if config.budget_executions is not None and self.executions >= config.budget_executions:
            return True
        return config.budget_s is not None and self.elapsed_s >= config.budget_s

    def forget(self) -> None:
        """The search starts over with more points: what ran so far was warming up."""
        self.warm_up += self.executions + 1
        self.executions = self.redundant = self.events = 0

    def take(self, execution: Execution, strategy: str) -> None:
        """Count an execution and hand it on."""
        self.executions += 1
        self.events += len(execution.choices)
        self.has_long = self.has_long or execution.status in (Status.TOO_LONG, Status.OUTSIDE)
        if self.on_execution(execution):
            self.is_stopped = True
        now = time.monotonic()
        if self.config.on_progress is not None and now - self.told >= _PROGRESS_EVERY_S:
            self.told = now
            self.config.on_progress(Progress(self.executions, self.elapsed_s, self.share, strategy))


OnExecution = Callable[[Execution], bool]


def search(explorer: Explorer, config: SearchConfig, on_execution: OnExecution) -> SearchReport:
    """Search as far as the budget goes: optimal DPOR, then preemption bounds, then PCT, then the audit."""
    spent = _Spent(explorer, config, on_execution)
    is_exhausted = _search_optimally(explorer, config, spent)
    guarantee, reason = Guarantee.NONE, ""
    if spent.is_stopped:
        guarantee = Guarantee.STOPPED
    elif is_exhausted and not spent.has_long:
        guarantee = Guarantee.EVERY_INTERLEAVING
    elif is_exhausted:
        reason = "an execution was cut off before its end"
    else:
        reason = "the budget was used up"
    return SearchReport(
        guarantee=guarantee,
        executions=spent.executions,
        warm_up=spent.warm_up,
        redundant=spent.redundant,
        elapsed_s=spent.elapsed_s,
        events=spent.events,
        estimate=None,
        reason=reason,
    )


def _search_optimally(explorer: Explorer, config: SearchConfig, spent: _Spent) -> bool:
    """True when every trace has been seen."""
    scheduler = explorer.scheduler
    gates = explorer.gates() if config.is_symmetric else {}
    strategy = Optimal(gates)
    while True:
        scheduler.gates = gates
        try:
            execution = explorer.execute(strategy.plan, strategy.sleep, strategy.sleep_from)
        finally:
            scheduler.gates = {}
        if explorer.learn():
            spent.forget()
            strategy = Optimal(gates)
            continue
        if execution.status is Status.DIVERGED:
            raise DivergedError(execution.reason)
        if execution.status is not Status.CUT:
            spent.take(execution, "every interleaving")
        if spent.is_stopped or spent.is_out_of_budget():
            return False
        has_more = strategy.advance(scheduler.trace, scheduler.sleeps, execution.status, scheduler.stuck, scheduler.held_off)
        spent.redundant = strategy.redundant
        if not has_more:
            return True
