"""What a database must offer so that its transactions can be interleaved; one file each implements it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from whilst.checking.sql.statement import Statement

Connection = Any
"""A DB-API connection: `sqlite3.Connection` or `psycopg.Connection`. The DB-API has no type to name."""

Setup = Sequence[str] | Callable[[Connection], object]
"""Statements, or a function of a connection, that make the starting state."""


class Database(Protocol):
    """A real database, reset before every interleaving.

    A statement that would have to wait must be *known* to wait, by asking: `perform` returns at once or raises an
    error that `is_busy` knows where the database refuses instead of waiting (SQLite), else it blocks in its thread
    and `blockers` says for whom it waits (PostgreSQL).
    """

    name: str
    level: str
    levels: tuple[str, ...]
    """The isolation levels it knows, weakest first."""

    def reset(self) -> None:
        """Back to the starting state."""

    def connect(self, number: int, /) -> Connection:
        """A fresh connection for that transaction, at the isolation level asked for, outside a transaction."""

    def begin(self, connection: Connection) -> None:
        """Begin explicitly where the level needs it; called right before the first statement."""

    def perform(self, cursor: Any, statement: Statement) -> None:
        """Execute on a DB-API cursor."""

    def perform_aside(self, connection: Connection, statement: Statement, act: Callable[[], None], /) -> bool:
        """Perform by `act` what touches no table, at once and with no snapshot left; False if that can't be done."""

    def finish(self, connection: Connection, *, commit: bool) -> None:
        """Commit or roll back."""

    def is_busy(self, error: BaseException, /) -> bool:
        """The database refused to wait: the statement may be tried again once somebody else has gone on."""

    def is_retryable(self, error: BaseException, /) -> bool:
        """The database gave the transaction up and asks to try it again (serialisation failure, deadlock)."""

    def blockers(self, number: int, /) -> tuple[int, ...]:
        """The transactions for which this one's statement is waiting right now; empty if it is not waiting."""

    def waits_in_database(self) -> bool:
        """Whether a blocked statement stays in the database, rather than being refused."""

    def state(self) -> object:
        """Everything the database holds, in a canonical form."""

    def query(self, text: str) -> tuple[object, ...]:
        """Rows of a query on the committed state."""

    def fresh_connection(self) -> Connection:
        """A connection for `outcome` and `invariant` functions, on the committed state."""

    def close(self) -> None:
        """Leave nothing behind: no connection, file, schema."""
