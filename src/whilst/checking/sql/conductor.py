"""Performs one interleaving of transactions on a real database: a list of choices in, a `Run` out.

A choice is the transaction that performs its next statement. Where everybody who is left was refused by a database
that does not wait (SQLite), a choice is the one whose time-out passes first. Nothing is slept for: a statement has
ended, or the database says for whom it waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from whilst.checking.sql.database import Database
from whilst.checking.sql.statement import Committed, Run, Statement, Step
from whilst.checking.sql.transaction import Transaction, TransactionThread
from whilst.errors import CheckError

_ASK_AGAIN_S: Final = 0.0005
"""How long a statement may run before the database is asked whether it waits."""
_DEADLOCK_S: Final = 20.0
"""How long the database may take to notice that everybody waits for somebody."""
_MOST_STEPS: Final = 10_000

Outcome = Callable[[], tuple[object, bool]]
"""What an interleaving left behind, and whether it keeps the invariant."""

Choose = Callable[[Mapping[int, Statement]], int]
"""Given who can go on, with the statement that each would perform, say who does; may raise `Cut`."""


class Cut(Exception):  # noqa: N818 - not an error: the search asks to drop the rest of an interleaving
    """The rest of this interleaving is not wanted."""


@dataclass(slots=True)
class _Waiting:
    """A statement on its way: the step it will be, and for whom it waits in the database."""

    at: int
    blockers: tuple[int, ...]


def perform(
    database: Database,
    transactions: Mapping[int, Transaction],
    choose: Choose,
    *,
    outcome: Callable[[], tuple[object, bool]],
) -> Run:
    """Reset the database and run the transactions (by their number) in the order that `choose` decides."""
    database.reset()
    stage = _Stage(database, transactions)
    try:
        stage.play(choose)
        return stage.run(*outcome())
    finally:
        stage.clear()


class _Stage:
    def __init__(self, database: Database, transactions: Mapping[int, Transaction]) -> None:
        self._database = database
        self._size = max(transactions) + 1
        self._choices: list[int] = []
        self._enabled: list[dict[int, Statement]] = []
        self._steps: list[Step] = []
        self._waiting: dict[int, _Waiting] = {}
        self._refused: set[int] = set()
        self._threads: dict[int, TransactionThread] = {}
        try:
            for number, transaction in transactions.items():
                self._threads[number] = TransactionThread(number, transaction, database)
        except BaseException:
            self.clear()
            raise

    def play(self, choose: Choose) -> None:
        while len(self._choices) < _MOST_STEPS:
            ready = self._ready()
            if not ready and self._waiting:
                self._wait_for_anybody()
                continue
            timed_out = not ready
            if timed_out:
                ready = {number: self._pending(number) for number in sorted(self._refused)}
            if not ready:
                return
            number = choose(ready)
            self._choices.append(number)
            self._enabled.append(ready)
            self._advance(number, is_time_out=timed_out)
        raise CheckError(f"An interleaving took more than {_MOST_STEPS} statements; does a transaction ever end?")

    def run(self, state: object, keeps_invariant: bool) -> Run:
        absent = Committed(False, is_retryable=True)
        ends = [absent] * self._size
        for number, thread in self._threads.items():
            ends[number] = thread.end or absent
        return Run(tuple(self._choices), tuple(self._enabled), tuple(self._steps), tuple(ends), state, keeps_invariant)

    def clear(self) -> None:
        # Those that wait inside the database are let go by the rollback of the others, so they come last.
        for number in sorted(self._threads, key=lambda each: each in self._waiting):
            self._threads[number].abandon()

    def _pending(self, number: int) -> Statement:
        statement = self._threads[number].pending
        assert statement is not None
        return statement

    def _ready(self) -> dict[int, Statement]:
        return {
            number: thread.pending
            for number, thread in self._threads.items()
            if thread.pending is not None and number not in self._waiting and number not in self._refused
        }

    def _advance(self, number: int, *, is_time_out: bool) -> None:
        thread = self._threads[number]
        statement = self._pending(number)
        at = len(self._steps)
        if is_time_out:
            thread.give_up_waiting()
            self._refused.discard(number)
            self._steps.append(thread.steps[-1])
            self._others_moved()
            return
        self._steps.append(Step(number, statement))
        thread.go()
        blockers = self._until_still(thread)
        if blockers:
            self._waiting[number] = _Waiting(at, blockers)
            self._steps[at] = Step(number, statement, blocked_by=blockers)
        elif thread.is_refused:
            self._refused.add(number)
            self._steps[at] = Step(number, statement, error="has to wait: the database is locked")
        else:
            self._steps[at] = thread.steps[-1]
            self._others_moved()
        self._collect()

    def _until_still(self, thread: TransactionThread) -> tuple[int, ...]:
        """Wait until the thread stands still again, or the database says for whom its statement waits."""
        waits = self._database.waits_in_database()
        while not thread.has_arrived(_ASK_AGAIN_S if waits else 3600.0):
            blockers = self._database.blockers(thread.number)
            if blockers and not thread.has_arrived(0):
                return blockers
            if blockers:
                return ()
        return ()

    def _collect(self) -> None:
        """Take in those who waited and no longer do."""
        for number in list(self._waiting):
            blockers = self._until_still(self._threads[number])
            if blockers:
                self._waiting[number].blockers = blockers
            else:
                self._arrived(number)

    def _arrived(self, number: int) -> None:
        waited = self._waiting.pop(number)
        thread = self._threads[number]
        begun = self._steps[waited.at]
        self._steps[waited.at] = replace(
            thread.steps[-1], blocked_by=begun.blocked_by, ended_after=len(self._steps) - 1
        )
        self._others_moved()

    def _others_moved(self) -> None:
        """Somebody went on, so what was refused to the others may be granted now."""
        self._refused.clear()

    def _wait_for_anybody(self) -> None:
        """Everybody waits inside the database: it will notice, and refuse one of them."""
        deadline = time.monotonic() + _DEADLOCK_S
        while time.monotonic() < deadline:
            for number in list(self._waiting):
                if self._threads[number].has_arrived(0.001):
                    self._arrived(number)
                    self._collect()
                    return
        names = ", ".join(str(number + 1) for number in self._waiting)
        raise CheckError(
            f"Transactions {names} wait inside the database and it does nothing about it for {_DEADLOCK_S:g} s; "
            f"does one of them wait for a lock that was taken outside the check?"
        )
