"""The workers of a pool: which there are, which are up, and which could take a batch now.

Pure book-keeping for `running.core.pool_state`; knows nothing of calls but how many a worker holds.
"""

from __future__ import annotations

from itertools import islice

from whilst.running.core.holding import Worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Roster"]


class Roster:
    """Workers by number.

    Args:
        room: how many calls more a worker may hold.
        takes_early: a worker may be sent something as soon as it was started.
    """

    __slots__ = ("_hungry", "_idle", "_next", "_room", "_stopping", "_takes_early", "ready", "starting", "workers")

    def __init__(self, room: Callable[[Worker], int], *, takes_early: bool) -> None:
        self.workers: dict[int, Worker] = {}
        self.starting = 0
        """Workers that were started and are not ready yet."""
        self.ready = 0
        """Workers that are ready and were not asked to stop."""
        self._stopping = 0
        self._room = room
        self._takes_early = takes_early
        # Those that can take a batch now, in the order in which they came to it.
        self._idle: dict[int, Worker] = {}
        self._hungry: dict[int, Worker] = {}
        self._next = 0

    @property
    def staying(self) -> int:
        """Workers that were not asked to stop."""
        return len(self.workers) - self._stopping

    @property
    def serving(self) -> int:
        """Workers that may be sent something."""
        return self.staying if self._takes_early else self.ready

    @property
    def idle(self) -> int:
        """Workers that could begin with something at once."""
        return len(self._idle)

    @property
    def has_taker(self) -> bool:
        return bool(self._idle or self._hungry)

    def taker(self) -> Worker:
        """Who gets the next batch. There must be one.

        Of those with nothing to do the one that was busy last: its caches are warm, and one that never had work may
        not be needed.
        """
        return next(reversed(self._idle.values())) if self._idle else next(iter(self._hungry.values()))

    def dispensable(self, count: int) -> list[Worker]:
        """Those to lose first: not even started, then idle for longest, then holding least."""
        if not self.starting and len(self._idle) >= count:
            return list(islice(self._idle.values(), count))
        serving = [worker for worker in self.workers.values() if not worker.is_stopping]
        serving.sort(key=lambda worker: (worker.is_ready, worker.calls, -worker.number))
        return serving[:count]

    def add(self) -> Worker:
        """One more, which is about to be started."""
        worker = self.workers[self._next] = Worker(self._next)
        self._next += 1
        self.starting += 1
        self.place(worker)
        return worker

    def note_ready(self, worker: Worker) -> None:
        worker.is_ready = True
        self.starting -= 1
        if not worker.is_stopping:
            self.ready += 1
        self.place(worker)

    def note_stopping(self, worker: Worker) -> None:
        if not worker.is_stopping:
            worker.is_stopping = True
            self._stopping += 1
            self.ready -= worker.is_ready
            self.place(worker)

    def remove(self, number: int) -> Worker | None:
        """It is gone; return what is known of it."""
        worker = self.workers.pop(number, None)
        if worker is not None:
            self._idle.pop(number, None)
            self._hungry.pop(number, None)
            self.starting -= not worker.is_ready
            self.ready -= worker.is_usable
            self._stopping -= worker.is_stopping
        return worker

    def place(self, worker: Worker) -> None:
        """Note whether it can take a batch, after anything about it has changed."""
        self._idle.pop(worker.number, None)
        self._hungry.pop(worker.number, None)
        if worker.is_usable or (self._takes_early and not worker.is_stopping):
            if not worker.held:
                self._idle[worker.number] = worker
            elif self._room(worker):
                self._hungry[worker.number] = worker
