"""A search: the strategies one after the other, as far as the budget goes, and one report.

    report = search(explorer, SearchConfig(budget_s=60), on_execution)

`on_execution(execution) -> bool` is called for each complete execution, in order; True stops the search (the
first counterexample is enough). Without a stop the report says what guarantee was reached.
"""

from __future__ import annotations

import functools
import importlib
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from whilst.checking.engine.events import Status
from whilst.checking.explorer.execution import Execution, Limits, Plan
from whilst.checking.explorer.explorer import Explorer
from whilst.checking.search.parallel import ParallelSearch, search_in_parallel
from whilst.checking.search.strategy import (
    DivergedError,
    Ended,
    Guarantee,
    Progress,
    SearchConfig,
    Strategy,
    Vouched,
    run_strategy,
)
from whilst.checking.search.subtrees import SubtreeQueue, SubtreeResult

# Tried in this order until one of them proves it all. Those at every instruction come after the others.
STRATEGIES: Final[dict[str, str]] = {
    "optimal_dpor": "whilst.checking.search.optimal_dpor:OptimalDpor",
    "preemption_bound": "whilst.checking.search.preemption_bound:PreemptionBound",
    "pct": "whilst.checking.search.pct:Pct",
    "random_switches": "whilst.checking.search.random_switches:RandomSwitches",
}


@dataclass(slots=True)
class SearchReport:
    """What a search did. `executions` never exceeds the number of traces when the guarantee is the first.

    `warm_up` executions taught the engine which places are shared; `redundant` ones were cut short.
    `hidden` says, as sentences, what random switches brought out that the search can't explain.
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
    random_executions: int = 0  # with random switches at any instruction
    hidden: tuple[str, ...] = ()
    reason: str = ""


_PROGRESS_EVERY_S = 0.5
_ESTIMATE_AT = 50  # executions after which the first estimate is made
_LOOK_EVERY = 50
_SCOUT_AT: Final = 64  # executions of one search, after which a few look ahead if more than that many are to come
_SCOUT_LATE: Final = 4 * _SCOUT_AT  # after so many they do in any case: what is to come is an estimate
_SCOUTS: Final = 8
_NEARLY_DONE: Final = 0.5  # share of a search that is explored, from which on nobody looks ahead
_WARMING = 5  # executions at most ahead of those that switch at every instruction
_STRENGTH = tuple(Guarantee)
_NOTHING = Vouched()
_ENDINGS = (Status.DONE, Status.DEADLOCK, Status.BROKEN)


class _Spent:
    """What has been used up."""

    def __init__(
        self, explorer: Explorer, config: SearchConfig, on_execution: OnExecution, begin: Callable[[], None]
    ) -> None:
        self.explorer, self.config, self.on_execution, self.begin = explorer, config, on_execution, begin
        self.started = self.told = time.monotonic()
        self.executions = self.warm_up = self.redundant = self.events = 0
        self.share: float | None = None
        self.estimate: float | None = None
        self.is_stopped = self.has_scouted = False
        self.is_late = False  # the budget ended in the middle of an execution
        self.cut_short = ""  # why an execution did not come to its end

    @property
    def ends_at(self) -> float:
        """When the budget is used up, by `time.monotonic`."""
        return math.inf if self.config.budget_s is None else self.started + self.config.budget_s

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.started

    def is_out_of_budget(self, share: float) -> bool:
        """Whether that share of the budget is used up."""
        config, done = self.config, self.executions + self.warm_up
        if config.budget_executions is not None and done >= config.budget_executions * share:
            return True
        return config.budget_s is not None and time.monotonic() - self.started >= config.budget_s * share

    def forget(self) -> None:
        """The search starts over with more points: what ran so far was warming up."""
        self.warm_up += self.executions + 1
        self.executions = self.redundant = self.events = 0
        self.has_scouted = False

    def take(self, label: str, execution: Execution) -> bool:
        """Count an execution and hand it on; whether that is enough."""
        if execution.status in (Status.CUT, Status.OUT_OF_BUDGET):
            self.redundant += 1
            self.is_late = execution.status is Status.OUT_OF_BUDGET
            return False
        self.executions += 1
        self.events += len(execution.choices)
        if execution.status in (Status.TOO_LONG, Status.OUTSIDE):
            self.cut_short = execution.reason
        if self.on_execution(execution):
            self.is_stopped = True
        if self.config.on_progress is not None:
            self.tell(label)
        return self.is_stopped

    def add(self, piece: SubtreeResult) -> None:
        """Count what a worker has explored; an execution of it that answers the question is made again here."""
        self.executions += piece.executions
        self.events += piece.events
        self.redundant += piece.redundant
        self.cut_short = self.cut_short or piece.cut_short
        if piece.stopped_at is not None:
            if not self.on_execution(self.explorer.run(piece.stopped_at)):
                raise DivergedError("an execution ended otherwise in another process")
            self.is_stopped = True

    def tell(self, label: str) -> None:
        """Progress, now and then."""
        now = time.monotonic()
        if self.config.on_progress is not None and now - self.told >= _PROGRESS_EVERY_S:
            self.told = now
            self.config.on_progress(Progress(self.executions, self.elapsed_s, self.share, label))

    def estimate_from(self, strategy: Strategy) -> None:
        """How many executions there will be, if what is left is like what was explored."""
        self.share = strategy.explored_share()
        if self.share:
            self.estimate = self.executions / self.share


OnExecution = Callable[[Execution], bool]
Objection = Callable[[Execution], object]


def search(
    explorer: Explorer,
    config: SearchConfig,
    on_execution: OnExecution,
    *,
    objection: Objection | None = None,
    parallel: ParallelSearch | None = None,
    begin: Callable[[], None] = lambda: None,
) -> SearchReport:
    """Search as far as the budget goes: optimal DPOR, then preemption bounds, then PCT, then random switches.

    `objection` judges an execution with random switches: something true or not None can't be explained by the
    interleavings searched. `parallel` has worker processes; without it one process is used. `begin` is called whenever
    a strategy begins, or starts over.
    """
    spent = _Spent(explorer, config, on_execution, begin)
    strategies = _strategies(config.strategies, config.preemptions is not None)
    vouched, reason = _NOTHING, ""
    for each in strategies:
        if each.at_every_instruction or spent.is_out_of_budget(each.share_of_budget):
            continue
        learnt = explorer.times_learnt
        run = functools.partial(_run, explorer, config, each, spent, parallel)
        ended, mine = explorer.ending_at(spent.ends_at, run)
        if spent.is_late:  # what it has cut was not seen to its end
            ended, mine = Ended.ENOUGH, Vouched()
        reason = "the budget was used up" if ended is Ended.ENOUGH else ""
        is_void = explorer.times_learnt != learnt  # what was vouched for before did not know of all places
        vouched = mine if is_void else _stronger(vouched, mine)
        if spent.is_stopped or spent.cut_short or spent.is_late or vouched.guarantee is Guarantee.EVERY_INTERLEAVING:
            break
    tried, hidden = 0, ""
    if spent.is_stopped:
        vouched = replace(vouched, guarantee=Guarantee.STOPPED)
    elif spent.cut_short:
        vouched, reason = replace(vouched, guarantee=Guarantee.NONE), spent.cut_short
    elif vouched.guarantee is not Guarantee.NONE and objection is not None:
        tried, hidden = _at_every_instruction(explorer, spent, strategies, objection, vouched.guarantee)
    return SearchReport(
        guarantee=vouched.guarantee,
        executions=spent.executions,
        warm_up=spent.warm_up,
        redundant=spent.redundant,
        elapsed_s=spent.elapsed_s,
        events=spent.events,
        estimate=spent.estimate,
        preemptions=vouched.preemptions,
        odds=vouched.odds,
        random_executions=tried,
        hidden=(hidden,) if hidden else (),
        reason=reason or (parallel.trouble if parallel is not None else ""),
    )


@functools.cache
def _strategies(names: tuple[str, ...] | None, is_bounded: bool) -> Sequence[type[Strategy]]:
    if names is None and is_bounded:
        names = ("preemption_bound", "random_switches")
    found = []
    for name in STRATEGIES if names is None else names:
        module, _, attribute = STRATEGIES[name].partition(":")
        found.append(getattr(importlib.import_module(module), attribute))
    return found


def _stronger(one: Vouched, other: Vouched) -> Vouched:
    best = one if _STRENGTH.index(one.guarantee) <= _STRENGTH.index(other.guarantee) else other
    odds = one.odds if other.odds is None else other.odds
    return best if best.odds == odds else replace(best, odds=odds)


def _run(
    explorer: Explorer, config: SearchConfig, kind: type[Strategy], spent: _Spent, parallel: ParallelSearch | None
) -> tuple[Ended, Vouched]:
    """One strategy, started over whenever the engine has learnt of more places that are shared."""
    while True:
        spent.begin()
        strategy = kind(explorer, config)
        spent.share = None
        ended = run_strategy(
            explorer,
            strategy,
            functools.partial(spent.take, strategy.label),
            functools.partial(_stop, strategy, spent, parallel),
        )
        if ended is Ended.LEARNT:
            spent.forget()
            if spent.is_out_of_budget(kind.share_of_budget):
                return Ended.ENOUGH, Vouched()
            continue
        if ended is Ended.ENOUGH:
            left = strategy.remainder() if parallel is not None else None
            if parallel is None or left is None or spent.is_out_of_budget(kind.share_of_budget):
                spent.estimate_from(strategy)
            elif _in_parallel(explorer, config, strategy, spent, parallel, SubtreeQueue.going_on(left)):
                return Ended.EXHAUSTED, Vouched(Guarantee.EVERY_INTERLEAVING)
        return ended, strategy.guarantee()


def _stop(strategy: Strategy, spent: _Spent, parallel: ParallelSearch | None) -> Ended | None:
    """Between two executions: the budget is used up, workers are to join in, or it has to start over."""
    if spent.executions % _LOOK_EVERY == 0:
        spent.share = strategy.explored_share()
        if spent.executions == _ESTIMATE_AT:
            spent.estimate_from(strategy)
    if spent.is_out_of_budget(strategy.share_of_budget):
        return Ended.ENOUGH
    if spent.executions in (_SCOUT_AT, _SCOUT_LATE) and not strategy.is_sample and _scout(strategy, spent):
        return Ended.LEARNT
    can_share = parallel is not None and spent.elapsed_s >= spent.config.parallel_after_s
    return Ended.ENOUGH if can_share and strategy.remainder() is not None else None


def _scout(strategy: Strategy, spent: _Spent) -> bool:
    """Whether a few random schedules show that more places are shared. A search varies the end of an execution first:
    what only an early switch brings about it would come to late, to start over with all of it. Once for each search."""
    is_nearly_done = spent.executions < _SCOUT_LATE and (strategy.explored_share() or 0.0) > _NEARLY_DONE
    if spent.has_scouted or is_nearly_done:
        return False
    spent.has_scouted = True
    draw = random.Random(spent.config.seed).random  # noqa: S311  # repeatable on purpose; C code, as tasks run by now
    has_learnt = False
    for _ in range(_SCOUTS):
        spent.warm_up += 1
        spent.explorer.execute(Plan(picker=lambda _task, enabled: enabled[int(draw() * len(enabled))]))
        has_learnt = spent.explorer.learn() or has_learnt
    return has_learnt


def _in_parallel(
    explorer: Explorer,
    config: SearchConfig,
    strategy: Strategy,
    spent: _Spent,
    parallel: ParallelSearch,
    queue: SubtreeQueue,
) -> bool:
    """Explore what is left with workers; True when every trace has been seen."""

    def report(piece: SubtreeResult | None) -> bool:
        if piece is None:
            spent.forget()
            spent.begin()
            return False
        spent.add(piece)
        return spent.is_stopped or spent.is_out_of_budget(strategy.share_of_budget)

    return search_in_parallel(
        explorer,
        parallel,
        queue,
        lambda: explorer.gates() if config.is_symmetric else {},
        functools.partial(spent.take, strategy.label),
        report,
    )


def _at_every_instruction(
    explorer: Explorer,
    spent: _Spent,
    strategies: Sequence[type[Strategy]],
    objection: Objection,
    searched: Guarantee,
) -> tuple[int, str]:
    """Whether executions that switch at any instruction end in ways not known: how many were made, and what is
    wrong."""
    tried, hidden = 0, ""
    if searched is Guarantee.EVERY_INTERLEAVING:
        ended = "hidden state: a random schedule of single instructions ended in a way that no interleaving of the "
        ended += "accesses seen does"
    else:
        ended = "beyond what was searched, a random schedule of single instructions ended in a way that no sequential "
        ended += "order does: give it more time (budget=)"

    def take(execution: Execution) -> bool:
        nonlocal tried, hidden
        if execution.status in _ENDINGS:
            tried += 1
            if objection(execution):
                hidden = f"{ended}; its last switch was at {_last_switch(execution)}"
        return bool(hidden)

    limits = Limits(explorer.limits.steps * 20, explorer.limits.seconds)
    for each in strategies:
        if each.at_every_instruction and not hidden:
            program = replace(explorer.program, always=None)  # within a step nobody looks on
            keys = explorer.known_site_keys() if explorer.has_asked_the_time else None  # see `Judge.begin`
            again = Explorer(program, limits, at_every_instruction=True, started=explorer.started, site_keys=keys)
            with explorer.suspended(), again as inner:
                for function in explorer.unseen_code.found:
                    inner.instrumentation.admit(function)
                if keys is not None or explorer.unseen_code.found:
                    _warm_up(inner)
                for kind in explorer.access_log.dropped:
                    inner.access_log.let_go(kind)
                run = functools.partial(run_strategy, inner, each(inner, spent.config), take, lambda: _enough(spent))
                inner.ending_at(spent.ends_at, run)
    return tried, hidden


def _enough(spent: _Spent) -> Ended | None:
    return Ended.ENOUGH if spent.config.budget_s is not None and spent.elapsed_s >= spent.config.budget_s else None


def _warm_up(explorer: Explorer) -> None:
    """Let in what only an execution shows: code that C code calls, and what asks for the time in setup."""
    for _ in range(_WARMING):
        explorer.run_order(range(len(explorer.program.tasks)))
        if not explorer.learn():
            return


def _last_switch(execution: Execution) -> str:
    accesses = execution.accesses()
    for earlier, later in zip(reversed(accesses[:-1]), reversed(accesses[1:]), strict=True):
        if earlier.task != later.task:
            return f"{earlier.location.file}:{earlier.location.line}"
    return "?"
