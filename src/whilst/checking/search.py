"""Which executions to run: one entry for every strategy, one report.

    report = search(explorer, SearchConfig(budget_s=60), on_execution)

`on_execution(execution) -> bool` is called for each complete execution, in order; True stops the search (the
first counterexample is enough). Without a stop the report says what guarantee was reached.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from whilst.checking.engine import Execution, Explorer

__all__ = ["Guarantee", "Progress", "SearchConfig", "SearchReport", "search"]


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


def search(
    explorer: Explorer, config: SearchConfig, on_execution: Callable[[Execution], bool]
) -> SearchReport:
    """Search as far as the budget goes: optimal DPOR, then preemption bounds, then PCT, then the audit."""
    raise NotImplementedError
