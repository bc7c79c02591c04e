"""`check_sql`: are these transactions isolated, on this database, at this level?"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whilst.checking.sql.anomaly import Anomaly, name_anomaly
from whilst.checking.sql.database import Connection, Database, Setup
from whilst.checking.sql.postgres import PostgreSQL
from whilst.checking.sql.search import Found, explore, replay, serial_runs, within
from whilst.checking.sql.sqlite import SQLite
from whilst.checking.sql.statement import Committed, Run, Step, is_control, is_read, tables_of
from whilst.checking.sql.transaction import Transaction
from whilst.errors import CheckError, ReplayError
from whilst.model.verdict import Answer, Counterexample, Ending, Moment, Verdict

Question = str | Callable[[Connection], object]
"""A query, or a function of a DB-API connection."""


def check_sql(
    setup: Setup,
    transactions: Sequence[Transaction],
    url: str = "sqlite:",
    isolation_level: str | None = None,
    *,
    outcome: Question | None = None,
    invariant: Question | None = None,
    raises: type[BaseException] | Sequence[type[BaseException]] = (),
    budget: float = 60.0,
    token: str | None = None,
) -> Verdict:
    """Perform transactions in every interleaving of their statements, on a real database.

    They are isolated if every interleaving's outcome (what each transaction saw, and what the database holds at
    the end) is that of some order of them one after the other. A transaction that the database gives up
    (serialisation failure, deadlock, "database is locked") counts as one that never ran, since its program will
    try it again.

    Args:
        setup: statements, or a function of a connection, that make the starting state.
        transactions: each a list of statements, committed at the end, or a function of a DB-API connection.
            A function must be deterministic, and is called once for each interleaving.
        url: "sqlite:" for a file in a temporary folder, or "postgresql://…"; there, everything happens in a
            schema of its own that is dropped at the end.
        isolation_level: by name; the database's (for SQLite, the sqlite3 module's) default if None.
        outcome: a query or function whose answer is compared instead of the whole database.
        invariant: a query or function that must be true at the end of every interleaving.
        raises: exceptions that functions are meant to raise. What one raises in every order and is not named here is
            taken for a slip: then there is no proof.
        budget: seconds (a float), or interleavings (an int); where it ends, the verdict says so.
        token: `Verdict.token` of an earlier check: perform exactly that interleaving.
    Raises:
        CheckError: an unknown level or URL, a database out of reach, statements that fail in every order.
        MissingExtraError: PostgreSQL without psycopg.
        ReplayError: the token does not fit these transactions.
    """
    if isinstance(setup, str):
        raise CheckError(f"setup is the string {setup!r}; pass a list of statements, or a function of a connection.")
    if len(transactions) < 1:
        raise CheckError("There are no transactions to check; pass at least one.")
    for number, transaction in enumerate(transactions):
        if isinstance(transaction, str):
            raise CheckError(
                f"Transaction {number + 1} is the string {transaction!r}; pass a list of statements, or a function."
            )
        if not callable(transaction) and not all(isinstance(statement, str) for statement in transaction):
            raise CheckError(f"Transaction {number + 1} holds something that is no statement: {transaction!r}")
    started = time.monotonic()
    database = _open(url, setup, isolation_level)
    try:
        meant = (raises,) if isinstance(raises, type) else tuple(raises)
        checker = _Checker(database, transactions, _Left(database, outcome, invariant), meant)
        if token is not None:
            return checker.verdict_of(_replayed(checker, token), started)
        return checker.verdict(budget, started)
    finally:
        database.close()


def _open(url: str, setup: Setup, level: str | None) -> Database:
    scheme = url.partition(":")[0].lower()
    if scheme == "sqlite":
        if url.rstrip("/") not in ("sqlite", "sqlite:"):
            raise CheckError(
                f"{url!r} names a file, but a check makes its own; pass 'sqlite:' and make the tables in setup."
            )
        return SQLite(setup, level)
    if scheme in ("postgresql", "postgres"):
        return PostgreSQL(setup, url, level)
    raise CheckError(f"No database is known for {url!r}; pass 'sqlite:' or 'postgresql://user@host/name'.")


@dataclass(slots=True)
class _Left:
    """What an interleaving left behind, as far as the user cares, and whether it keeps the invariant."""

    database: Database
    outcome: Question | None
    invariant: Question | None

    def __call__(self) -> tuple[object, bool]:
        state = self.database.state() if self.outcome is None else self._ask(self.outcome)
        return state, self.invariant is None or _holds(self._ask(self.invariant))

    def _ask(self, question: Question) -> object:
        if isinstance(question, str):
            return self.database.query(question)
        connection = self.database.fresh_connection()
        try:
            return question(connection)
        finally:
            connection.close()


def _holds(answer: object) -> bool:
    """A query holds if it gives a row whose first column is true."""
    if isinstance(answer, tuple):
        return bool(answer) and bool(answer[0][0] if isinstance(answer[0], Sequence) else answer[0])
    return bool(answer)


class _Checker:
    def __init__(
        self,
        database: Database,
        transactions: Sequence[Transaction],
        left: _Left,
        raises: tuple[type[BaseException], ...] = (),
    ) -> None:
        self.database = database
        self.transactions = transactions
        self.left = left
        self.names = tuple(_name_of(number, each) for number, each in enumerate(transactions))
        self.serial = serial_runs(database, transactions, left)
        self._allowed = {repr(run.outcome) for run in self.serial.values()}
        self._slips = [slip for number in range(len(transactions)) if (slip := self._slip(number, raises))]

    def _slip(self, number: int, raises: tuple[type[BaseException], ...]) -> str:
        """How it fails in every order of all transactions, if it does, and nobody said that it is meant to."""
        whole = [run for order, run in self.serial.items() if len(order) == len(self.transactions)]
        ends = [run.ends[number] for run in whole]
        if not all(end.error for end in ends):
            return ""
        said = f"{self.names[number]} fails in every order of the transactions: {ends[0].error}"
        if not callable(self.transactions[number]):  # a function may raise on purpose, to see what is rolled back
            raise CheckError(said)
        kind = ends[0].error_type
        if kind is None or issubclass(kind, raises):
            return ""
        return f"{said}: mend it, or say that it is meant to, with raises={kind.__name__}"

    def accepts(self, run: Run) -> bool:
        return repr(run.outcome) in self._allowed and run.keeps_invariant

    def verdict(self, budget: float, started: float) -> Verdict:
        if not all(run.keeps_invariant for run in self.serial.values()):
            order = next(order for order, run in self.serial.items() if not run.keeps_invariant)
            names = " → ".join(self.names[number] for number in order) or "the setup alone"
            raise CheckError(f"The invariant does not even hold one after the other ({names}); is it what you meant?")
        found = explore(self.database, self.transactions, self.left, accept=self.accepts, may_go_on=within(budget))
        if found.violations:
            # The clearest is the one with the fewest switches; among those, the first that was found.
            return self.verdict_of(min(found.violations, key=lambda run: run.switches), started, found)
        reason = "" if found.is_complete else f"The budget of {budget:g} ended the search; give it more."
        if self._slips:
            reason = f"not proved: {'; '.join(self._slips)}"
        answer = Answer.INCONCLUSIVE if reason else Answer.ISOLATED
        return Verdict(
            answer=answer,
            tasks=self.names,
            executions=found.runs,
            guarantee=self._guarantee(found),
            elapsed_s=time.monotonic() - started,
            reason=reason,
            assumed=self._assumed(found),
            sequential=self._endings(),
        )

    def verdict_of(self, run: Run, started: float, found: Found | None = None) -> Verdict:
        if self.accepts(run):
            answer = Answer.ISOLATED
        else:
            answer = Answer.NOT_ISOLATED if repr(run.outcome) not in self._allowed else Answer.BREAKS_INVARIANT
        return Verdict(
            answer=answer,
            tasks=self.names,
            executions=found.runs if found else 1,
            guarantee=self._guarantee(found) if found else "exactly the interleaving of the token",
            elapsed_s=time.monotonic() - started,
            assumed=self._assumed(found),
            sequential=self._endings(),
            counterexample=None if answer is Answer.ISOLATED else self._counterexample(run, answer, found),
            token="-".join(str(number + 1) for number in run.choices),
        )

    def _guarantee(self, found: Found) -> str:
        level = f"{self.database.name}, {self.database.level}"
        if found.is_complete:
            return f"every interleaving of the statements, up to the order of neighbouring reads ({level})"
        return f"some interleavings of the statements ({level})"

    def _assumed(self, found: Found | None) -> tuple[str, ...]:
        said = ["between two statements of a transaction nothing is shared but the database"]
        if found and found.aborts:
            said.append(
                f"a transaction that the database gives up is tried again (it gave one up in {found.aborts} of "
                f"{found.runs} interleavings)"
            )
        return tuple(said)

    def _endings(self) -> tuple[Ending, ...]:
        whole = [order for order in self.serial if len(order) == len(self.transactions)]
        endings: dict[str, Ending] = {}
        for order in whole:
            ending = self._ending(self.serial[order], tuple(self.names[number] for number in order))
            endings.setdefault(repr(self.serial[order].outcome), ending)
        return tuple(endings.values())

    def _ending(self, run: Run, order: tuple[str, ...] = ()) -> Ending:
        facts = {f"{self.names[number]} came to": _told(end) for number, end in enumerate(run.ends)}
        if self.left.outcome is None and isinstance(run.state, tuple):
            facts.update({name: _rows_text(rows) for name, rows in run.state})
        else:
            facts["outcome"] = repr(run.state)
        if self.left.invariant is not None:
            facts["invariant"] = "holds" if run.keeps_invariant else "broken"
        return Ending(facts, order)

    def _counterexample(self, run: Run, answer: Answer, found: Found | None) -> Counterexample:
        anomaly = name_anomaly(run, self.database)
        fails = self._fails_here_alone(run)
        if fails and not anomaly.steps:
            anomaly = Anomaly("failure", fails, ())
        if answer is Answer.BREAKS_INVARIANT:
            anomaly = Anomaly("broken invariant", f"The invariant is broken. {anomaly.sentence}", anomaly.steps)
        return Counterexample(
            tasks=self.names,
            moments=_moments(run, anomaly),
            pattern=anomaly.pattern,
            sentence=anomaly.sentence,
            reached=self._ending(run),
            sequential=self._endings(),
            switches=run.switches,
            is_shortest=bool(found and found.is_complete),
        )

    def _fails_here_alone(self, run: Run) -> str:
        """Which transaction fails in this interleaving, as it does in no order of them."""
        whole = [serial for order, serial in self.serial.items() if len(order) == len(self.transactions)]
        for number, end in enumerate(run.ends):
            known = {serial.ends[number].error for serial in whole}
            if end.error and not end.is_retryable and end.error not in known:
                return f"{self.names[number]} fails as in no order of them one after the other: {end.error}"
        return ""


def _replayed(checker: _Checker, token: str) -> Run:
    try:
        choices = [int(word) - 1 for word in token.split("-")]
    except ValueError:
        raise ReplayError(f"{token!r} is no token of check_sql: it looks like '1-2-2-1'.") from None
    try:
        return replay(checker.database, checker.transactions, choices, checker.left)
    except LookupError as error:
        raise ReplayError(f"The token {token!r} does not fit any more: {error}.") from error


def _moments(run: Run, anomaly: Anomaly) -> tuple[Moment, ...]:
    moments = []
    for at, step in enumerate(run.steps):
        others = tuple(each for each in anomaly.steps if run.steps[each].transaction != step.transaction)
        moments.append(
            Moment(
                task=step.transaction,
                action=_action(step),
                target=", ".join(sorted(tables_of(step.statement))),
                value=_answer(step),
                file="",
                line=0,
                function="",
                source=str(step.statement),
                statement=str(step.statement),
                conflicts=others if at in anomaly.steps else (),
                is_switch=at > 0 and run.steps[at - 1].transaction != step.transaction,
                did_succeed=not step.error,
            )
        )
    return tuple(moments)


def _action(step: Step) -> str:
    if is_control(step.statement):
        return step.statement.verb.lower()
    return "read" if is_read(step.statement) else "write"


def _answer(step: Step) -> str | None:
    if step.error:
        return step.error
    waited = ""
    if step.blocked_by:
        waited = f"(waited for {', '.join(f'transaction {each + 1}' for each in step.blocked_by)}) "
    if step.rows is not None:
        return waited + _rows_text(step.rows)
    return waited.strip() or None


def _told(end: Committed) -> str:
    if end.is_retryable:
        return f"given up by the database: {end.error}" if end.error else "not run"
    if end.error:
        return f"raised {end.error}"
    return "committed" if end.value is None or end.value == () else _value_text(end.value)


def _value_text(value: Any) -> str:
    if isinstance(value, tuple) and all(isinstance(rows, tuple) for rows in value):
        return "; ".join(_rows_text(rows) for rows in value)
    return repr(value)


def _rows_text(rows: Sequence[object], most: int = 8) -> str:
    shown = [_row_text(row) for row in rows[:most]]
    more = f" … {len(rows) - most} more" if len(rows) > most else ""
    return (" ".join(shown) if shown else "(no rows)") + more


def _row_text(row: object) -> str:
    if isinstance(row, tuple):
        return repr(row[0]) if len(row) == 1 else f"({', '.join(map(repr, row))})"
    return repr(dict(row)) if isinstance(row, Mapping) else repr(row)


def _name_of(number: int, transaction: Transaction) -> str:
    name = getattr(transaction, "__name__", "")
    return f"transaction {number + 1}" + (f" ({name})" if name and name != "<lambda>" else "")
