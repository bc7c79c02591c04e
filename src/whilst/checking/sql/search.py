"""Every interleaving of statements, once for each class of equivalent ones.

Depth-first over choices, each interleaving performed afresh on the database (stateless search). Sleep sets
(Godefroid, *Partial-Order Methods for the Verification of Concurrent Systems*, 1996, section 5) leave out those
that differ only in the order of neighbouring statements that commute (`statement.commute`: plain reads). Dynamic
partial order reduction as the engine for Python code does it was rejected here: it needs to know what each statement
touches, and only the database knows that, predicates and indexes included; two writes that look disjoint may lock
the same page.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from whilst.checking.sql.conductor import Cut, Outcome, perform
from whilst.checking.sql.database import Database
from whilst.checking.sql.statement import Run, Statement, commute
from whilst.checking.sql.transaction import Transaction


@dataclass(slots=True)
class Found:
    """What a search came to."""

    runs: int = 0
    is_complete: bool = False
    violations: list[Run] = field(default_factory=list)
    aborts: int = 0
    """Interleavings in which the database gave a transaction up and asked for another try."""
    outcomes: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Node:
    """A point of choice on the current path."""

    enabled: dict[int, Statement]
    asleep: set[int]
    chosen: int = -1


def serial_runs(
    database: Database, transactions: Sequence[Transaction], outcome: Outcome
) -> dict[tuple[int, ...], Run]:
    """Perform every order of every subset, one transaction after the other.

    Subsets, because a transaction that the database gives up is as if it had never run.
    """
    runs: dict[tuple[int, ...], Run] = {}
    for size in range(len(transactions), -1, -1):
        for order in itertools.permutations(range(len(transactions)), size):
            chosen = {number: transactions[number] for number in order}
            if not chosen:
                database.reset()
                runs[()] = Run((), (), (), (), *outcome())
                continue
            runs[order] = perform(database, chosen, _one_after_the_other(order), outcome=outcome)
    return runs


def explore(
    database: Database,
    transactions: Sequence[Transaction],
    outcome: Outcome,
    *,
    accept: Callable[[Run], bool],
    may_go_on: Callable[[int], bool],
) -> Found:
    """Perform every interleaving while `may_go_on(runs so far)`; keep the runs that `accept` refuses.

    The first refused run is an answer. A few more are made, as many again but at most 50, for a clearer one.
    """
    found = Found()
    enough = sys.maxsize
    path: list[_Node] = []
    everybody = dict(enumerate(transactions))
    while may_go_on(found.runs) and found.runs < enough:
        try:
            run = perform(database, everybody, _Follow(path), outcome=outcome)
        except Cut:
            pass
        else:
            found.runs += 1
            found.aborts += any(end.is_retryable for end in run.ends)
            found.outcomes.add(repr(run.outcome))
            if not accept(run):
                found.violations.append(run)
                enough = min(enough, found.runs + min(found.runs, 50))
        if not _backtrack(path):
            found.is_complete = True
            break
    return found


def replay(database: Database, transactions: Sequence[Transaction], choices: Sequence[int], outcome: Outcome) -> Run:
    """Perform exactly that interleaving.

    Raises:
        LookupError: a choice can't be honoured: the transactions or the database have changed.
    """
    left = iter(choices)

    def choose(ready: Mapping[int, Statement]) -> int:
        number = next(left, None)
        if number is None or number not in ready:
            raise LookupError(f"transaction {number} can't go on here; {sorted(ready)} can")
        return number

    return perform(database, dict(enumerate(transactions)), choose, outcome=outcome)


class _Follow:
    """Goes down the path as it stands, then takes the first that is awake, keeping to one as long as it can."""

    def __init__(self, path: list[_Node]) -> None:
        self._path = path
        self._depth = 0

    def __call__(self, ready: Mapping[int, Statement]) -> int:
        path, depth = self._path, self._depth
        self._depth += 1
        if depth == len(path):
            path.append(_Node(dict(ready), self._asleep_below(depth, ready)))
        node = path[depth]
        if node.chosen < 0:
            last = path[depth - 1].chosen if depth else -1
            awake = [number for number in node.enabled if number not in node.asleep]
            if not awake:
                raise Cut
            node.chosen = last if last in awake else awake[0]
        return node.chosen

    def _asleep_below(self, depth: int, ready: Mapping[int, Statement]) -> set[int]:
        if not depth:
            return set()
        above = self._path[depth - 1]
        performed = above.enabled[above.chosen]
        return {
            number
            for number in above.asleep
            if number != above.chosen and number in ready and commute(above.enabled[number], performed)
        }


def _backtrack(path: list[_Node]) -> bool:
    """Move on to the next interleaving; False when there is none."""
    while path:
        node = path[-1]
        if node.chosen >= 0:
            node.asleep.add(node.chosen)
        if any(number not in node.asleep for number in node.enabled):
            node.chosen = -1
            return True
        path.pop()
    return False


def _one_after_the_other(order: Sequence[int]) -> Callable[[Mapping[int, Statement]], int]:
    def choose(ready: Mapping[int, Statement]) -> int:
        return next(number for number in order if number in ready)

    return choose


def within(budget: float) -> Callable[[int], bool]:
    """A budget in seconds (a float), or in interleavings (an int)."""
    if isinstance(budget, int) and not isinstance(budget, bool):
        return lambda runs: runs < budget
    deadline = time.monotonic() + budget
    return lambda _runs: time.monotonic() < deadline
