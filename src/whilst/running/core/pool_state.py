"""The state of a worker pool: a pure state machine, fed with events, that says what is to be done.

It knows which workers there are, what each of them holds, which calls wait, which were tried how often, and
whether the run has failed. It never sees a thread, a process, a clock, an iterator or a result's value: answers
pass through it by reference, a batch at a time. `running.core.driver` feeds it and carries out its instructions.

Invariants (held by tests/running/core/test_pool_state.py over random histories):
- every submitted call is settled exactly once: delivered, failed, or cancelled;
- a call is held by at most one worker, and is begun again only if `retries` allow it;
- no worker holds more than its limit, and none is sent anything after it was stopped, nor before it is ready (but
  for back ends that keep it until then).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from whilst.running.core.call_queue import CallQueue
from whilst.running.core.messages import (
    Deliver,
    Fail,
    Failed,
    Input,
    Instruction,
    Recall,
    Recalled,
    Send,
    Shaped,
    Start,
    Stop,
    Submitted,
    TimedOut,
    TurnedAway,
)
from whilst.running.jobs import (
    Batch,
    Finished,
    Job,
    Limits,
    RunEnd,
    WorkerDied,
    WorkerFailed,
    WorkerReady,
    WorkerStopped,
)

_MOST_FAILED_STARTS = 3
"""When this many workers in a row could not be started, or died before they were ready, no more will be."""


class Held:
    """A batch that a worker holds, and what of it is not answered.

    Answers come from the front and what is taken back from the end, so that mostly two cuts do: only where one
    comes from the midst are the calls told apart one by one.
    """

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.count = len(batch.ids)
        self._ids, self._items = batch.ids, batch.items
        self._open: dict[int, object] | None = None
        """The unanswered calls with their items, once they are told apart."""

    @property
    def open(self) -> dict[int, object]:
        if self._open is None:
            self._open = dict(zip(self._ids, self._items, strict=True))
            self._ids = self._items = ()
        return self._open

    def settle(self, ids: Sequence[int]) -> Sequence[int]:
        """Take answered calls out; return those that were open."""
        count = len(ids)
        if self._open is None and self._ids[:count] == ids:
            self._ids, self._items = self._ids[count:], self._items[count:]
            self.count -= count
            return ids
        calls = self.open
        known = [each for each in ids if calls.pop(each, self) is not self]
        self.count = len(calls)
        return known

    def take(self, wanted: set[int]) -> tuple[Sequence[int], Sequence[object]]:
        """Take out what is not to be made here; return that, with its items."""
        ids: Sequence[int]
        items: Sequence[object]
        if self._open is None:
            rest = self.count - len(wanted.intersection(self._ids))
            ids, items = self._ids[rest:], self._items[rest:]
            if wanted.issuperset(ids):
                self._ids, self._items = self._ids[:rest], self._items[:rest]
                self.count = rest
                return ids, items
        calls = self.open
        ids = [number for number in calls if number in wanted]
        items = [calls.pop(number) for number in ids]
        self.count = len(calls)
        return ids, items


class Worker:
    """What is known of a worker: its state, and the batches that it holds."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.is_ready = False
        self.is_stopping = False
        self.is_abandoned = False
        """A call in it is over its time and can't be ended: it gets nothing more, whatever it does."""
        self.held: dict[int, Held] = {}
        self.calls = 0

    @property
    def is_usable(self) -> bool:
        return self.is_ready and not self.is_stopping


class Roster:
    """Workers by number: which there are, which are up, and which could take a batch now.

    Args:
        room: how many calls more a worker may hold.
        takes_early: a worker may be sent something as soon as it was started.
    """

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
    def ending(self) -> int:
        """Workers that were asked to stop and hold something still."""
        return sum(1 for each in self.workers.values() if each.is_stopping and each.held) if self._stopping else 0

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
        """The worker that gets the next batch. There must be one.

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


class PoolState:
    """See the module's text. Every input is answered with instructions, to be carried out in order."""

    def __init__(
        self,
        limits: Limits,
        end: RunEnd,
        *,
        overlaps: bool = False,
        takes_early: bool = False,
        tried: dict[int, int] | None = None,
    ) -> None:
        self.limits = limits
        self.end = end
        takes_early = takes_early and not limits.begins_when_sent
        self._overlaps, self._takes_early = overlaps, takes_early  # as the back end has them
        self.in_hand = 0
        self.is_input_over = False
        """Nothing more will be submitted."""
        self.shape = Shaped(0)
        self.roster = Roster(self._room, takes_early=takes_early)
        self.workers = self.roster.workers
        self._queue = CallQueue()
        self._tried: dict[int, int] = {} if tried is None else tried
        """How often calls were begun again, whatever the reason."""
        self._next_batch = 0
        self._failed_starts = 0
        self._most: int | None = None
        """How many workers can be had at once, where starting one more has failed."""

    # What others may ask.

    @property
    def is_idle(self) -> bool:
        """Nothing waits and nothing is in hand."""
        return not self.in_hand and not self._queue

    @property
    def waiting(self) -> int:
        """Calls that were submitted and that no worker holds."""
        return len(self._queue)

    @property
    def is_hungry(self) -> bool:
        """A worker would take one more batch now, and none waits for it."""
        if self._queue or self.end.failed_id is not None or self.end.broken is not None:
            return False
        return self.roster.has_taker

    def has_open_below(self, number: int) -> bool:
        """Some call before this one is not settled yet."""
        if any(min(each.ids) < number for each in self._queue):
            return True
        return any(
            min(held.open, default=number) < number
            for worker in self.workers.values()
            for held in worker.held.values()
            if not worker.is_abandoned
        )

    def find(self, worker: int, batch: int, number: int) -> tuple[Job, object] | None:
        """The job and the item of a call that a worker holds."""
        held = self.workers[worker].held.get(batch) if worker in self.workers else None
        return None if held is None or number not in held.open else (held.batch.job, held.open[number])

    def call_of(self, worker: int, number: int) -> tuple[Job, object] | None:
        """The same, whichever batch it is of."""
        batches = self.workers[worker].held if worker in self.workers else ()
        return next((call for batch in batches if (call := self.find(worker, batch, number)) is not None), None)

    # The one way in.

    def handle(self, event: Input) -> list[Instruction]:
        """Take in one event; return what is to be done because of it."""
        match event:
            case Finished():
                return self._finished(event)
            case Submitted():
                self._queue.append(event)
                return self._assign()
            case Shaped():
                self.shape = event
                for worker in self.workers.values():
                    self.roster.place(worker)
                return self._resize() + self._assign()
            case WorkerReady():
                return self._is_ready(event.worker)
            case WorkerStopped():
                return self._gone(event.worker)
            case WorkerDied():
                return self._died(event)
            case WorkerFailed():
                return self._not_started(event)
            case Recalled():
                return self._recalled(event)
            case Failed():
                return self._ended_by(event.id)
            case TimedOut():
                return self._timed_out(event)
            case TurnedAway():
                return self._turned_away(event)

    # Workers come and go.

    def _resize(self) -> list[Instruction]:
        """Start or stop workers until there are as many as wanted."""
        if self.end.broken is not None:
            return []
        wanted = self.shape.workers if self._most is None else min(self.shape.workers, self._most)
        missing = wanted - self.roster.staying
        if missing >= 0:
            return [Start(self.roster.add().number) for _ in range(missing)]
        instructions: list[Instruction] = []
        for worker in self.roster.dispensable(-missing):
            self.roster.note_stopping(worker)
            if worker.held:
                instructions.append(Recall(worker.number))
            instructions.append(Stop(worker.number))
        return instructions

    def _is_ready(self, number: int) -> list[Instruction]:
        worker = self.workers.get(number)
        if worker is None or worker.is_ready:
            return []
        self._failed_starts = 0
        self.roster.note_ready(worker)
        return self._assign()

    def _gone(self, number: int) -> list[Instruction]:
        """A worker ended as asked (or was recycled): what it still held has not begun."""
        worker = self.roster.remove(number)
        if worker is None:
            return []
        self._put_back(self._take_all(worker))
        return self._resize() + self._assign()

    def _not_started(self, event: WorkerFailed) -> list[Instruction]:
        worker = self.roster.remove(event.worker)
        if worker is not None:
            self._put_back(self._take_all(worker))
        return [] if event.is_given_up else self._count_failed_start(event.error) + self._assign()

    def _count_failed_start(self, error: BaseException) -> list[Instruction]:
        """Try again, then go on with the workers that there are; without any the run is over."""
        self._failed_starts += 1
        if self._failed_starts < _MOST_FAILED_STARTS:
            return self._resize()
        self._most = self.roster.staying
        if self._most:
            return []
        self.end.broken = error
        return [Stop(number, kill=True) for number in self.workers]

    def _died(self, event: WorkerDied) -> list[Instruction]:
        worker = self.roster.remove(event.worker)
        if worker is None:
            return []
        open_calls = self._take_all(worker)
        safe = set(event.not_begun)
        instructions: list[Instruction] = []
        moved: list[tuple[Job, int, object]] = []
        again: list[tuple[Job, int, object]] = []
        for job, number, item in open_calls:
            if number in safe:
                moved.append((job, number, item))
            elif self._tried.get(number, 0) < self.limits.retries:
                self._tried[number] = self._tried.get(number, 0) + 1
                again.append((job, number, item))
            else:
                instructions += self._fail(
                    number, item, job, event.error(is_running=number in event.running, retried=self.limits.retries)
                )
        self._put_back(moved)
        for each in again:  # one by one: whichever of them kills its worker takes no other along
            self._put_back([each])
        if not worker.is_ready:
            return instructions + self._count_failed_start(event.error(is_running=False)) + self._assign()
        return instructions + self._resize() + self._assign()

    # Calls come and go.

    def _finished(self, event: Finished) -> list[Instruction]:
        worker = self.workers.get(event.worker)
        held = worker.held.get(event.number) if worker is not None else None
        if worker is None or held is None:
            return []
        before = held.count
        ids = held.settle(event.ids)
        settled = before - held.count
        worker.calls -= settled
        self.in_hand -= settled
        if event.is_last or not held.count:
            del worker.held[event.number]
            worker.calls -= held.count
            self.in_hand -= held.count
        self.roster.place(worker)
        has_ended = bool(event.errors) and self._ends_run(event, ids)
        if event.is_last and held.count:  # the batch stopped at its first error: only what is before it is wanted
            self._put_back([(held.batch.job, number, item) for number, item in held.open.items()])
        instructions: list[Instruction] = [Deliver(ids, event)] if ids else []
        if has_ended:
            return instructions + self._cancel_after_failure()
        return instructions + self._assign()

    def _turned_away(self, event: TurnedAway) -> list[Instruction]:
        worker = self.workers.get(event.worker)
        held = worker.held.get(event.number) if worker is not None else None
        if worker is None or held is None:
            return []
        calls, answered = held.open, set(event.answered)
        # Where the batch ended with the refusal, the rest of it never begins there.
        back = [each for each in calls if each not in answered] if event.is_last else event.ids
        moved = [(held.batch.job, number, calls.pop(number)) for number in back if number in calls]
        held.count = len(calls)
        worker.calls -= len(moved)
        self.in_hand -= len(moved)
        gone = set(event.ids) if event.is_withheld else ()
        for each in reversed(moved):
            if each[1] not in gone:
                self._put_back([each])
        return []

    def _ends_run(self, event: Finished, ids: Iterable[int]) -> bool:
        fatal = [each for each in ids if each in event.errors and self.limits.is_fatal(event.errors[each])]
        for number in fatal:
            self.end.note_failure(number)
        return bool(fatal)

    def _ended_by(self, number: int) -> list[Instruction]:
        self.end.note_failure(number)
        return self._cancel_after_failure()

    def _fail(self, number: int, item: object, job: Job, error: BaseException) -> list[Instruction]:
        instructions: list[Instruction] = [Fail(number, item, job, error)]
        if self.limits.is_fatal(error):
            self.end.note_failure(number)
            instructions += self._cancel_after_failure()
        return instructions

    def _cancel_after_failure(self) -> list[Instruction]:
        """Forget what waits beyond the call that ended the run, and ask for what has not begun."""
        assert self.end.failed_id is not None
        self._queue.cut(self.end.failed_id + 1)
        recalls: list[Instruction] = [Recall(worker.number) for worker in self.workers.values() if worker.held]
        return recalls + self._assign()

    def _recalled(self, event: Recalled) -> list[Instruction]:
        worker = self.workers.get(event.worker)
        if worker is None or not event.ids:
            return []
        wanted = set(event.ids)
        for held in reversed(worker.held.values()):
            ids, items = held.take(wanted)
            worker.calls -= len(ids)
            self.in_hand -= len(ids)
            self._queue.prepend(Submitted(held.batch.job, ids, items), self.end.failed_id)
        return self._assign() if event.is_assigning else []

    def _timed_out(self, event: TimedOut) -> list[Instruction]:
        worker = self.workers.get(event.worker)
        found = None if worker is None else next((h for h in worker.held.values() if event.id in h.open), None)
        if worker is None or found is None:
            return []
        item = found.open.pop(event.id)
        found.count -= 1
        worker.calls -= 1
        self.in_hand -= 1
        self.roster.note_stopping(worker)
        if event.can_kill:
            instructions: list[Instruction] = [Stop(worker.number, kill=True)]
        else:
            worker.is_abandoned = True
            instructions = [Recall(worker.number), Stop(worker.number)]
        if not event.is_withheld:
            instructions += self._fail(event.id, item, found.batch.job, event.error)
        return instructions + self._resize() + self._assign()

    # Handing out.

    def take_open(self) -> list[tuple[Job, int, object]]:
        """Give up all calls that are not settled, in order: whatever becomes of them, nobody waits for it."""
        calls = [each for worker in self.workers.values() for each in self._take_all(worker)]
        for part in self._queue.take_all():
            calls += [(part.job, number, item) for number, item in zip(part.ids, part.items, strict=True)]
        return sorted(calls, key=lambda call: call[1])

    def take_waiting(self) -> list[Submitted]:
        """Give up the calls that wait, in order: another pool is to have them."""
        return self._queue.take_all()

    def rebalance(self) -> list[Instruction]:
        """Ask the worker that holds most for what it has not begun, because another has nothing to do."""
        if not self.roster.idle or self._queue:
            return []
        fullest = max(self.workers.values(), key=lambda worker: worker.calls)
        # Not so few that they are done before they could be handed to another.
        return [Recall(fullest.number)] if fullest.calls > max(self.shape.slots, 2 * self.shape.least - 1) else []

    def _assign(self) -> list[Instruction]:
        """Give what waits to workers with room, the idle ones first."""
        sends: list[Instruction] = []
        while self._queue and self.roster.has_taker:
            sends.append(self._send(self.roster.taker()))
        return sends

    def _room(self, worker: Worker) -> int:
        """How many calls more it may hold; 0 where less than a batch would fit."""
        shape = self.shape
        if self._overlaps:  # whatever is sent begins at once
            return max(shape.slots - worker.calls, 0)
        return max(shape.slots + shape.ahead - len(worker.held), 0) * shape.batch

    def _send(self, worker: Worker) -> Send:
        count = len(self._queue.first.ids)
        size = min(self.shape.batch, self._room(worker), count)
        if self.is_input_over and count > 1:
            # Near the end many small batches, so that nobody is left alone with a big one.
            size = min(size, max(-(-len(self._queue) // (2 * self.roster.serving)), self.shape.least))
        job, ids, items = self._queue.take(size)
        batch = Batch(self._next_batch, job, ids, items, self.shape.is_timed)
        self._next_batch += 1
        worker.held[batch.number] = Held(batch)
        worker.calls += size
        self.in_hand += size
        self.roster.place(worker)
        return Send(worker.number, batch)

    def _take_all(self, worker: Worker) -> list[tuple[Job, int, object]]:
        """Take from a worker all that it holds."""
        calls = [(held.batch.job, number, item) for held in worker.held.values() for number, item in held.open.items()]
        self.in_hand -= len(calls)
        worker.held.clear()
        worker.calls = 0
        return calls

    def _put_back(self, calls: Sequence[tuple[Job, int, object]]) -> None:
        """Let calls wait again, before all others."""
        self._queue.put_back(calls, self.end.failed_id)
