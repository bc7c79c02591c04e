"""Several processes explore one tree: this one gives pieces to helpers and explores some itself.

A helper is a Python of its own, started afresh (nothing is forked), that imports setup and tasks by name. It sees the
same places as events (`points`) and is told what has been learnt. Whatever becomes of it, nothing is lost: a piece is
taken in whole or given to somebody else. A helper that sees other events than this process is not asked again.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any, Final

from whilst.checking.engine import Execution, Explorer
from whilst.checking.frontier import Frontier, Piece, explore

__all__ = ["Answered", "Assignment", "Known", "Spread", "is_possible", "spread_out"]

PIECE_S: Final = 0.15  # how long a piece is explored before what is left of it is shared
_LOOK_EVERY: Final = 8  # executions of our own between two looks for answers


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a helper needs to begin with: references (see `tokens`), and the rest of the question."""

    where: tuple[str, ...]
    orders: object
    limits: object
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """What has been learnt so far; pieces of an earlier epoch count no more."""

    epoch: int
    points: frozenset[str]
    task_numbers: dict[tuple[int, int], int]
    gates: dict[int, int]


@dataclass(slots=True)
class Answered:
    """A helper's answer: what came of a piece, and what it knows by now."""

    epoch: int
    number: int
    piece: Piece
    points: frozenset[str]
    endings: frozenset[Any]


class _Helper:
    """A process and our end of the pipe to it."""

    def __init__(self, assignment: Assignment) -> None:
        self.connection, theirs = Pipe()
        fd = theirs.fileno()
        command = [sys.executable, "-c", f"import sys; sys.path[:] = {list(assignment.path)!r}; "
                   f"from whilst.checking.helping import main; main({fd})"]  # fmt: skip
        try:
            self.process = subprocess.Popen(  # our own interpreter and code
                command, pass_fds=(fd,), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
            )
        finally:
            theirs.close()
        self.doing: int | None = None
        self.epoch = -1
        self.is_ready = self.is_dead = False
        self.send(assignment)

    def send(self, message: object) -> None:
        try:
            self.connection.send(message)
        except OSError:
            self.is_dead = True

    def end(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.wait()


class Spread:
    """The helpers, from the first time they are needed until `close`."""

    def __init__(self, assignment: Assignment, helpers: int, note_endings: Callable[[frozenset[Any]], None]) -> None:
        self._assignment, self._count, self.note_endings = assignment, helpers, note_endings
        self.helpers: list[_Helper] = []
        self.executions = 0  # by helpers
        self.trouble = ""

    def start(self) -> None:
        while len(self.helpers) < self._count:
            self.helpers.append(_Helper(self._assignment))

    def close(self) -> None:
        """Leave no process behind."""
        while self.helpers:
            self.helpers.pop().end()

    def has_answer(self) -> bool:
        talking = self._talking()
        return bool(talking) and bool(wait(list(talking), 0))

    def _talking(self) -> dict[Connection, _Helper]:
        some = [each for each in self.helpers if not each.is_dead and (each.doing is not None or not each.is_ready)]
        return {each.connection: each for each in some}

    def hand_out(self, frontier: Frontier, known: Known) -> None:
        """Give every idle helper something to do."""
        for helper in self.helpers:
            if (
                helper.doing is None
                and helper.is_ready
                and not helper.is_dead
                and (task := frontier.take()) is not None
            ):
                if helper.epoch != known.epoch:
                    helper.epoch = known.epoch
                    helper.send(known)
                helper.doing = task.number
                helper.send(task)

    def answers(self, frontier: Frontier, known: Known, timeout_s: float) -> list[Answered]:
        """What has come in; pieces of helpers that are gone go back."""
        talking = self._talking()
        out = []
        for connection in wait(list(talking), timeout_s) if talking else ():
            assert isinstance(connection, Connection)
            helper = talking[connection]
            number, helper.doing = helper.doing, None
            try:
                answered = pickle.loads(connection.recv_bytes())  # from our own process
            except (EOFError, OSError):
                answered, helper.is_dead = None, True
                self.trouble = self.trouble or "a process that shared the search ended early"
            if answered is None and not helper.is_dead:
                helper.is_ready = True
                continue
            if isinstance(answered, str):
                self.trouble, helper.is_dead, answered = answered, True, None
            if answered is not None and answered.epoch != known.epoch:
                continue
            if answered is not None and answered.piece.differs:
                self.trouble, helper.is_dead, answered = answered.piece.differs, True, None
            if answered is None:
                if helper.epoch == known.epoch and number is not None:
                    frontier.give_back(number)
                continue
            self.executions += answered.piece.executions
            out.append(answered)
        return out


def spread_out(
    explorer: Explorer,
    spread: Spread,
    gates_of: Callable[[], Mapping[int, int]],
    take: Callable[[Execution], bool],
    report: Callable[[Piece | None], bool],
) -> bool:
    """Explore everything; `report(piece)` counts a helper's piece (None: start over), true to stop. True at the end."""
    epoch = 0
    frontier, known = Frontier(), _known(explorer, epoch, gates_of())
    spread.start()
    while not frontier.is_over:
        spread.hand_out(frontier, known)
        task = frontier.take()
        began = time.monotonic()
        piece = None
        if task is not None:
            piece = explore(
                explorer,
                known.gates,
                task,
                take,
                lambda done, began=began: (
                    time.monotonic() - began > PIECE_S  # type: ignore[misc]
                    or (done % _LOOK_EVERY == 0 and spread.has_answer())
                ),
            )
            if piece.stopped_at is not None:
                return False
            if not piece.has_learnt and not piece.differs:
                frontier.take_in(task.number, piece)
        pieces = [] if piece is None else [piece]
        for answered in spread.answers(frontier, known, 0.0 if task is not None else 0.1):
            pieces.append(answered.piece)
            explorer.adopt(answered.points)
            spread.note_endings(answered.endings)
            if not answered.piece.has_learnt:
                frontier.take_in(answered.number, answered.piece)
                if report(answered.piece):
                    return False
        if any(each.has_learnt or each.differs for each in pieces):
            epoch += 1
            frontier, known = Frontier(), _known(explorer, epoch, gates_of())
            report(None)
        elif report(Piece()):
            return False
    return True


def _known(explorer: Explorer, epoch: int, gates: Mapping[int, int]) -> Known:
    numbers = dict(explorer.scheduler.task_numbers)
    return Known(epoch, explorer.points_known(), numbers, dict(gates))


def is_possible() -> bool:
    """Whether pipes can be handed to a process that is started."""
    return os.name == "posix"
