"""SQLite in a file of a temporary folder: every interleaving begins with a copy of the same file.

SQLite refuses rather than waits: with a busy time-out of 0 a statement that would have to wait raises at once, so
that nothing has to be slept for. The statement counts as waiting and is tried again when others have gone on; where
nobody can go on any more, one of the refused is told so, as SQLite does when its time-out has passed.

Levels: what `sqlite3` does by default (it begins by itself, before a statement that writes, and never before a
SELECT: the level that most Python programs run at, often without knowing), `AUTOCOMMIT`, and an explicit
`BEGIN DEFERRED`, `IMMEDIATE` or `EXCLUSIVE`, each with the rollback journal or, after " WAL", the write-ahead log;
and `READ UNCOMMITTED` with a shared cache, where dirty reads can be seen.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from whilst.checking.sql.database import Setup
from whilst.checking.sql.statement import Statement
from whilst.errors import CheckError

PYTHON_DEFAULT: Final = "PYTHON DEFAULT"
LEVELS: Final = ("READ UNCOMMITTED", PYTHON_DEFAULT, "AUTOCOMMIT", "DEFERRED", "IMMEDIATE", "EXCLUSIVE")
_BUSY: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_LOCKED_SHAREDCACHE}


class SQLite:
    """See `whilst.checking.sql.database.Database`."""

    name: str = "SQLite"
    levels: tuple[str, ...] = tuple(f"{level}{log}" for level in LEVELS for log in ("", " WAL"))

    def __init__(self, setup: Setup, level: str | None) -> None:
        wanted = (level or PYTHON_DEFAULT).upper().removeprefix("BEGIN ").strip()
        if wanted not in self.levels:
            raise CheckError(f"SQLite has no isolation level {level!r}; it has {', '.join(self.levels)}.")
        self._is_wal = wanted.endswith(" WAL")
        self.level = wanted.removesuffix(" WAL")
        self._folder = Path(tempfile.mkdtemp(prefix="whilst-sqlite-"))
        self._start = self._folder / "start.db"
        self._path = self._folder / "check.db"
        self._anchor: sqlite3.Connection | None = None
        try:
            self._make_start(setup)
        except BaseException:
            self.close()
            raise

    def _make_start(self, setup: Setup) -> None:
        connection = sqlite3.connect(self._start)
        try:
            if self._is_wal:
                connection.execute("PRAGMA journal_mode=WAL")
            # A check's file need not survive a power cut, and waiting for the disk is most of its time.
            connection.execute("PRAGMA synchronous=OFF")
            if callable(setup):
                setup(connection)
            else:
                for text in setup:
                    connection.execute(text)
            connection.commit()
        finally:
            connection.close()

    def reset(self) -> None:
        self._drop_anchor()
        for path in self._folder.glob("check.db*"):
            path.unlink()
        shutil.copyfile(self._start, self._path)
        if self.level == "READ UNCOMMITTED":
            # A shared cache lives as long as one connection to it does.
            self._anchor = self._open()

    def connect(self, _number: int) -> sqlite3.Connection:
        return self._open()

    def _open(self) -> sqlite3.Connection:
        shared = "?cache=shared" if self.level == "READ UNCOMMITTED" else ""
        legacy = self.level == PYTHON_DEFAULT
        connection = sqlite3.connect(
            f"{self._path.as_uri()}{shared}",
            uri=True,
            timeout=0,
            check_same_thread=False,
            isolation_level="DEFERRED" if legacy else None,
        )
        connection.execute("PRAGMA synchronous=OFF")
        if shared:
            connection.execute("PRAGMA read_uncommitted=1")
        return connection

    def begin(self, connection: sqlite3.Connection) -> None:
        if self.level in ("DEFERRED", "IMMEDIATE", "EXCLUSIVE"):
            connection.execute(f"BEGIN {self.level}")
        elif self.level == "READ UNCOMMITTED":
            connection.execute("BEGIN")

    def perform(self, cursor: Any, statement: Statement) -> None:
        execute = cursor.executemany if statement.many else cursor.execute
        if statement.parameters is None:
            execute(statement.text)
        else:
            execute(statement.text, statement.parameters)

    def perform_aside(self, _connection: sqlite3.Connection, _statement: Statement, _act: Callable[[], None]) -> bool:
        return False

    def finish(self, connection: sqlite3.Connection, *, commit: bool) -> None:
        if connection.in_transaction:
            # By statement: in autocommit mode commit() does nothing before Python 3.12.
            connection.execute("COMMIT" if commit else "ROLLBACK")

    def is_busy(self, error: BaseException) -> bool:
        if not isinstance(error, sqlite3.OperationalError):
            return False
        code = error.sqlite_errorcode
        # A stale snapshot stays stale: waiting can't help, so SQLITE_BUSY_SNAPSHOT is an answer, not a wait.
        return code in _BUSY or (code & 0xFF in _BUSY and code != sqlite3.SQLITE_BUSY_SNAPSHOT)

    def is_retryable(self, error: BaseException) -> bool:
        inner: BaseException | None = error  # what an ORM raises has the driver's error for its cause
        while inner is not None and not isinstance(inner, sqlite3.Error):
            inner = inner.__cause__
        if not isinstance(inner, sqlite3.OperationalError):
            return False
        return inner.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

    def blockers(self, _number: int) -> tuple[int, ...]:
        return ()

    def waits_in_database(self) -> bool:
        return False

    def state(self) -> object:
        connection = sqlite3.connect(self._path)
        try:
            names = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
            ).fetchall()
            return tuple(
                (name, tuple(sorted(connection.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr)))  # noqa: S608 - a name that the database itself gave
                for (name,) in names
            )
        finally:
            connection.close()

    def query(self, text: str) -> tuple[object, ...]:
        connection = sqlite3.connect(self._path)
        try:
            return tuple(connection.execute(text).fetchall())
        finally:
            connection.close()

    def fresh_connection(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path)

    def close(self) -> None:
        self._drop_anchor()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _drop_anchor(self) -> None:
        if self._anchor is not None:
            self._anchor.close()
            self._anchor = None
