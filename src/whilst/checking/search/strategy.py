"""What a search strategy is, and the one loop that runs every strategy.

A strategy is a file of this folder and a line in `search.STRATEGIES`. It is made with the explorer and the
`SearchConfig`. The loop asks it for a `Plan`, has that executed, tells it of the execution, and so on until there is no
plan left or the budget is used up. Then the strategy says what it can vouch for. Strategies never import each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from whilst.checking.engine.events import Status
from whilst.checking.explorer.execution import Execution, Plan
from whilst.checking.explorer.explorer import Explorer
from whilst.checking.search.wakeup_tree import Remainder
from whilst.errors import WhilstError


class DivergedError(WhilstError, RuntimeError):
    """The same choices led somewhere else: the program does not depend on its choices alone."""


class Guarantee(StrEnum):
    """What a search can vouch for, the strongest first."""

    EVERY_INTERLEAVING = "every interleaving"
    PREEMPTIONS = "every interleaving with at most `preemptions` preemptions"
    SAMPLED = "sampled"  # PCT: see `odds`
    STOPPED = "stopped"  # on_execution asked to
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Vouched:
    """A guarantee and its numbers."""

    guarantee: Guarantee = Guarantee.NONE
    preemptions: int | None = None
    odds: float | None = None  # of PCT: the least probability that a bug of depth d was found


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
    strategies: tuple[str, ...] | None = None  # names in `search.STRATEGIES`; None: all, in the order they stand there
    parallel_after_s: float = 0.3  # what is over by then is not worth starting processes for
    seed: int = 0
    is_symmetric: bool = True  # run one permutation of identical tasks only
    random_executions: int = 20  # with random switches at any instruction, after a search that found nothing
    on_progress: Callable[[Progress], None] | None = None


class Strategy:
    """Says which executions to make. What most strategies have in common stands here as defaults."""

    label = ""  # what progress calls it
    share_of_budget = 1.0  # how much of the budget may be used up when it stops
    is_sample = False  # its executions stand each for itself, and none is made again
    at_every_instruction = False  # run after the others, on code that may be interrupted at every instruction

    def __init__(self, explorer: Explorer, config: SearchConfig) -> None:
        raise NotImplementedError

    def next_plan(self) -> Plan | None:
        """The execution to make next; None when none is left."""
        raise NotImplementedError

    def note(self, execution: Execution) -> None:
        """That execution was made. `explorer.scheduler` has its trace until the next one."""

    def guarantee(self) -> Vouched:
        """What the executions so far vouch for; asked once, at the end."""
        return Vouched()

    def must_restart(self, has_learnt: bool) -> bool:
        """Whether to make all executions again. By default when the last one showed that more places are shared:
        the earlier ones did not switch there."""
        return has_learnt and not self.is_sample

    def explored_share(self) -> float | None:
        """Estimated share of its executions that have been made, 0 to 1."""
        return None

    def remainder(self) -> Remainder | None:
        """What is left, for several processes to explore; None if it can't be divided."""
        return None


class Ended(Enum):
    """Why the loop came to its end."""

    EXHAUSTED = auto()
    LEARNT = auto()
    STOPPED = auto()
    ENOUGH = auto()


def run_strategy(
    explorer: Explorer, strategy: Strategy, take: Callable[[Execution], bool], stop: Callable[[], Ended | None]
) -> Ended:
    """Make its executions until none is left, `take(execution)` is true, or `stop()` between two of them says why.

    Raises:
        DivergedError: an execution did not follow its plan.
    """
    plan = strategy.next_plan()
    while plan is not None:
        execution = explorer.execute(plan)
        if strategy.must_restart(explorer.learn()):
            return Ended.LEARNT
        if execution.status is Status.DIVERGED:
            raise DivergedError(execution.reason)
        if take(execution):
            return Ended.STOPPED
        strategy.note(execution)
        plan = strategy.next_plan()
        why = stop() if plan is not None else None
        if why is not None:
            return why
    return Ended.EXHAUSTED
