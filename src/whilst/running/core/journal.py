"""A journal: finished calls in an SQLite file, so that a run that was killed goes on where it stopped.

A call is known by its item, not by its place: the digest of the pickled item, and which one of equal items it is (with
`seed=`, whose draws depend on the place, the place too). So the input may come in another order the next time, and have
more or fewer items. Each value is committed as soon as it is delivered, one transaction an answer; what is lost when
the program is killed is the calls in progress. Calls that raised are not finished: they are made again.

The file belongs to one function (by module and name: it may have been mended in between; a lambda by what it does; a
reduction or a partial by all functions, numbers and texts that it holds) and to one run at a time.
Its values are pickles, and loading a pickle runs what it says: a journal is trusted as code is. So it is made for its
owner alone, and one that somebody else may have written is refused.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import sqlite3
import stat
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import suppress
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Final, Self

from whilst.errors import JournalError
from whilst.model import Change, Decision
from whilst.running.call_names import name_of
from whilst.running.core.inputs import Source
from whilst.running.core.outputs import Sink
from whilst.running.jobs import Job

_VERSION: Final = 1
_PLAIN: Final = (int, float, str, bytes, bool, type(None))
"""Of these the text is the same in each run."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS journal (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS finished (item BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TEMP TABLE seen (item BLOB PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
"""


def journaled(
    job: Job, items: Iterable[object], sink: Sink, path: str | PathLike[str]
) -> tuple[JournalSource, JournalSink, Journal]:
    """The input without what was finished before, the sink that remembers what is finished now, and their journal."""
    journal = Journal(path, job.fn, job.seed)
    source = JournalSource(items, journal)
    return source, JournalSink(sink, journal, source), journal


def _identity(fn: object) -> str:
    """What the function is known by from one run to the next."""
    if type(fn) is partial:
        is_own = fn.func.__module__.startswith("whilst.")  # what it looks for besides is no part of what it gives
        held = ", ".join(map(_identity, fn.args if is_own else (*fn.args, *fn.keywords.values())))
        return f"{_identity(fn.func)}({held})"
    if not callable(fn):
        return repr(fn) if type(fn) in _PLAIN else type(fn).__qualname__
    name = f"{getattr(fn, '__module__', '')}.{name_of(fn)}"
    code = getattr(fn, "__code__", None)
    if code is None or code.co_name != "<lambda>":
        return name
    constants = [each for each in code.co_consts if type(each) in _PLAIN]
    text = repr((code.co_code, constants, code.co_names, code.co_freevars))
    return f"{name} {hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}"


class Journal:
    """The file. Use as a context manager.

    Args:
        path: made if it is not there, readable and writable by its owner alone. What it holds is trusted like code.
        fn: the function whose calls it remembers.
        seed: of the run; a journal made with another one is refused, since its values would be others.
    Raises:
        JournalError: not a journal, another function's or seed's, in use by another run, can't be written, belongs
            to somebody else than this user and root, or may be written by others.
    """

    def __init__(self, path: str | PathLike[str], fn: Callable[..., object], seed: int | None) -> None:
        self._path = os.fsdecode(path)
        self._function = _identity(fn)
        self._seed = seed
        self._unwritten: list[int] = []
        self.recalled = 0
        """Results of earlier runs that were delivered in this one."""
        self.on_recall: Callable[[int], None] | None = None
        """Told how many more these are, for a progress bar."""

    def __enter__(self) -> Self:
        # Entered when the run begins, not when it is declared: an imap that nobody reads opens nothing.
        try:
            real = self._make_private()
            self._file = sqlite3.connect(real, timeout=0, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise self._error(error) from error
        try:
            # Held until the end, so that two runs never write into each other. A killed run lets go of it.
            self._file.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._file.execute("PRAGMA journal_mode=WAL")
            # A killed process loses nothing so; only a power cut may cost the last calls.
            self._file.execute("PRAGMA synchronous=NORMAL")
            self._file.executescript(_SCHEMA)
            self._claim()
        except BaseException as error:
            self._file.close()
            if isinstance(error, sqlite3.Error):
                raise self._error(error) from error
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self._file.close()
        if self._unwritten:
            count, first = len(self._unwritten), self._unwritten[0]
            warnings.warn(
                f"{count:,} results (the first is that of item {first}) can't be pickled, so the journal "
                f"{self._path!r} does not hold them, and their calls would be made again.",
                RuntimeWarning,
                stacklevel=4,
            )

    def key_of(self, number: int, item: object) -> bytes:
        """What the call of this item is known by.

        Raises:
            JournalError: the item can't be pickled.
        """
        try:
            plain = pickle.dumps(item, 4)  # one protocol for good: the digest must be the same next year
        except Exception as error:
            raise JournalError(
                f"Item {number}, {item!r:.80}, can't be pickled ({error}), so a journal can't know it again. "
                f"Map over something that can: a path, a number, a name."
            ) from error
        digest = hashlib.blake2b(plain, digest_size=16)
        if self._seed is not None:
            digest.update(b"at %d" % number)
            return digest.digest()
        try:
            (count,) = self._file.execute(
                "INSERT INTO seen VALUES (?, 1) ON CONFLICT DO UPDATE SET count = count + 1 RETURNING count",
                (digest.digest(),),
            ).fetchone()
        except sqlite3.Error as error:
            raise self._error(error) from error
        if count > 1:
            digest.update(b"again %d" % count)
        return digest.digest()

    def find(self, key: bytes) -> tuple[object] | None:
        """The value that the call gave in an earlier run, in a tuple; None if it did not finish."""
        try:
            row = self._file.execute("SELECT value FROM finished WHERE item = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            raise self._error(error) from error
        return None if row is None else (pickle.loads(row[0]),)

    def write(self, values: Iterable[tuple[int, bytes, object]]) -> None:
        """Remember values by (number, key, value), all in one transaction."""
        rows = []
        for number, key, value in values:
            try:
                rows.append((key, pickle.dumps(value, pickle.HIGHEST_PROTOCOL)))
            except Exception:  # the value is still good for the caller, who is told at the end
                self._unwritten.append(number)
        try:
            self._file.execute("BEGIN")
            self._file.executemany("INSERT OR REPLACE INTO finished VALUES (?, ?)", rows)
            self._file.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                self._file.execute("ROLLBACK")
            raise self._error(error) from error

    def noted(self, decision: Decision) -> Decision:
        """The decision of a run, with what came from here in its history."""
        if not self.recalled:
            return decision
        text = (
            "1 result comes from the journal"
            if self.recalled == 1
            else f"{self.recalled} results come from the journal"
        )
        return replace(decision, history=(Change(0.0, text), *decision.history))

    def _make_private(self) -> Path:
        """Make the file its owner's alone, refuse one that somebody else may have written; give its real path."""
        real = Path(self._path).resolve()
        try:
            file = os.open(real, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        except FileExistsError:
            pass
        else:
            try:
                if hasattr(os, "fchmod"):
                    os.fchmod(file, 0o600)  # a umask may have taken more
            finally:
                os.close(file)
        if not hasattr(os, "geteuid"):  # where modes say nothing about who may write
            return real
        for ending in ("", "-wal", "-journal"):  # SQLite reads those as well
            path = real.with_name(real.name + ending)
            try:
                found = path.stat()
            except FileNotFoundError:
                continue
            is_others = found.st_uid not in (os.geteuid(), 0)
            if is_others or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                whose = f"belongs to user {found.st_uid}" if is_others else "may be written by others"
                raise JournalError(
                    f"The journal {str(path)!r} {whose} (its mode is {stat.S_IMODE(found.st_mode):04o}). A journal "
                    f"holds pickles, and loading those runs what they say. If you trust what it holds, "
                    f"{'make it yours (chown)' if is_others else 'run `chmod go-w` on it'}; else name another file."
                )
        return real

    def _claim(self) -> None:
        mine = {"version": str(_VERSION), "function": self._function, "seed": repr(self._seed)}
        found = dict(self._file.execute("SELECT key, value FROM journal").fetchall())
        if not found:
            self._file.executemany("INSERT INTO journal VALUES (?, ?)", mine.items())
            return
        for key, wanted in mine.items():
            if found.get(key) != wanted:
                raise JournalError(
                    f"The journal {self._path!r} is of {key} {found.get(key)}, not {wanted}. "
                    f"Name another file, or delete this one if its results are no longer wanted."
                )

    def _error(self, error: OSError | sqlite3.Error) -> JournalError:
        if isinstance(error, sqlite3.Error) and "locked" in str(error):
            return JournalError(
                f"The journal {self._path!r} is in use by another run; wait for it, or name another file."
            )
        folder = Path(self._path).absolute().parent
        if not folder.is_dir():
            return JournalError(f"The journal {self._path!r} can't be made: there is no folder {str(folder)!r}.")
        return JournalError(
            f"The journal {self._path!r} can't be used: {error}. "
            f"What it holds already is kept; mend that and run again."
        )


class JournalSource(Source):
    """Input without the calls that are in the journal: their values are delivered as their turn comes.

    A gap in the numbers ends a `take`, so that what is taken is always numbered without one. It looks one item
    ahead, to know whether the input is over.
    """

    def __init__(self, items: Iterable[object], journal: Journal) -> None:
        super().__init__(())
        self._failure: BaseException | None = None
        """What the iterator raised, as long as nobody has met it."""
        self._whole = len(items) if isinstance(items, Sized) else None
        self.keys: dict[int, bytes] = {}
        """Of calls taken and not yet answered."""
        self.deliver: Callable[[int, object], None] | None = None
        self._journal = journal
        self._iterator: Iterator[object] = iter(items)
        self._read = 0
        self._is_over = False
        self._ahead: deque[tuple[int, object]] = deque()
        self._pulled: list[tuple[int, object]] = []

    @property
    def length(self) -> int | None:
        """See `Source.length`."""
        return self._whole

    @property
    def inheritable(self) -> None:
        """Nothing: each item is read, and known by its digest, as its turn comes."""

    @property
    def left(self) -> int | None:
        """How many were not taken yet, finished ones further on included; None where only pulling tells."""
        if self.is_exhausted:
            return 0
        return None if self._whole is None else max(self._whole - self.next_id, 1)

    @property
    def is_exhausted(self) -> bool:
        """Nothing is left to be called, nor an error of the iterator to be met."""
        return self._is_over and not self._ahead and self._failure is None

    def start(self) -> None:
        """Read as far as the first item that is not in the journal."""
        self._look_ahead(1)

    def take(self, count: int) -> Sequence[object]:
        """As `Source.take`, but no further than the next gap."""
        taken = self._take(count)
        if not taken and self._failure is not None:
            self.error, self._failure = self._failure, None
        return [item for _, item in taken]

    def put_back(self, first: int, items: Sequence[object]) -> None:
        """See `Source.put_back`."""
        self.next_id = first
        self._ahead.extendleft(reversed(list(enumerate(items, first))))

    def pull(self, count: int) -> Iterable[object]:
        """As `Source.pull`, but no further than the next gap."""
        self._pulled = self._take(count)
        if self._pulled:
            self.next_id = self._pulled[0][0]
        elif self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        return [item for _, item in self._pulled]

    def pulled(self, used: int, *, is_over: bool, error: Exception | None = None) -> None:  # noqa: ARG002 (Source's)
        """As `Source.pulled`; what was not used comes again."""
        self._ahead.extendleft(reversed(self._pulled[used:]))
        self._pulled = []
        if error is not None:
            self.error = error
        self._look_ahead(1)

    def wait(self, patience_s: float | None = None) -> None:
        """Nothing: this input never is empty for a while."""

    def _take(self, count: int) -> list[tuple[int, object]]:
        self._look_ahead(count)
        taken: list[tuple[int, object]] = []
        while self._ahead and len(taken) < count and (not taken or self._ahead[0][0] == taken[-1][0] + 1):
            taken.append(self._ahead.popleft())
        self._look_ahead(1)
        if self.kept is not None:
            self.kept.update(taken)
        return taken

    def _look_ahead(self, count: int) -> None:
        """Have `count` items ahead, or all that are left, and `next_id` name the first of them."""
        while len(self._ahead) < count and not self._is_over:
            try:
                item = next(self._iterator)
                key = self._journal.key_of(self._read, item)
                found = self._journal.find(key)
            except StopIteration:
                self._is_over = True
                break
            except Exception as failure:
                # Met in its turn: the calls of the items before it come first, as they would in a `for` loop.
                self._failure, self._is_over = failure, True
                break
            if found is None:
                self.keys[self._read] = key
                self._ahead.append((self._read, item))
            elif self.deliver is not None:
                self._journal.recalled += 1
                if self._journal.on_recall is not None:
                    self._journal.on_recall(1)
                self.deliver(self._read, found[0])
            self._read += 1
        self.next_id = self._ahead[0][0] if self._ahead else self._read


class JournalSink(Sink):
    """Writes what was finished into the journal, then hands it on."""

    def __init__(self, inner: Sink, journal: Journal, source: JournalSource) -> None:
        self.inner = inner
        self._journal = journal
        self._keys = source.keys
        source.deliver = lambda number, value: inner.deliver((number,), (value,), {})

    @property
    def undelivered(self) -> int:
        return self.inner.undelivered

    @undelivered.setter
    def undelivered(self, count: int) -> None:
        self.inner.undelivered = count

    def deliver(self, ids: Sequence[int], values: Sequence[object], errors: Mapping[int, BaseException]) -> None:
        """See `Sink.deliver`."""
        finished = []
        for number, value in zip(ids, values, strict=True):
            key = self._keys.pop(number, None)
            if number not in errors and key is not None:
                finished.append((number, key, value))
        if finished:
            self._journal.write(finished)
        self.inner.deliver(ids, values, errors)
