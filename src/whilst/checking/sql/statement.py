"""Statements, steps and runs of transactions, as data; and the few things that can be told from a statement's text.

Nothing here talks to a database.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import Final

_READ: Final = re.compile(r"\s*(select|with|values|table|explain|show)\b", re.IGNORECASE)
# A SELECT that locks, writes or calls what may: it must not be taken for a plain read.
_LOUD_READ: Final = re.compile(
    r"\bfor\s+(no\s+key\s+)?(update|share|key\s+share)\b|\binto\b|\b(insert|update|delete|merge)\b|\b(nextval|setval|pg_\w+|random|now|clock_timestamp)\s*\(",
    re.IGNORECASE,
)
_TABLE: Final = re.compile(r"\b(?:from|join|update|into|table)\s+(?:only\s+)?([a-z_][\w.]*|\"[^\"]+\")", re.IGNORECASE)
# What asks nothing of any table: drivers and ORMs ask it of each new connection.
_SILENT: Final = re.compile(
    r"\s*(show\s+[\w\s]+|select\s+(1|(pg_catalog\.)?(version|current_schema|current_database)\s*\(\s*\)))\s*;?\s*",
    re.IGNORECASE,
)
_CONTROL: Final = re.compile(r"\s*(begin|start|commit|end|rollback|abort|savepoint|release|set)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement as a transaction asked for it; `parameters` are those of the DB-API call."""

    text: str
    parameters: object = None
    many: bool = False
    """`executemany`: parameters is a sequence of them."""

    def __str__(self) -> str:
        text = " ".join(self.text.split())
        return text if self.parameters in (None, (), []) else f"{text}  <- {self.parameters!r}"

    @property
    def verb(self) -> str:
        """The first word, in capitals."""
        words = self.text.split(None, 1)
        return words[0].rstrip(";").upper() if words else ""


@dataclass(frozen=True, slots=True)
class Step:
    """One statement of one transaction, at its place in an interleaving.

    `rows` is what it returned, None where it returns nothing; `count` the rows it changed, -1 where unknown.
    """

    transaction: int
    statement: Statement
    rows: tuple[object, ...] | None = None
    count: int = -1
    blocked_by: tuple[int, ...] = ()
    """Transactions it had to wait for."""
    ended_after: int | None = None
    """Position of the step that let it go on, where it was blocked."""
    error: str = ""
    """What the database answered instead of rows."""


@dataclass(frozen=True, slots=True)
class Committed:
    """What a transaction came to. `is_retryable`: it was refused and may simply be tried again."""

    is_committed: bool
    value: object = None
    error: str = ""
    is_retryable: bool = False
    error_type: type[BaseException] | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One interleaving that was performed: choices (a transaction each), steps, ends and what was left behind.

    `enabled[i]` are the transactions that could have gone on at step i, with the statement that each would
    have performed.
    """

    choices: tuple[int, ...]
    enabled: tuple[dict[int, Statement], ...]
    steps: tuple[Step, ...]
    ends: tuple[Committed, ...]
    state: object
    keeps_invariant: bool = True

    @property
    def committed(self) -> tuple[int, ...]:
        """The transactions whose outcome counts: all but those that the database asks to try again."""
        return tuple(number for number, end in enumerate(self.ends) if not end.is_retryable)

    @property
    def committed_or_read(self) -> tuple[int, ...]:
        """The transactions that took part: those that performed at least one statement."""
        return tuple(sorted({step.transaction for step in self.steps}))

    @property
    def outcome(self) -> tuple[object, ...]:
        """What isolation compares: who counts, what each of them saw, what the database holds."""
        seen = tuple((number, self.ends[number].value, self.ends[number].error) for number in self.committed)
        return (seen, self.state)

    @property
    def switches(self) -> int:
        """How often the next step belonged to another transaction than the last."""
        order = [step.transaction for step in self.steps]
        return sum(first != second for first, second in itertools.pairwise(order))


def is_read(statement: Statement) -> bool:
    """Whether the statement asks for rows."""
    return bool(_READ.match(statement.text))


def reads_only(statement: Statement) -> bool:
    """Whether it certainly changes and locks nothing, so that it commutes with every other such statement."""
    return is_read(statement) and not _LOUD_READ.search(statement.text)


def is_silent(statement: Statement) -> bool:
    """Whether it touches no table and locks nothing, so that it may as well happen at any other moment."""
    return bool(_SILENT.fullmatch(statement.text))


def is_control(statement: Statement) -> bool:
    """BEGIN, COMMIT and their like."""
    return bool(_CONTROL.match(statement.text))


def commute(first: Statement, second: Statement) -> bool:
    """Whether the order of the two, next to each other, can't matter.

    Two plain reads of different transactions commute at every isolation level: no write lies between them, so
    the snapshots they take and the predicate locks they leave are the same in both orders. Whether two writes
    commute depends on what the database locks, so that is left to the database.
    """
    return reads_only(first) and reads_only(second)


def tables_of(statement: Statement) -> frozenset[str]:
    """Names of tables that the text mentions, in lower case; for people's sake, not for soundness."""
    return frozenset(name.strip('"').lower() for name in _TABLE.findall(statement.text))
