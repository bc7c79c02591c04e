"""Several processes explore one tree: this one gives pieces to workers and explores some itself.

A worker is a fork of this process where that is safe (Linux, no other threads), and goes on with what is known. Else it
is a Python of its own, started afresh, that imports setup and tasks by name. It sees the same places as events
(`site_keys`) and is told what has been learnt. Whatever becomes of it, nothing is lost: a piece is
taken in whole or given to somebody else. A worker that sees other events than this process is not asked again.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any, Final

from whilst.checking.explorer.execution import Execution
from whilst.checking.explorer.explorer import Explorer
from whilst.checking.search.subtrees import SubtreeQueue, SubtreeResult, explore

PIECE_S: Final = 0.15  # how long a piece is explored before what is left of it is shared
_OWN_PIECE_S: Final = 0.5  # the same for ours, of which we share as soon as somebody has nothing to do
_LOOK_EVERY: Final = 4  # executions of our own between two looks for answers
_AHEAD: Final = 2  # pieces that a worker is given at a time


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker needs to begin with: references (see `tokens`), and the rest of the question."""

    where: tuple[str, ...]
    orders: object
    limits: object
    path: tuple[str, ...]
    started: tuple[int, ...]  # what the clocks show at the start of every execution


@dataclass(frozen=True, slots=True)
class KnownSites:
    """What has been learnt so far; pieces of an earlier epoch count no more."""

    epoch: int
    site_keys: frozenset[str]
    task_numbers: dict[tuple[int, int], int]
    gates: dict[int, int]


@dataclass(slots=True)
class Answered:
    """A worker's answer: what came of a piece, and what it knows by now."""

    epoch: int
    number: int
    piece: SubtreeResult
    site_keys: frozenset[str]
    endings: frozenset[Any]
    raised: frozenset[tuple[int, str]]


class _Fork:
    """A child process, as far as one is needed here."""

    def __init__(self, serve: Callable[[], object]) -> None:
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # until the child ignores it
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # the other thread, a watchdog, holds nothing
                self._pid = os.fork()
            if not self._pid:
                try:
                    signal.signal(signal.SIGINT, signal.SIG_IGN)
                    serve()
                finally:
                    os._exit(0)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)

    def wait(self) -> None:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


class _Worker:
    """A process and our end of the pipe to it."""

    def __init__(self, assignment: Assignment, serve: Callable[[Connection], object] | None) -> None:
        self.connection, theirs = Pipe()
        self.process: _Fork | subprocess.Popen[bytes]
        try:
            if serve is not None:
                self.process = _Fork(functools.partial(serve, theirs))
            else:
                self.process = _fresh_python(assignment, theirs.fileno())
        finally:
            theirs.close()
        self.given: list[tuple[int, int]] = []  # (epoch, number) of what it has been given and not answered
        self.epoch = -1
        self.is_ready = serve is not None
        self.is_dead = False
        if serve is None:
            self.send(assignment)

    def send(self, message: object) -> bool:
        """Whether it is still there to take it."""
        try:
            self.connection.send(message)
        except OSError:
            self.is_dead = True
        return not self.is_dead

    def end(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.wait()


def _fresh_python(assignment: Assignment, fd: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", f"import sys; sys.path[:] = {list(assignment.path)!r}; "
               f"from whilst.checking.answering.parallel_worker import main; main({fd})"]  # fmt: skip
    return subprocess.Popen(  # our own interpreter and code
        command, pass_fds=(fd,), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )


def can_fork() -> bool:
    """Whether a copy of this process can go on exploring: on Linux, with no threads but ours, the main thread."""
    if not sys.platform.startswith("linux") or threading.current_thread() is not threading.main_thread():
        return False
    return len(threading.enumerate()) == 1 and len(sys._current_frames()) <= 2  # noqa: SLF001  # a bare watchdog


class ParallelSearch:
    """The workers, from the first time they are needed until `close`.

    `serve` is what a fork of this process does with its end of the pipe; a fresh interpreter imports all it needs.
    """

    def __init__(
        self,
        assignment: Assignment,
        workers: int,
        note: Callable[[Answered], None],
        serve: Callable[[Connection], object] | None = None,
    ) -> None:
        self._assignment, self._count, self.note = assignment, workers, note
        self._serve = serve
        self.workers: list[_Worker] = []
        self.executions = 0  # by workers
        self.trouble = ""

    def start(self) -> None:
        serve = self._serve_alone if self._serve is not None and can_fork() else None
        while len(self.workers) < self._count:
            self.workers.append(_Worker(self._assignment, serve))

    def _serve_alone(self, connection: Connection) -> None:
        """In a fork: close the pipes of workers that were started earlier."""
        assert self._serve is not None
        for worker in self.workers:
            worker.connection.close()
        self._serve(connection)

    def close(self) -> None:
        """Leave no process behind."""
        while self.workers:
            self.workers.pop().end()

    def _talking(self) -> dict[Connection, _Worker]:
        some = [each for each in self.workers if not each.is_dead and (each.given or not each.is_ready)]
        return {each.connection: each for each in some}

    @property
    def is_hungry(self) -> bool:
        """Whether somebody has nothing to do."""
        return any(each.is_ready and not each.is_dead and not each.given for each in self.workers)

    def hand_out(self, queue: SubtreeQueue, known: KnownSites) -> None:
        """Give every idle worker something to do, then every one something to do next: it never waits for us."""
        for most in range(1, _AHEAD + 1):
            for worker in self.workers:
                if not worker.is_ready or worker.is_dead or len(worker.given) >= most:
                    continue
                task = queue.take()
                if task is None:
                    return
                if worker.epoch != known.epoch:
                    worker.epoch = known.epoch
                    worker.send(known)
                worker.given.append((known.epoch, task.number))
                if not worker.send(task):
                    self._lose(worker, queue, known)

    def _lose(self, worker: _Worker, queue: SubtreeQueue, known: KnownSites) -> None:
        """It is gone; what it was at, others may do."""
        for epoch, number in worker.given:
            if epoch == known.epoch:
                queue.give_back(number)
        worker.given.clear()
        worker.is_dead = True
        self.trouble = self.trouble or "a process that shared the search ended early"

    def answers(self, queue: SubtreeQueue, known: KnownSites, timeout_s: float) -> list[Answered]:
        """What has come in; pieces of workers that are gone go back."""
        talking = self._talking()
        out = []
        for connection in wait(list(talking), timeout_s) if talking else ():
            assert isinstance(connection, Connection)
            worker = talking[connection]
            try:
                answered = pickle.loads(connection.recv_bytes())  # from our own process
            except (EOFError, OSError):
                self._lose(worker, queue, known)
                continue
            if answered is None:
                worker.is_ready = True
            elif isinstance(answered, str):
                self.trouble = self.trouble or answered
                self._lose(worker, queue, known)
            elif answered.piece.differs and answered.epoch == known.epoch:
                self.trouble = self.trouble or answered.piece.differs
                self._lose(worker, queue, known)
            else:
                worker.given.remove((answered.epoch, answered.number))
                if answered.epoch == known.epoch:
                    self.executions += answered.piece.executions
                    out.append(answered)
        return out


def search_in_parallel(
    explorer: Explorer,
    parallel: ParallelSearch,
    queue: SubtreeQueue,
    gates_of: Callable[[], Mapping[int, int]],
    take: Callable[[Execution], bool],
    report: Callable[[SubtreeResult | None], bool],
) -> bool:
    """Explore everything; `report(piece)` counts a worker's piece (None: start over), true to stop. True at the end."""
    known = _known(explorer, 0, gates_of())
    came: list[SubtreeResult] = []

    def exchange(timeout_s: float) -> bool:
        """Take in what workers have done and give them more; whether our own piece is to be shared or dropped."""
        for answered in parallel.answers(queue, known, timeout_s):
            explorer.adopt(answered.site_keys)
            parallel.note(answered)
            came.append(answered.piece)
            if not answered.piece.has_learnt:
                queue.take_in(answered.number, answered.piece)
        parallel.hand_out(queue, known)
        return parallel.is_hungry or any(each.has_learnt or each.stopped_at is not None for each in came)

    parallel.start()
    while not queue.is_over:
        exchange(0.0)
        task = queue.take()
        own = None
        if task is not None:
            deadline = time.monotonic() + _OWN_PIECE_S
            own = explore(
                explorer,
                known.gates,
                task,
                take,
                lambda done, deadline=deadline: (  # type: ignore[misc]
                    done % _LOOK_EVERY == 0 and (exchange(0.0) or time.monotonic() > deadline)
                ),
            )
            if own.stopped_at is not None:
                return False
            if not own.has_learnt and not own.differs:
                queue.take_in(task.number, own)
        elif not came:
            exchange(0.1)
        pieces, came[:] = list(came), []
        if (own is not None and (own.has_learnt or own.differs)) or any(each.has_learnt for each in pieces):
            queue, known = SubtreeQueue(), _known(explorer, known.epoch + 1, gates_of())
            report(None)
        elif any(report(each) for each in pieces) or report(SubtreeResult()):
            return False
    return True


def _known(explorer: Explorer, epoch: int, gates: Mapping[int, int]) -> KnownSites:
    numbers = dict(explorer.scheduler.task_numbers)
    return KnownSites(epoch, explorer.known_site_keys(), numbers, dict(gates))


def is_possible() -> bool:
    """Whether pipes can be handed to a process that is started."""
    return os.name == "posix"
