"""A Dask cluster: calls on other machines, with the promises that they keep here.

Dask carries bytes, and decides nothing. A worker of ours is one *seat*: one thread of one Dask worker. Each frame for a
worker process is one task, pinned to the seat's Dask worker (no other may run it, and none may run it twice), and
brings back the frames that were answered: what the calls depend on, how errors, prints and large arrays travel and what
is known of a dead process is that of worker processes on this machine (`worker.parent.task_channel`). What runs there
is `worker.parent.dask_tasks`. A job is a task of its own, so that it travels to each Dask worker once, from a
neighbour that has it, and can be made again when that one is lost.

What is in the hands of a Dask worker that is gone counts as begun: nothing tells a dead one from one whose link is cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from _pickle import loads
from _queue import Empty, SimpleQueue
from collections import deque
from importlib import import_module

from whilst.errors import ClusterError
from whilst.running.backends.cluster import CLOSES_WITHIN_S, batch_s
from whilst.running.jobs import Event, Finished, WorkerDied, WorkerFailed, WorkerReady, WorkerStopped, add_to_death
from whilst.running.worker.parent import dask_tasks
from whilst.running.worker.parent.cluster_channel import ClusterChannel, SentJob
from whilst.running.worker.parent.in_flight import InFlight
from whilst.running.worker.transport.shared_memory import Unshared
from whilst.running.worker.transport.status_page import BEGUN, NOTHING, StatusPage
from whilst.running.worker.transport.wire import Frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager
    from typing import Any

    from whilst.running.backends.cluster import Cluster, Place
    from whilst.running.jobs import Batch, Job

    Client = Any
    Future = Any

_LOOK_EVERY_S = 1.0
_PATIENCE_S = 60.0
"""How long a run goes on without a single seat."""
_WARNED_OF_BYTES = 1 << 20
_MOST_REFUSALS = 3
"""In a row."""
_MOST_FETCHES = 2
"""At once: the more there is to fetch, the more is fetched in one round trip."""
_TOGETHER_S = 0.001
"""Frames of so long go to the scheduler together: a graph costs it as much as ten tasks do."""
_FAR = (1 << 63) - 1


class _FarPage(StatusPage):
    """A status page as it was when its process ended."""

    def __init__(self, words: list[int], kept: list[tuple[int, bytes]]) -> None:
        self.words, self._copies, self.slots = words, kept, 1  # type: ignore[assignment]

    def kept(self) -> Any:
        yield from self._copies

    def tail(self) -> str:
        return ""

    def close(self) -> None: ...

    @classmethod
    def with_begun(cls, serial: int) -> _FarPage:
        words = [NOTHING] * 16
        words[BEGUN] = serial
        return cls(words, [])


class _Task:
    """A frame on its way to the scheduler, or there. Belongs to Dask's thread, once it is made."""

    def __init__(self, job: SentJob | None, data: bytes) -> None:
        self.job, self.data = job, data
        self.sent_ns = time.perf_counter_ns()
        self.future: Future = None
        self.is_given_up = False


class _Seat:
    """A worker: who sits there, and what it holds. Frames are written to it."""

    def __init__(self, worker: int, place: Place, submit: Callable[[_Seat, bytes], None]) -> None:
        self.worker, self.place = worker, place
        self.in_flight = InFlight(worker, _FarPage.with_begun(NOTHING))
        self.in_flight.segments_out = Unshared()
        self.job: SentJob | None = None
        """Of the next frame."""
        self.tasks: dict[int, _Task] = {}
        """By the first serial of the frame."""
        self.begun_ns: dict[int, int] = {}
        self.death: WorkerDied | None = None
        """What has become of the calls of a process that died, while others that were sent are waited for."""
        self.is_stopping = False
        self._submit = submit

    def write(self, data: bytes, fds: tuple[int, ...] = ()) -> None:
        """As `FrameWriter.write`."""
        del fds
        self._submit(self, data)


class DaskBackend:
    """One worker is one thread of one Dask worker."""

    name = "dask"
    slots = 1
    can_kill = True
    overlaps = False
    takes_early = False

    def __init__(self, on: Cluster) -> None:
        self._cluster, self._client = on, on.client
        self._run = f"whilst-{uuid.uuid4().hex[:12]}"
        self._inbox: SimpleQueue[Any] = SimpleQueue()
        self._channel = ClusterChannel()
        self._queued: list[Event] = []
        self._seats: dict[int, _Seat] = {}
        self._starting: dict[int, float] = {}
        self._count = 0
        self._rows: dict[tuple[str, int], int] = {}
        """For timelines: the processes there, in the order in which they first answered."""
        self._lost = ""
        """Why nothing can be sent any more."""
        self._is_open, self._is_listening = True, False
        self._unsent: deque[tuple[_Seat, int, _Task]] = deque()
        self._is_sending = False
        """What is unsent will be sent."""
        self._ended: dict[str, tuple[int, int, Future]] = {}
        """By key: whose task has ended, and was not fetched."""
        self._fetches = self._refusals = 0
        self._answered_tasks: list[Future] = []
        """To be let go of with what is sent next: the client waits for 10 ms after each of its messages."""
        self._wanted: Future = None
        """A task that waits for a worker: a cluster that adapts to its tasks starts none without one."""
        on.listen(self._inbox)

    def inherit(self, job: Job, items: Sequence[object], changes_items: Callable[[object], bool]) -> None:
        """Asked of forks alone."""

    def start_worker(self, worker: int) -> None:
        self._starting[worker] = time.monotonic()
        self._find_places()

    def send(self, worker: int, batch: Batch) -> None:
        seat = self._seats.get(worker)
        if seat is None:
            self._add_to_death(worker, batch)
        elif seat.death is not None:
            self._channel.hold(seat.in_flight, batch)
        else:
            if batch.job.timeout_s is not None and not self._is_listening:
                self._is_listening = True
                self._client.subscribe_topic(self._run, lambda event: self._inbox.put(("begun", *event[1])))
            self._queued += self._channel.send(seat.in_flight, seat, batch)  # type: ignore[arg-type]

    def _add_to_death(self, worker: int, batch: Batch) -> None:
        """It has died, and the one who sends has not seen the event yet: these have not begun either."""
        self._channel.note_taken_back(batch.ids)
        add_to_death(self._queued, worker, batch.ids)

    def stop_worker(self, worker: int, *, kill: bool = False) -> None:
        if self._starting.pop(worker, None) is not None:
            self._queued.append(WorkerStopped(worker))
            return
        seat = self._seats.get(worker)
        if seat is None:
            return
        seat.is_stopping = True
        if kill:
            self._lose_seat(seat, "ended as asked")
        else:
            self._settle(seat)

    def running(self, worker: int) -> Sequence[tuple[int, int]]:
        seat = self._seats.get(worker)
        if seat is None:
            return ()
        units = ((seat.in_flight.find_unit(serial), start_ns) for serial, start_ns in seat.begun_ns.items())
        return [(unit.ids[0], start_ns) for unit, start_ns in units if unit is not None and unit.has_open]

    def recall(self, worker: int) -> Sequence[int]:
        """Take back what was not sent. What was may have begun: a batch is short."""
        seat = self._seats.get(worker)
        if seat is None:
            return ()
        recalled, over = seat.in_flight.recall_waiting()
        self._queued += [Finished(worker, batch.number, [], [], 0, 0) for batch in over]
        self._channel.note_taken_back(recalled)
        return recalled

    def events(self, timeout_s: float | None) -> Sequence[Event]:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        is_woken = False
        while True:
            left_s = _LOOK_EVERY_S if deadline is None else min(max(0.0, deadline - time.monotonic()), _LOOK_EVERY_S)
            is_woken = self._take_in(0.0 if self._queued else left_s) or is_woken
            self._look_around()
            self._channel.replay_output(seat.in_flight for seat in self._seats.values())
            if self._queued or is_woken or (deadline is not None and time.monotonic() >= deadline):
                return self._take_events()

    def wake(self) -> None:
        self._inbox.put(None)

    def close(self, *, kill: bool) -> None:
        """What tasks are left is given up: whoever makes their calls notices, and ends its process."""
        del kill  # a driver that can wait has waited before it closes
        if not self._is_open:
            return
        self._is_open = False
        self._cluster.unlisten(self._inbox)
        self._want_no_more()
        tasks = [task for seat in self._seats.values() for task in seat.tasks.values()]
        if not self._cluster.is_lost:
            if tasks:
                with contextlib.suppress(TimeoutError, OSError):
                    self._client.sync(self._cancel, tasks, callback_timeout=CLOSES_WITHIN_S)
            if self._is_listening:
                self._client.unsubscribe_topic(self._run)
        for seat in self._seats.values():
            self._cluster.give_back(seat.place)
        self._seats.clear()
        self._let_go()
        self._channel.release()
        self._channel.close()

    # To the cluster.

    def _job_for(self, job: SentJob, address: str) -> Future:
        """In Dask's thread: the job's future, for calls there."""
        where: dict[str, Any] = {"workers": [address], "allow_other_workers": False} if job.is_small else {}
        name = address if job.is_small else ""
        if name not in job.futures:
            call, key = (dask_tasks.FarJob, self._run, job.number, job.data), f"{self._run}-job-{job.number}-{name}"
            job.futures[name] = self._dispatch(*call, key=key, priority=1, **where)
            if not job.is_small:
                job.data = b""
        return job.futures[name]

    def _dispatch(self, *call: Any, **keywords: Any) -> Future:
        with _without_warning(sum(len(each) for each in call if isinstance(each, bytes))):
            return self._client.submit(*call, pure=False, retries=0, **keywords)

    def _submit(self, seat: _Seat, data: bytes) -> None:
        first = seat.in_flight.units[-1].first_serial
        task = seat.tasks[first] = _Task(seat.job, data)
        self._unsent.append((seat, first, task))
        if not self._is_sending:
            self._is_sending = True
            self._client.loop.add_callback(self._client.loop.call_later, _TOGETHER_S, self._send_all)

    def _send_all(self) -> None:
        """In Dask's thread: send what there is, in one graph for each Dask worker."""
        self._is_sending = False
        self._let_go()
        by_address: dict[str, list[tuple[_Seat, int, _Task]]] = {}
        while self._unsent:
            each = self._unsent.popleft()
            if not each[2].is_given_up:
                by_address.setdefault(each[0].place.address, []).append(each)
        for frames in by_address.values():
            self._send_to_one(frames)

    def _send_to_one(self, frames: list[tuple[_Seat, int, _Task]]) -> None:
        """To the seats of one Dask worker."""
        address = frames[0][0].place.address
        topic = self._run if self._is_listening else None
        limit_s = 2 * batch_s(self._cluster.seats)
        keys = [f"{self._run}-{seat.worker}-{first}" for seat, first, _ in frames]
        where = {"workers": [address], "allow_other_workers": False}
        try:
            calls = [
                (self._job_for(task.job, address), seat.place.worker_id, seat.worker, topic, limit_s, task.data)
                for seat, _, task in frames
                if task.job is not None
            ]
            with _without_warning(sum(len(task.data) for *_, task in frames)):
                futures = self._client.map(
                    dask_tasks.make_calls,
                    *map(list, zip(*calls, strict=True)),
                    key=keys,
                    pure=False,
                    retries=0,
                    **where,
                )
        except Exception as error:  # the client was closed
            for seat, first, _ in frames:
                self._inbox.put(("answer", seat.worker, first, error))
            return
        for (seat, first, task), future in zip(frames, futures, strict=True):
            task.future, task.job, task.data = future, None, b""
            self._client.loop.add_callback(self._follow, seat.worker, first, future)

    def _let_go(self) -> None:
        done, self._answered_tasks = self._answered_tasks, []
        for future in done:
            future.release()

    async def _follow(self, worker: int, first: int, future: Future) -> None:
        """In Dask's thread: wait for an answer, and fetch it with all that there are by then."""
        try:
            error = await future.exception()
        except (asyncio.CancelledError, Exception) as raised:
            error = raised
        if error is not None:
            self._inbox.put(("answer", worker, first, error))
            return
        self._ended[future.key] = worker, first, future
        if self._fetches >= _MOST_FETCHES:
            return
        self._fetches += 1
        try:
            while self._ended:
                await self._fetch()
        finally:
            self._fetches -= 1

    async def _fetch(self) -> None:
        ended, self._ended = self._ended, {}
        found: dict[str, bytes | None] = {}
        with contextlib.suppress(asyncio.CancelledError, Exception):
            futures = {key: future for key, (_, _, future) in ended.items()}
            found = await self._client.gather(futures, errors="skip")
        for key, (worker, first, future) in ended.items():
            result: object = found.get(key)
            if result is None:  # of a Dask worker that is gone since
                try:
                    result = await future
                except (asyncio.CancelledError, Exception) as error:
                    result = error
            self._inbox.put(("answer", worker, first, result))

    async def _cancel(self, tasks: Iterable[_Task]) -> None:
        """In Dask's thread."""
        futures = []
        for task in tasks:
            task.is_given_up = True
            if task.future is not None:
                futures.append(task.future)
        if futures:
            with contextlib.suppress(Exception):  # without a connection there is nobody to tell
                await self._client.cancel(futures, force=True)

    # From it.

    def _take_in(self, timeout_s: float) -> bool:
        """Take in what has come; True if it was `wake`."""
        is_woken = False
        try:
            message = self._inbox.get(block=timeout_s > 0, timeout=timeout_s or None)
            while True:
                if message is None:
                    is_woken = True
                else:
                    self._handle(*message)
                message = self._inbox.get(block=False)
        except Empty:
            return is_woken

    def _handle(self, kind: str, *rest: Any) -> None:
        if kind == "answer":
            self._answered(*rest)
        elif kind == "begun":
            worker, serial = rest
            if worker in self._seats:
                self._seats[worker].begun_ns[serial] = time.perf_counter_ns()
        elif kind == "gone":
            for seat in [each for each in self._seats.values() if each.place.address == rest[0]]:
                self._lose_seat(seat, f"the Dask worker {rest[0]} is gone")
        else:
            self._find_places()

    def _look_around(self) -> None:
        if self._cluster.is_lost:
            self._lose_all(f"the Dask scheduler at {self._cluster.address} is gone, or its client was closed")
            return
        self._cluster.look()
        self._find_places()
        if self._starting and not self._cluster.seats and self._wanted is None:
            self._wanted = self._dispatch(dask_tasks.version, key=f"{self._run}-wanted")
        if self._starting and not self._seats:
            now = time.monotonic()
            if all(now - since > _PATIENCE_S for since in self._starting.values()):
                self._fail_starting(f"The cluster at {self._cluster.address} has had no worker for {_PATIENCE_S:g} s.")

    def _find_places(self) -> None:
        if self._lost:
            self._fail_starting(self._lost)
        for worker in list(self._starting):
            place = self._cluster.take()
            if place is None:
                return
            del self._starting[worker]
            self._want_no_more()
            self._seats[worker] = _Seat(worker, place, self._submit)
            self._queued.append(WorkerReady(worker))

    def _want_no_more(self) -> None:
        if self._wanted is not None:
            self._wanted.release()
            self._wanted = None

    def _fail_starting(self, why: str) -> None:
        for worker in self._starting:
            self._queued.append(WorkerFailed(worker, ClusterError(f"{why} Start workers, or leave out on=.")))
        self._starting.clear()

    def _take_events(self) -> list[Event]:
        """All there are, up to an end of a worker; that comes alone: see `ProcessBackend`."""
        ends = (index for index, event in enumerate(self._queued) if type(event) in {WorkerDied, WorkerStopped})
        first = next(ends, len(self._queued))
        events, self._queued = self._queued[: first or 1], self._queued[first or 1 :]
        return events

    def _answered(self, worker: int, first: int, result: object) -> None:
        seat = self._seats.get(worker)
        if seat is None or first not in seat.tasks:
            return
        task = seat.tasks.pop(first)
        seat.begun_ns.pop(first, None)
        if isinstance(result, bytes):
            self._answered_tasks.append(task.future)
            frames, offset_ns, number, death = loads(result)
            # A Dask worker begins what is ready on whichever of its threads is free.
            made_by = self._rows.setdefault((seat.place.address, number), len(self._rows))
            here_ns = offset_ns - (time.time_ns() - time.perf_counter_ns())
            for kind, envelope, payload in frames:
                frame = Frame(kind, envelope, memoryview(payload), ())
                events = self._channel.receive(seat.in_flight, seat, frame)  # type: ignore[arg-type]
                self._queued += [_shifted(event, here_ns, task.sent_ns, made_by) for event in events]
            if death is not None:
                self._note_death(seat, first, death)
                self._count_refusal(seat, death)
            else:
                self._refusals = 0
                self._queued += self._channel.settle_unanswered(seat.in_flight, first)
        elif self._cluster.is_lost:
            self._lose_all(f"the Dask scheduler at {self._cluster.address} is gone, or its client was closed")
            return
        else:
            self._client.loop.add_callback(self._cancel, [task])
            reason = f"its task was given up by Dask: {type(result).__name__} {result}"
            self._note_death(seat, first, _unknown(_FarPage.with_begun(_FAR), reason))
        self._settle(seat)

    def _count_refusal(self, seat: _Seat, death: dask_tasks.Death) -> None:
        """Where no seat has had a call begun, the next would not either."""
        if death.exit_code is not None or death.words[BEGUN] != NOTHING:
            return
        self._refusals += 1
        if self._refusals > max(_MOST_REFUSALS, self._cluster.seats):
            self._lose_all(f"the Dask worker {seat.place.address} makes no calls: {death.reason}")

    def _note_death(self, seat: _Seat, first: int, death: dask_tasks.Death) -> None:
        """The process that was making the calls of this frame is dead: sort them, and leave all others be."""
        in_flight = seat.in_flight
        others = deque(unit for unit in in_flight.units if unit.first_serial != first)
        waiting, in_flight.waiting = in_flight.waiting, deque()
        in_flight.units = deque(unit for unit in in_flight.units if unit.first_serial == first)
        in_flight.page = _FarPage(death.words, death.kept)
        self._queued += self._channel.recover(in_flight)
        fates = in_flight.sort_by_fate()
        self._channel.suspect(fates.suspects)
        in_flight.units, in_flight.waiting = others, waiting
        before = seat.death or WorkerDied(seat.worker)
        seat.death = WorkerDied(
            seat.worker,
            (*before.running, *fates.running),
            (*before.not_begun, *fates.not_begun),
            (*before.lost, *fates.lost),
            death.exit_code,
            death.tail,
            death.reason,
        )

    def _settle(self, seat: _Seat) -> None:
        """Say what has become of a seat, once nothing of it is under way."""
        if seat.tasks or self._seats.get(seat.worker) is not seat:
            return
        if seat.death is not None:
            recalled, _ = seat.in_flight.recall_waiting()
            self._bury(seat, seat.death._replace(not_begun=(*seat.death.not_begun, *recalled)))
        elif seat.is_stopping and not seat.in_flight.is_holding:
            self._bury(seat, WorkerStopped(seat.worker))

    def _bury(self, seat: _Seat, event: WorkerDied | WorkerStopped) -> None:
        del self._seats[seat.worker]
        self._cluster.give_back(seat.place)
        if isinstance(event, WorkerDied):
            self._channel.note_taken_back(event.not_begun)
        seat.in_flight.close()
        self._queued.append(event)

    def _lose_seat(self, seat: _Seat, reason: str) -> None:
        """All that was sent there may have begun, and nobody will tell."""
        if seat.tasks and not self._cluster.is_lost:
            # A dead worker's tasks would wait for one of its address.
            self._client.loop.add_callback(self._cancel, list(seat.tasks.values()))
        for first in list(seat.tasks):
            del seat.tasks[first]
            running = seat.begun_ns.pop(first, None)
            page = _FarPage.with_begun(_FAR if running is None else first)
            if running is not None:
                page.words[8], page.words[9] = first, running
            self._note_death(seat, first, _unknown(page, reason))
        if seat.death is None:
            seat.death = WorkerDied(seat.worker, reason=reason)
        self._settle(seat)

    def _lose_all(self, reason: str) -> None:
        self._lost = f"{reason[0].upper()}{reason[1:]}."
        for seat in list(self._seats.values()):
            self._lose_seat(seat, reason)
        self._fail_starting(self._lost)


def _without_warning(size_bytes: int) -> AbstractContextManager[Any]:
    """Dask advises against what is as large as this; it has to travel, and does so once."""
    if size_bytes <= _WARNED_OF_BYTES:
        return contextlib.nullcontext()
    found: AbstractContextManager[Any] = import_module("dask.config").set(
        {"distributed.admin.large-graph-warning-threshold": "1 PiB"}
    )
    return found


def _unknown(page: StatusPage, reason: str) -> dask_tasks.Death:
    """What is said of a process of which nothing is known but this."""
    return dask_tasks.Death(list(page.words), [], reason=reason)


def _shifted(event: Event, by_ns: int, sent_ns: int, made_by: int | None = None) -> Event:
    """An answer in the time of this machine's clock, whose offset to the other's is known as well as both are set."""
    if not isinstance(event, Finished) or not event.end_ns:
        return event
    now_ns = time.perf_counter_ns()
    if event.end_ns + by_ns > now_ns:
        by_ns = now_ns - event.end_ns
    by_ns = max(by_ns, sent_ns - event.start_ns)
    starts, ends = event.starts_ns, event.ends_ns
    return event._replace(
        start_ns=event.start_ns + by_ns,
        end_ns=event.end_ns + by_ns,
        made_by=made_by,
        starts_ns=None if starts is None else [each + by_ns for each in starts],
        ends_ns=None if ends is None else [each + by_ns for each in ends],
    )
