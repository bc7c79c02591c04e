"""One transaction in a thread of its own, stopped before every statement until it is told to go on.

The transaction sees a DB-API connection that behaves as the real one, save that each statement, `commit` and
`rollback` is announced first. Exactly one thread runs at any moment (the conductor's, or the one transaction that
was told to go on, or one blocked inside the database), so the order of statements is the order of `advance` calls.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Self

from whilst.checking.sql.database import Connection, Database
from whilst.checking.sql.statement import Committed, Statement, Step, is_read

Transaction = Sequence[str] | Callable[[Connection], object]
"""Statements in order, or a function of a DB-API connection; committed at the end unless it raises."""

_COMMIT: Final = Statement("COMMIT")
_ROLLBACK: Final = Statement("ROLLBACK")
_RELEASE: Final = Statement("RELEASE SAVEPOINT")
_ROLLBACK_TO: Final = Statement("ROLLBACK TO SAVEPOINT")


class _Abandoned(BaseException):
    """Unwinds a transaction whose interleaving is given up; no handler of the user's may stop it."""


class TransactionThread:
    """Runs one transaction step by step.

    After construction and after each `advance` that returns True, `pending` is the statement that it would perform
    next, or None when it has ended (`end` says how).
    """

    def __init__(self, number: int, transaction: Transaction, database: Database) -> None:
        self.number = number
        self.pending: Statement | None = None
        self.end: Committed | None = None
        self.steps: list[Step] = []
        self.has_begun = False
        self._transaction = transaction
        self._database = database
        self._connection = database.connect(number)
        self._may_go = threading.Semaphore(0)
        self._has_stopped = threading.Semaphore(0)
        self._is_abandoned = False
        self.is_refused = False
        """The last step was refused by a database that does not wait; `advance` tries it again."""
        self._thread = threading.Thread(target=self._run, name=f"whilst transaction {number + 1}", daemon=True)
        self._thread.start()
        self._has_stopped.acquire()

    # -- the conductor's side

    def go(self) -> None:
        """Let it perform its pending statement; `has_arrived` tells when it is done."""
        self._may_go.release()

    def has_arrived(self, timeout_s: float) -> bool:
        """Whether it stands before its next statement, has ended, or was refused; waits that long for it."""
        return self._has_stopped.acquire(timeout=timeout_s)

    def give_up_waiting(self) -> None:
        """Deliver the refusal to the transaction, as a database does whose time-out has passed."""
        self.is_refused = False
        self._refusal_is_final = True
        self._may_go.release()
        self._has_stopped.acquire()

    def abandon(self) -> None:
        """Unwind it wherever it stands, roll back, and wait for its thread to end."""
        self._is_abandoned = True
        self._may_go.release()
        self._thread.join()
        release = getattr(self._database, "release", None)
        if release is not None:
            release(self._connection)
        else:
            self._connection.close()

    # -- the transaction's side, in its thread

    _refusal_is_final = False

    def _run(self) -> None:
        value: object = None
        error: BaseException | None = None
        try:
            try:
                value = self._perform()
            except Exception as raised:
                error = raised
            self._settle(value, error)
        except _Abandoned:
            self._roll_back_quietly()
        finally:
            self.pending = None
            self._has_stopped.release()

    def _perform(self) -> object:
        proxy = ConnectionProxy(self)
        if callable(self._transaction):
            return self._transaction(proxy)
        seen = []
        for text in self._transaction:
            words = text.upper().rstrip("; \n").split()
            if words[:1] in (["COMMIT"], ["END"]):
                proxy.commit()
            elif words[:1] in (["ROLLBACK"], ["ABORT"]) and "TO" not in words:
                proxy.rollback()
            elif words[:1] not in (["BEGIN"], ["START"]):
                cursor = proxy.execute(text)
                if cursor.description is not None:
                    seen.append(tuple(cursor.fetchall()))
        return tuple(seen)

    def _settle(self, value: object, error: BaseException | None) -> None:
        if error is None and self.has_begun and self._holds_transaction():
            try:
                self.announce(_COMMIT, lambda: self._database.finish(self._connection, commit=True))
            except Exception as refused:
                error = refused
        if error is None:
            self.end = Committed(True, value)
            return
        self._roll_back_quietly()
        text = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
        self.end = Committed(False, None, text, self._database.is_retryable(error), type(error))

    def _roll_back_quietly(self) -> None:
        try:
            self._database.finish(self._connection, commit=False)
        except Exception:  # the connection may be broken; the rollback is then the server's
            return

    def announce(self, statement: Statement, act: Callable[[], Any], cursor: Any = None) -> Any:
        """Stop, perform when told to, and keep what came of it."""
        is_end = statement in (_COMMIT, _ROLLBACK)
        if self._is_abandoned:  # clean-up on the way out; the checker rolls back
            if is_end:
                return None
            raise _Abandoned
        if is_end and not self.has_begun:
            return act()  # nobody could tell when
        self.pending = statement
        self._stop()
        while True:
            try:
                if not self.has_begun and not is_end:
                    self._database.begin(self._connection)
                self.has_begun = not is_end
                result = act()
            except Exception as error:
                if self._database.is_busy(error) and not self._refusal_is_final:
                    if not self._holds_transaction():
                        self.has_begun = False
                    self.is_refused = True
                    self._stop()
                    continue
                self._refusal_is_final = False
                self.steps.append(Step(self.number, statement, error=f"{type(error).__name__}: {error}"))
                raise
            break
        rows = cursor.peek() if cursor is not None and is_read(statement) else None
        self.steps.append(Step(self.number, statement, rows, getattr(cursor, "rowcount", -1)))
        return result

    def _holds_transaction(self) -> bool:
        return bool(getattr(self._connection, "in_transaction", True))

    def _stop(self) -> None:
        self._has_stopped.release()
        self._may_go.acquire()
        if self._is_abandoned:
            raise _Abandoned
        self.is_refused = False

    @property
    def connection(self) -> Connection:
        return self._connection

    @property
    def database(self) -> Database:
        return self._database


class _Proxy:
    """Passes for the real object, to `isinstance` too (psycopg and SQLAlchemy ask); its settings are the real one's."""

    def __init__(self, thread: TransactionThread, real: Any) -> None:
        set_own = super().__setattr__
        set_own("_thread", thread)
        set_own("_real", real)

    _thread: TransactionThread
    _real: Any

    @property  # type: ignore[misc]  # what `isinstance` looks at besides the type
    def __class__(self) -> type:
        return type(self._real)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._real, name, value)


class ConnectionProxy(_Proxy):
    """The connection that a transaction function gets: the real one, with its statements announced."""

    def __init__(self, thread: TransactionThread) -> None:
        super().__init__(thread, thread.connection)

    def cursor(self, *arguments: Any, **keywords: Any) -> CursorProxy:
        return CursorProxy(self._thread, self._thread.connection.cursor(*arguments, **keywords), self)

    def execute(self, text: str, parameters: Any = None, **_ignored: Any) -> CursorProxy:
        return self.cursor().execute(text, parameters)

    def executemany(self, text: str, parameters: Any) -> CursorProxy:
        cursor = self.cursor()
        cursor.executemany(text, parameters)
        return cursor

    def commit(self) -> None:
        thread = self._thread
        thread.announce(_COMMIT, lambda: thread.database.finish(thread.connection, commit=True))

    def rollback(self) -> None:
        thread = self._thread
        thread.announce(_ROLLBACK, lambda: thread.database.finish(thread.connection, commit=False))

    @contextlib.contextmanager
    def transaction(self, savepoint_name: str | None = None, force_rollback: bool = False) -> Iterator[Any]:
        """psycopg's block, the end of which is a statement like any other."""
        commit, rollback = (_RELEASE, _ROLLBACK_TO) if self._thread.has_begun else (_COMMIT, _ROLLBACK)
        with contextlib.ExitStack() as block:
            inner = block.enter_context(self._real.transaction(savepoint_name, force_rollback))
            is_done = False
            try:
                yield inner
                is_done = not force_rollback
            finally:
                # Stops here, and then leaves the real block, whatever comes of it.
                self._thread.announce(commit if is_done else rollback, _nothing)

    def close(self) -> None:
        """Left to the checker, which closes the connection after the interleaving."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        if kind is None:
            self.commit()
        elif not issubclass(kind, _Abandoned):
            self.rollback()


class CursorProxy(_Proxy):
    """A cursor whose statements are announced; rows are fetched at once, since that is part of the statement."""

    def __init__(self, thread: TransactionThread, cursor: Any, connection: ConnectionProxy) -> None:
        super().__init__(thread, cursor)
        object.__setattr__(self, "connection", connection)
        object.__setattr__(self, "_rows", [])

    connection: ConnectionProxy
    _rows: list[Any]

    def execute(self, text: str, parameters: Any = None, **_ignored: Any) -> CursorProxy:
        self._announce(Statement(str(text), parameters))
        return self

    def executemany(self, text: str, parameters: Any) -> CursorProxy:
        self._announce(Statement(str(text), list(parameters), many=True))
        return self

    def _announce(self, statement: Statement) -> None:
        def act() -> None:
            self._thread.database.perform(self._real, statement)
            self._rows[:] = self._real.fetchall() if self._real.description is not None else []

        thread = self._thread
        if not thread.database.perform_aside(thread.connection, statement, act):
            thread.announce(statement, act, self)

    def peek(self) -> tuple[Any, ...]:
        """The rows not yet fetched, left in place."""
        return tuple(self._rows)

    def fetchone(self) -> Any:
        return self._rows.pop(0) if self._rows else None

    def fetchmany(self, size: int = 1) -> list[Any]:
        taken = self._rows[:size]
        del self._rows[:size]
        return taken

    def fetchall(self) -> list[Any]:
        return self.fetchmany(len(self._rows))

    def __iter__(self) -> CursorProxy:
        return self

    def __next__(self) -> Any:
        if not self._rows:
            raise StopIteration
        return self._rows.pop(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._real.close()

    def close(self) -> None:
        self._real.close()


def _nothing() -> None:
    """The statement is performed by somebody else, right after it was announced."""
