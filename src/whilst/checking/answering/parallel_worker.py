"""Inside a process that helps with a search: import the question, then explore the pieces that come."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from whilst.checking.answering.checker import Checker
from whilst.checking.explain.tokens import resolve
from whilst.checking.explorer.explorer import Explorer
from whilst.checking.judge.judge import Judge
from whilst.checking.question import Question
from whilst.checking.search.parallel import PIECE_S, Answered, Assignment, KnownSites
from whilst.checking.search.subtrees import SubtreeTask, explore


def main(fd: int) -> None:
    """Serve until the pipe closes, which it does when the other end is gone, in whatever way."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the process that asked
    with Connection(fd) as connection, contextlib.suppress(EOFError, OSError):
        _serve(connection)
    os._exit(0)  # threads that tasks left must not keep it


def _serve(connection: Connection) -> None:
    assignment: Assignment = connection.recv()
    try:
        setup, outcome, invariant, always, *tasks = map(resolve, assignment.where)
        question = Question(setup, tuple(tasks), outcome, invariant, assignment.orders, always=always)  # type: ignore[arg-type]
    except Exception as error:  # whatever importing the user's code raises
        _refuse(connection, f"another process could not import setup and tasks: {error!r}")
        return
    with Explorer(question.program, assignment.limits, started=assignment.started) as explorer:  # type: ignore[arg-type]
        checker = Checker(question, explorer, time.monotonic())
        if checker.prepare() is not None:
            _refuse(connection, "the tasks do not come to an end in another process")
            return
        connection.send_bytes(pickle.dumps(None))  # ready
        _explore_pieces(connection, explorer, checker.judge)


def go_on(connection: Connection, checker: Checker) -> None:
    """In a fork of the process that asked."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(null, standard)
    checker.explorer.begin_in_fork()
    with connection, contextlib.suppress(EOFError, OSError):
        _explore_pieces(connection, checker.explorer, checker.judge)


def _explore_pieces(connection: Connection, explorer: Explorer, judge: Judge) -> None:
    known = KnownSites(-1, frozenset(), {}, {})
    while True:
        message = connection.recv()
        if isinstance(message, KnownSites):
            known = message
            explorer.adopt(known.site_keys)
            judge.begin()
            explorer.scheduler.task_numbers.clear()
            explorer.scheduler.task_numbers.update(known.task_numbers)
            continue
        _answer(connection, explorer, judge, known, message)


def _answer(connection: Connection, explorer: Explorer, judge: Judge, known: KnownSites, task: SubtreeTask) -> None:
    endings, raised = set(judge.endings), set(judge.raised)
    piece = explore(explorer, known.gates, task, judge, _until(time.monotonic() + PIECE_S))
    new = frozenset(judge.endings - endings)
    site_keys = explorer.known_site_keys() if piece.has_learnt else frozenset()
    connection.send_bytes(
        _packed(Answered(known.epoch, task.number, piece, site_keys, new, frozenset(judge.raised - raised)))
    )


def _until(deadline: float) -> Callable[[int], bool]:
    return lambda _: time.monotonic() > deadline


def _packed(answered: Answered) -> bytes:
    try:
        return pickle.dumps(answered)
    except Exception:  # an ending may hold what can't be pickled; it only counts how many there are
        answered.endings = frozenset(map(repr, answered.endings))
        return pickle.dumps(answered)


def _refuse(connection: Any, why: str) -> None:
    """In place of being ready."""
    connection.send_bytes(pickle.dumps(why))
