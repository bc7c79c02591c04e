"""PostgreSQL: every check works in a schema of its own, which it drops at the end.

A statement that has to wait blocks in its thread; that it waits, and for whom, is asked of `pg_blocking_pids`
through a connection of the checker's own, so nothing is slept for. What another transaction could see is asked the
same way.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable
from typing import Any, Final

from whilst.checking.sql.database import Setup
from whilst.checking.sql.statement import Statement, is_silent
from whilst.errors import CheckError, MissingExtraError

LEVELS: Final = ("READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
_RETRYABLE: Final = {"40001", "40P01"}  # serialization_failure, deadlock_detected


class PostgreSQL:
    """See `whilst.checking.sql.database.Database`."""

    name: str = "PostgreSQL"
    levels: tuple[str, ...] = LEVELS

    def __init__(self, setup: Setup, url: str, level: str | None) -> None:
        try:
            import psycopg
        except ImportError as error:
            raise MissingExtraError(
                "Checking PostgreSQL needs psycopg; install it with: pip install 'whilst[postgres]'"
            ) from error
        self._psycopg = psycopg
        self.level = (level or "READ COMMITTED").upper()
        if self.level not in LEVELS:
            raise CheckError(f"PostgreSQL has no isolation level {level!r}; it has {', '.join(LEVELS)}.")
        self._setup = setup
        self._url = url
        self._schema = f"whilst_{uuid.uuid4().hex[:12]}"
        self._pids: dict[int, int] = {}
        try:
            self._own = psycopg.connect(url, autocommit=True)
        except psycopg.OperationalError as error:
            raise CheckError(f"PostgreSQL can't be reached at {_without_password(url)}: {error}") from error
        self._reader = psycopg.connect(url, autocommit=True, options=self._options())
        self._spares: list[Any] = []

    def _options(self) -> str:
        return f"-c search_path={self._schema} -c client_min_messages=warning"

    def reset(self) -> None:
        with self._own.cursor() as cursor:
            cursor.execute(
                f"SET client_min_messages = warning; DROP SCHEMA IF EXISTS {self._schema} CASCADE; "
                f"CREATE SCHEMA {self._schema}; SET search_path = {self._schema}"
            )
        if callable(self._setup):
            with self._psycopg.connect(self._url, options=self._options()) as connection:
                self._setup(connection)
        else:
            with self._own.cursor() as cursor:
                for text in self._setup:
                    cursor.execute(text)
        # Statistics decide between index and table scans, and so which predicate locks SERIALIZABLE takes:
        # without this the answer would depend on when autovacuum came by.
        for name in self._tables():
            self._own.execute(
                self._psycopg.sql.SQL("ANALYZE {}").format(self._psycopg.sql.Identifier(self._schema, name))
            )

    def connect(self, number: int) -> Any:
        connection = self._spares.pop() if self._spares else self._new()
        connection.isolation_level = getattr(self._psycopg.IsolationLevel, self.level.replace(" ", "_"))
        self._pids[number] = connection.info.backend_pid
        return connection

    def _new(self) -> Any:
        connection = self._psycopg.connect(self._url, options=self._options())
        with contextlib.suppress(self._psycopg.Error):
            # Only a superuser may; without it a deadlock takes the server's deadlock_timeout, 1 s, to be seen.
            connection.execute("SET deadlock_timeout = '20ms'")
        connection.commit()
        # Prepared statements would be kept across a schema that is dropped and made again.
        connection.prepare_threshold = None
        return connection

    def release(self, connection: Any) -> None:
        """Take a connection back for the next interleaving: opening one costs milliseconds."""
        if connection.closed or connection.broken:
            return
        connection.rollback()
        # What a transaction may have set.
        connection.autocommit = False
        connection.row_factory = self._psycopg.rows.tuple_row
        self._spares.append(connection)

    def begin(self, connection: Any) -> None:
        """Nothing: psycopg begins before the first statement, at the connection's level."""

    def perform(self, cursor: Any, statement: Statement) -> None:
        execute = cursor.executemany if statement.many else cursor.execute
        execute(statement.text, statement.parameters)

    def perform_aside(self, connection: Any, statement: Statement, act: Callable[[], None]) -> bool:
        is_idle = connection.info.transaction_status == self._psycopg.pq.TransactionStatus.IDLE
        if not is_silent(statement) or not (is_idle or self.level.startswith("READ")):
            return False
        act()
        if is_idle:  # its snapshot would be that of the whole transaction
            connection.rollback()
        return True

    def finish(self, connection: Any, *, commit: bool) -> None:
        if commit:
            connection.commit()
        else:
            connection.rollback()

    def is_busy(self, _error: BaseException) -> bool:
        return False

    def is_retryable(self, error: BaseException) -> bool:
        inner: BaseException | None = error  # what an ORM raises has the driver's error for its cause
        while inner is not None and not getattr(inner, "sqlstate", None):
            inner = inner.__cause__
        return getattr(inner, "sqlstate", None) in _RETRYABLE

    def blockers(self, number: int) -> tuple[int, ...]:
        row = self._reader.execute("SELECT pg_blocking_pids(%s)", (self._pids[number],)).fetchone()
        blocking = set(row[0]) if row else set()
        return tuple(other for other, pid in self._pids.items() if pid in blocking)

    def waits_in_database(self) -> bool:
        return True

    def state(self) -> object:
        return tuple((name, tuple(sorted(self._rows_of(name), key=repr))) for name in self._tables())

    def _tables(self) -> list[str]:
        query = "SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY tablename"
        return [name for (name,) in self._reader.execute(query, (self._schema,)).fetchall()]

    def _rows_of(self, name: str) -> list[Any]:
        query = self._psycopg.sql.SQL("SELECT * FROM {}").format(self._psycopg.sql.Identifier(self._schema, name))
        rows: list[Any] = self._reader.execute(query).fetchall()
        return rows

    def query(self, text: str) -> tuple[object, ...]:
        return tuple(self._reader.execute(text).fetchall())

    def fresh_connection(self) -> Any:
        return self._psycopg.connect(self._url, options=self._options())

    def close(self) -> None:
        for connection in (*self._spares, self._reader):
            connection.close()
        self._spares.clear()
        with contextlib.suppress(self._psycopg.Error):
            self._own.execute(f"DROP SCHEMA IF EXISTS {self._schema} CASCADE")
        self._own.close()


def _without_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    scheme, slashes, user = head.partition("://")
    return f"{scheme}{slashes}{user.split(':')[0]}{at}{tail}" if at else url
