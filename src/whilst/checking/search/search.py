"""Which executions to run: one entry for every strategy, one report.

    report = search(explorer, SearchConfig(budget_s=60), on_execution)

`on_execution(execution) -> bool` is called for each complete execution, in order; True stops the search (the
first counterexample is enough). Without a stop the report says what guarantee was reached.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from whilst.checking.engine.events import Status
from whilst.checking.explorer.explorer import Execution, Explorer, Limits
from whilst.checking.search.optimal_dpor import Optimal
from whilst.checking.search.parallel import ParallelSearch, search_in_parallel
from whilst.checking.search.pct import Pct, odds_of
from whilst.checking.search.preemption_bound import PreemptionBound
from whilst.checking.search.random_switches import RandomSwitches
from whilst.checking.search.subtrees import Frontier, SubtreeResult
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
    parallel: ParallelSearch | None = None  # its workers; without them one process is used, and the report says so
    parallel_after_s: float = 0.3  # what is over by then is not worth starting processes for
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
_ESTIMATE_AT = 50  # executions after which the first estimate is made
_LOOK_EVERY = 50
_SHARE_OF_BUDGET = 0.6  # for the search for a proof; the rest is kept for what comes after it
_DEPTH = 3  # of the bugs that PCT's odds are stated for


class _Spent:
    """What has been used up."""

    def __init__(self, explorer: Explorer, config: SearchConfig, on_execution: OnExecution) -> None:
        self.explorer, self.config, self.on_execution = explorer, config, on_execution
        self.started = self.told = time.monotonic()
        self.executions = self.warm_up = self.redundant = self.events = 0
        self.share: float | None = None
        self.estimate: float | None = None
        self.is_stopped = False
        self.cut_short = ""  # why an execution did not come to its end

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.started

    def is_out_of_budget(self, share: float = 1.0) -> bool:
        """Whether that share of the budget is used up."""
        config, done = self.config, self.executions + self.warm_up
        if config.budget_executions is not None and done >= config.budget_executions * share:
            return True
        return config.budget_s is not None and self.elapsed_s >= config.budget_s * share

    def begin_fallback(self) -> None:
        """The proof did not fit into the budget; its executions stay counted."""
        self.share = None

    def forget(self) -> None:
        """The search starts over with more points: what ran so far was warming up."""
        self.warm_up += self.executions + 1
        self.executions = self.redundant = self.events = 0

    def take(self, execution: Execution, strategy: str) -> None:
        """Count an execution and hand it on."""
        self.executions += 1
        self.events += len(execution.choices)
        if execution.status in (Status.TOO_LONG, Status.OUTSIDE, Status.DIVERGED):
            self.cut_short = execution.reason
        if self.on_execution(execution):
            self.is_stopped = True
        self.tell(strategy)

    def take_again(self, execution: Execution) -> None:
        """One that a worker has counted, and found to answer the question."""
        if not self.on_execution(execution):
            raise DivergedError("an execution ended otherwise in another process")
        self.is_stopped = True

    def tell(self, strategy: str) -> None:
        """Progress, now and then."""
        now = time.monotonic()
        if self.config.on_progress is not None and now - self.told >= _PROGRESS_EVERY_S:
            self.told = now
            self.config.on_progress(Progress(self.executions, self.elapsed_s, self.share, strategy))


OnExecution = Callable[[Execution], bool]
OnAudit = Callable[[Execution], object]


def search(
    explorer: Explorer, config: SearchConfig, on_execution: OnExecution, *, on_audit: OnAudit | None = None
) -> SearchReport:
    """Search as far as the budget goes: optimal DPOR, then preemption bounds, then PCT, then the audit.

    `on_audit` judges an execution of the audit: something true or not None is an objection.
    """
    spent = _Spent(explorer, config, on_execution)
    reached = _Reached()
    if config.preemptions is not None:
        _search_bounded(explorer, spent, reached, range(config.preemptions + 1))
    elif _search_optimally(explorer, config, spent):
        reached.guarantee = Guarantee.EVERY_INTERLEAVING
    elif not spent.is_stopped:
        spent.begin_fallback()
        _search_bounded(explorer, spent, reached, range(3))
        _sample(explorer, config, spent, reached)
    if spent.is_stopped:
        reached.guarantee = Guarantee.STOPPED
    elif spent.cut_short:
        reached.guarantee, reached.reason = Guarantee.NONE, spent.cut_short
    elif reached.guarantee is not Guarantee.NONE and on_audit is not None:
        test_with_random_switches(explorer, config, on_audit, reached)
    if config.parallel is not None and config.parallel.trouble and not reached.reason:
        reached.reason = config.parallel.trouble
    return SearchReport(
        guarantee=reached.guarantee,
        executions=spent.executions,
        warm_up=spent.warm_up,
        redundant=spent.redundant,
        elapsed_s=spent.elapsed_s,
        events=spent.events,
        estimate=spent.estimate,
        preemptions=reached.preemptions,
        odds=reached.odds,
        audited=reached.audited,
        hidden=tuple(reached.hidden),
        reason=reached.reason,
    )


@dataclass(slots=True)
class _Reached:
    """What can be vouched for so far."""

    guarantee: Guarantee = Guarantee.NONE
    preemptions: int | None = None
    odds: float | None = None
    audited: int = 0
    hidden: list[str] = field(default_factory=list)
    reason: str = ""


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
        if explorer.learn() or (gates and explorer.has_identity):
            spent.forget()
            gates = explorer.gates() if config.is_symmetric else {}
            strategy = Optimal(gates)
            if spent.is_out_of_budget():
                return False
            continue
        if execution.status is Status.DIVERGED:
            raise DivergedError(execution.reason)
        if execution.status is not Status.CUT:
            spent.take(execution, "every interleaving")
        if spent.is_stopped:
            return False
        has_more = strategy.advance(
            scheduler.trace, scheduler.sleeps, execution.status, scheduler.stuck, scheduler.held_off
        )
        spent.redundant = strategy.redundant
        if not has_more:
            spent.share = 1.0
            return True
        if spent.executions % _LOOK_EVERY == 0:
            spent.share = strategy.explored_share()
        if spent.executions == _ESTIMATE_AT and spent.share:
            spent.estimate = spent.executions / spent.share
        if config.parallel is not None and spent.elapsed_s >= config.parallel_after_s and not spent.is_out_of_budget():
            frontier = Frontier.going_on(strategy, scheduler.trace)
            return _search_in_parallel(explorer, config, spent, config.parallel, frontier)
        if spent.is_out_of_budget(_SHARE_OF_BUDGET):
            share = strategy.explored_share()
            spent.estimate = spent.executions / share if share else None
            return False


def _search_in_parallel(
    explorer: Explorer, config: SearchConfig, spent: _Spent, parallel: ParallelSearch, frontier: Frontier
) -> bool:
    """The same with workers; True when every trace has been seen."""

    def take(execution: Execution) -> bool:
        spent.take(execution, "every interleaving")
        return spent.is_stopped

    def report(piece: SubtreeResult | None) -> bool:
        if piece is None:
            spent.forget()
            return False
        spent.executions += piece.executions
        spent.events += piece.events
        spent.redundant += piece.redundant
        spent.cut_short = spent.cut_short or piece.cut_short
        if piece.stopped_at is not None:
            spent.take_again(explorer.run(piece.stopped_at))
        return spent.is_stopped or spent.is_out_of_budget(_SHARE_OF_BUDGET)

    def gates_of() -> dict[int, int]:
        return explorer.gates() if config.is_symmetric else {}

    return search_in_parallel(explorer, parallel, frontier, gates_of, take, report)


def _search_bounded(explorer: Explorer, spent: _Spent, reached: _Reached, bounds: Iterable[int]) -> None:
    """Every interleaving with 0, 1, 2 ... preemptions, as far as the budget goes."""
    scheduler = explorer.scheduler
    for bound in bounds:
        while True:
            outcome = _one_bound(explorer, spent, PreemptionBound(scheduler, bound))
            if outcome != "learned":
                break
            spent.forget()
            if spent.is_out_of_budget(0.9):
                return
        if outcome != "done":
            return
        reached.guarantee, reached.preemptions = Guarantee.PREEMPTIONS, bound


def _one_bound(explorer: Explorer, spent: _Spent, strategy: PreemptionBound) -> str:
    """ "done", "learned" or "out" (of budget, or stopped)."""
    scheduler = explorer.scheduler
    try:
        scheduler.picker, scheduler.keeps_enabled = strategy.pick, True
        while not strategy.is_over:
            strategy.begin()
            execution = explorer.execute(strategy.plan, 0, 0)
            if explorer.learn():
                return "learned"
            if execution.status is Status.DIVERGED:
                raise DivergedError(execution.reason)
            if execution.status is Status.CUT:
                spent.redundant += 1
            else:
                spent.take(execution, f"at most {strategy.bound} preemptions")
            if spent.is_stopped or spent.is_out_of_budget(0.9):
                return "out"
            strategy.advance()
    finally:
        scheduler.picker, scheduler.keeps_enabled = None, False
    return "done"


def _sample(explorer: Explorer, config: SearchConfig, spent: _Spent, reached: _Reached) -> None:
    """PCT with what is left of the budget."""
    scheduler = explorer.scheduler
    strategy = Pct(config.seed, _DEPTH)
    runs = 0
    try:
        scheduler.picker = strategy.pick
        while not spent.is_stopped and not spent.is_out_of_budget():
            strategy.begin()
            execution = explorer.execute((), 0, 0)
            explorer.learn()
            spent.take(execution, "sampling")
            runs += 1
    finally:
        scheduler.picker = None
    if runs:
        tasks = max(len(explorer.program.tasks), len(scheduler.numbers))
        reached.odds = odds_of(runs, tasks, strategy.steps, _DEPTH)
        if reached.guarantee is Guarantee.NONE:
            reached.guarantee = Guarantee.SAMPLED
    reached.reason = "the budget was used up"


def test_with_random_switches(explorer: Explorer, config: SearchConfig, on_audit: OnAudit, reached: _Reached) -> None:
    """Random schedules with a switch point ahead of every instruction: do they end in ways not known?"""
    limits = Limits(explorer.limits.steps * 20, explorer.limits.seconds)
    with (
        explorer.suspended(),
        Explorer(explorer.program, limits, at_every_instruction=True, started=explorer.started) as inner,
    ):
        strategy = RandomSwitches(config.seed, inner.scheduler)
        inner.scheduler.picker = strategy.pick
        for kind in explorer.access_log.dropped:
            inner.access_log.let_go(kind)
        for _ in range(config.audit_executions):
            strategy.begin()
            execution = inner.run(())
            if execution.status not in (Status.DONE, Status.DEADLOCK):
                continue
            reached.audited += 1
            if on_audit(execution):
                location = _last_switch(execution)
                reached.hidden.append(
                    "hidden state: a random schedule of single instructions ended in a way that no interleaving of "
                    f"the accesses seen does; its last switch was at {location}"
                )
                return


def _last_switch(execution: Execution) -> str:
    accesses = execution.accesses()
    for earlier, later in zip(reversed(accesses[:-1]), reversed(accesses[1:]), strict=True):
        if earlier.task != later.task:
            return f"{earlier.location.file}:{earlier.location.line}"
    return "?"
