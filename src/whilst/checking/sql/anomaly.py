"""Names what went wrong in one interleaving, in the terms of the field.

The names follow Berenson, Bernstein, Gray, Melton, the O'Neils, *A Critique of ANSI SQL Isolation Levels* (SIGMOD
1995): dirty write, dirty read, lost update, non-repeatable read, phantom, read skew, write skew; what fits none is a
serialisation anomaly. Which statement touches what another one reads is not guessed from the text: it is asked of
the database, by performing them one after the other on the starting state and looking whether the answer changes.
The name explains a verdict; no verdict rests on it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, Final

from whilst.checking.sql.database import Database
from whilst.checking.sql.statement import Run, Statement, Step, is_control, is_read, tables_of

_DUPLICATE: Final = re.compile(r"UniqueViolation|UNIQUE constraint failed")


@dataclass(frozen=True, slots=True)
class Anomaly:
    """The pattern's name, one sentence, and the positions of the steps that make it up, in order."""

    pattern: str
    sentence: str
    steps: tuple[int, ...]


def name_anomaly(run: Run, database: Database) -> Anomaly:
    """Name the anomaly of a run whose outcome no serial order gives."""
    history = _History(run, _Effects(database))
    for look in (_duplicate, _dirty_write, _dirty_read, _lost_update, _changed_read, _read_skew, _write_skew):
        for first, second in permutations(run.committed_or_read, 2):
            found = look(history, first, second)
            if found:
                return found
    return Anomaly(
        "serialization anomaly",
        "What the transactions saw and left behind fits no order of them one after the other.",
        (),
    )


@dataclass(frozen=True, slots=True)
class _At:
    """A statement at its place in the run."""

    at: int
    step: Step

    @property
    def statement(self) -> Statement:
        return self.step.statement


class _Effects:
    """What one statement does to another, asked of the database on its starting state."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[tuple[str, ...], Any] = {}

    def changes_read(self, write: Statement, read: Statement) -> bool:
        """Whether the read answers otherwise after the write."""
        if not tables_of(write) & tables_of(read):
            return False
        before, after = self._rows([read]), self._rows([write, read])
        return before is not None and after is not None and before != after

    def rows_after(self, write: Statement, read: Statement) -> object:
        return self._rows([write, read])

    def touch_the_same(self, first: Statement, second: Statement) -> bool:
        """Whether both change or remove one same row, or their order shows in what is left."""
        if not tables_of(first) & tables_of(second):
            return False
        if self._replaced(first) & self._replaced(second):
            return True
        return bool(self._state([first, second]) != self._state([second, first]))

    def _replaced(self, write: Statement) -> Counter[object]:
        before, after = _rows_by_table(self._state([])), _rows_by_table(self._state([write]))
        return before - after

    def _rows(self, statements: Sequence[Statement]) -> object:
        return self._ask("rows", statements)

    def _state(self, statements: Sequence[Statement]) -> object:
        return self._ask("state", statements)

    def _ask(self, what: str, statements: Sequence[Statement]) -> object:
        key = (what, *map(str, statements))
        if key not in self._known:
            self._known[key] = self._try(what, statements)
        return self._known[key]

    def _try(self, what: str, statements: Sequence[Statement]) -> object:
        self._database.reset()
        connection = self._database.fresh_connection()
        rows: object = None
        try:
            for statement in statements:
                cursor = connection.cursor()
                self._database.perform(cursor, statement)
                rows = tuple(cursor.fetchall()) if cursor.description is not None else None
            connection.commit()
        except Exception:  # a statement that fails out of its context has no effect to tell
            return None
        finally:
            connection.close()
        return self._database.state() if what == "state" else rows


class _History:
    def __init__(self, run: Run, effects: _Effects) -> None:
        self.run = run
        self.effects = effects

    def name(self, number: int) -> str:
        return f"transaction {number + 1}"

    def reads(self, number: int) -> Iterator[_At]:
        return (each for each in self._of(number) if is_read(each.statement) and each.step.rows is not None)

    def writes(self, number: int) -> Iterator[_At]:
        return (
            each
            for each in self._of(number)
            if not is_control(each.statement) and not is_read(each.statement) and not each.step.error
        )

    def refused(self, number: int) -> Iterator[_At]:
        """Writes that the database refused."""
        return (each for each in self._of(number) if each.step.error and not is_read(each.statement))

    def end(self, number: int) -> int:
        """Where it committed or rolled back: its last step."""
        return max((each.at for each in self._of(number)), default=len(self.run.steps))

    def is_committed(self, number: int) -> bool:
        return self.run.ends[number].is_committed

    def _of(self, number: int) -> Iterator[_At]:
        return (_At(at, step) for at, step in enumerate(self.run.steps) if step.transaction == number)


def _duplicate(history: _History, refused: int, other: int) -> Anomaly | None:
    """Both insert what may be there once, since neither saw the other's."""
    for own in history.refused(refused):
        for write in history.writes(other):
            tables = tables_of(own.statement) & tables_of(write.statement)
            if not tables or write.at > _done_at(own) or not _DUPLICATE.search(own.step.error):
                continue
            what = ", ".join(sorted(tables))
            looks = (each for each in history.reads(refused) if tables & tables_of(each.statement))
            look = _first(each for each in looks if each.at < min(own.at, history.end(other)))
            looked = f"{history.name(refused)} looked at {what} and found no such row, " if look else ""
            return Anomaly(
                "unique violation",
                f"Unique violation: {looked}{history.name(other)} inserted it, and the database refused it to "
                f"{history.name(refused)}: insert first and see whether it was there (ON CONFLICT), or handle it.",
                tuple(sorted({*([look.at] if look else []), write.at, own.at})),
            )
    return None


def _dirty_write(history: _History, first: int, second: int) -> Anomaly | None:
    """P0: the second writes over what the first wrote before the first ended."""
    for one in history.writes(first):
        for other in history.writes(second):
            is_granted = other.step.ended_after is None
            if (
                one.at < other.at < history.end(first)
                and is_granted
                and history.effects.touch_the_same(one.statement, other.statement)
            ):
                return Anomaly(
                    "dirty write",
                    f"Dirty write: {history.name(second)} wrote over what {history.name(first)} had written "
                    f"to {_what(one, other)} and not yet committed.",
                    (one.at, other.at),
                )
    return None


def _dirty_read(history: _History, writer: int, reader: int) -> Anomaly | None:
    """P1: the reader sees what the writer has not committed, and perhaps never will."""
    for write in history.writes(writer):
        for read in history.reads(reader):
            if not write.at < read.at < history.end(writer):
                continue
            effects = history.effects
            if (
                effects.changes_read(write.statement, read.statement)
                and effects.rows_after(write.statement, read.statement) == read.step.rows
            ):
                fate = "committed only later" if history.is_committed(writer) else "then took back"
                return Anomaly(
                    "dirty read",
                    f"Dirty read: {history.name(reader)} saw {_what(write, read)} as {history.name(writer)} had "
                    f"changed it, which {history.name(writer)} {fate}.",
                    (write.at, read.at),
                )
    return None


def _lost_update(history: _History, loser: int, other: int) -> Anomaly | None:
    """P4: read, somebody else's write, write over it."""
    for read in history.reads(loser):
        for own in history.writes(loser):
            for write in history.writes(other):
                if (
                    read.at < max(write.at, history.end(other))  # what is not committed yet is not seen
                    and max(read.at, write.at) < _done_at(own)
                    and _done_at(write) < _done_at(own)
                    and history.is_committed(other)
                    and history.is_committed(loser)
                    and history.effects.changes_read(write.statement, read.statement)
                    and history.effects.touch_the_same(write.statement, own.statement)
                ):
                    return Anomaly(
                        "lost update",
                        f"Lost update: {history.name(loser)} read {_what(read, write)}, {history.name(other)} changed "
                        f"it, and {history.name(loser)} wrote over that change what it had worked out before.",
                        (read.at, write.at, own.at),
                    )
    return None


def _changed_read(history: _History, reader: int, writer: int) -> Anomaly | None:
    """P2 and P3: the same question twice, and two answers."""
    reads = list(history.reads(reader))
    for index, one in enumerate(reads):
        for two in reads[index + 1 :]:
            same = str(one.statement) == str(two.statement)
            if not same or one.step.rows == two.step.rows:
                continue
            for write in history.writes(writer):
                if write.at < two.at and history.effects.changes_read(write.statement, two.statement):
                    return _two_answers(history, (reader, writer), one, two, write)
    return None


def _two_answers(history: _History, who: tuple[int, int], one: _At, two: _At, write: _At) -> Anomaly:
    reader, writer = who
    moved = write.statement.verb in ("INSERT", "DELETE") or len(one.step.rows or ()) != len(two.step.rows or ())
    if moved:
        pattern, what = "phantom", "rows came or went"
    else:
        pattern, what = "non-repeatable read", "the rows had changed"
    return Anomaly(
        pattern,
        f"{pattern.capitalize()}: {history.name(reader)} asked {_what(one, write)} the same question twice, and "
        f"{what} in between by {history.name(writer)}.",
        tuple(sorted((one.at, write.at, two.at))),
    )


def _read_skew(history: _History, reader: int, writer: int) -> Anomaly | None:
    """A5A: two reads, of which one is from before and one from after the same transaction."""
    reads, writes = list(history.reads(reader)), list(history.writes(writer))
    changes = history.effects.changes_read
    for before in reads:
        for after in reads:
            if before.at >= after.at or not before.at < history.end(writer) < after.at:
                continue
            old = [write for write in writes if changes(write.statement, before.statement)]
            new = [write for write in writes if changes(write.statement, after.statement)]
            if old and new and not list(history.writes(reader)):
                return Anomaly(
                    "read skew",
                    f"Read skew: {history.name(reader)} saw one thing from before {history.name(writer)} and another "
                    f"from after it, which never held together.",
                    tuple(sorted({before.at, old[0].at, new[0].at, after.at})),
                )
    return None


def _write_skew(history: _History, first: int, second: int) -> Anomaly | None:
    """A5B: each reads what the other one changes, and what they change is not the same."""
    changes = history.effects.changes_read
    for mine in history.writes(first):
        for yours in history.writes(second):
            if history.effects.touch_the_same(mine.statement, yours.statement):
                continue
            seen_by_first = _first(
                read
                for read in history.reads(first)
                if read.at < history.end(second) and changes(yours.statement, read.statement)
            )
            seen_by_second = _first(
                read
                for read in history.reads(second)
                if read.at < history.end(first) and changes(mine.statement, read.statement)
            )
            if seen_by_first and seen_by_second:
                steps = {seen_by_first.at, seen_by_second.at, mine.at, yours.at}
                return Anomaly(
                    "write skew",
                    f"Write skew: {history.name(first)} and {history.name(second)} each relied on what they had read, "
                    f"and each changed what the other one had relied on.",
                    tuple(sorted(steps)),
                )
    return None


def _first(found: Iterable[_At]) -> _At | None:
    return next(iter(found), None)


def _done_at(write: _At) -> int:
    """Where it took effect: a write that was blocked did so when it was let go on."""
    return write.at if write.step.ended_after is None else max(write.at, write.step.ended_after)


def _what(*statements: _At) -> str:
    shared = frozenset.intersection(*(tables_of(each.statement) for each in statements))
    return ", ".join(sorted(shared)) or "the same rows"


def _rows_by_table(state: object) -> Counter[object]:
    rows: Counter[object] = Counter()
    if isinstance(state, tuple):
        for name, contents in state:
            rows.update((name, row) for row in contents)
    return rows
