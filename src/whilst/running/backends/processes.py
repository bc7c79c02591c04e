"""Worker processes; and base of all back ends whose workers speak in frames, each an interpreter of its own.

Workers are forked by a clean server process (`worker.child.fork_server`), so it matters neither how many threads this
program has nor whether it guards its main module. Each worker has a socket for frames and a page of shared memory
(`worker.transport.status_page`) in which it notes what it is doing: which calls were running, lost or not begun when a
worker died is read there, and needs no message per call. Nothing outlives `close`.

With `is_forked` they are forks of this program instead (`running.worker.parent.fork`), all of them.

With `slots` above one a worker makes its calls on that many threads, or as coroutines of one event loop.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from _socket import MSG_DONTWAIT, socketpair

from whilst.errors import InterpreterEndingError, WhilstError
from whilst.running.calls.deferred_signals import DeferredSignals
from whilst.running.jobs import (
    Batch,
    Event,
    Finished,
    Job,
    WorkerDied,
    WorkerFailed,
    WorkerReady,
    WorkerStopped,
    add_to_death,
)
from whilst.running.worker.parent import fork
from whilst.running.worker.parent.fork import Forks
from whilst.running.worker.parent.in_flight import InFlight
from whilst.running.worker.parent.inherited_items import InheritedItems, are_light
from whilst.running.worker.parent.resource_tracker import TrackerPipe
from whilst.running.worker.parent.standard_streams import standard_output, stderr_tail
from whilst.running.worker.parent.task_channel import TaskChannel
from whilst.running.worker.transport import messages
from whilst.running.worker.transport.messages import Spawn
from whilst.running.worker.transport.status_page import StatusPage, anonymous_file
from whilst.running.worker.transport.wire import Frame, FrameReader, FrameWriter, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable, Sequence

    from whilst.running.worker.parent.fork_server_client import Served

_PATIENCE_S = 2.0
"""How long a `close` that does not kill waits for workers to end by themselves."""


class _Worker:
    """This side's end of a worker."""

    def __init__(self, number: int, sock: socket, page: StatusPage, stderr_fd: int, starter: Forks | Served) -> None:
        self.number = number
        self.sock = sock
        fork.private.add(sock.fileno())
        self.page = page
        self.stderr_fd = stderr_fd
        self.reader = FrameReader(sock)
        self.writer = FrameWriter(sock)
        self.in_flight = InFlight(number, page)
        self.in_flight.shares_main = starter.shares_main
        self.starter = starter
        self.is_ready = self.is_stopping = self.is_told_to_stop = self.has_ended = False

    def close(self) -> None:
        self.writer.drop()
        self.reader.close()
        self.in_flight.close()
        fork.private.discard(self.sock.fileno())
        self.sock.close()
        self.page.close()
        os.close(self.stderr_fd)


class ProcessBackend:
    """One worker is one process."""

    can_kill = True

    def __init__(
        self,
        *,
        slots: int = 1,
        overlaps: bool = False,
        native_threads: int | None = None,
        memory_limit_bytes: int | None = None,
        is_forked: bool = False,
    ) -> None:
        self.slots = slots
        self._is_forked = is_forked
        # Who waits for a server to start may have made the calls himself by then.
        self.takes_early = is_forked
        self.overlaps = overlaps
        self.name = "processes"
        self._style = "serial"
        if overlaps:
            self.name, self._style = "processes*eventloop", "loop"
        elif slots > 1:
            self.name, self._style = "processes*threads", "threads"
        self._memory_limit_bytes = memory_limit_bytes
        self._channel = TaskChannel(native_threads)
        self._workers: dict[int, _Worker] = {}
        self._by_fd: dict[int, _Worker] = {}
        self._queued: list[Event] = []
        self._poll = _poll()
        self._served: Served | None = None
        self._forks = Forks(self._poll)
        self._tracker = TrackerPipe(self._poll)
        self._woken, self._wakes = os.pipe()
        for fd in (self._woken, self._wakes):
            os.set_blocking(fd, False)
        self._poll.register(self._woken, select.POLLIN)
        self._is_open = True
        self._owner = os.getpid()

    def inherit(self, job: Job, items: Sequence[object], changes_items: Callable[[object], bool]) -> None:
        if not are_light(items):
            self._channel.inherited = InheritedItems(job, items, changes_items)

    def start_worker(self, worker: int) -> None:
        try:
            with DeferredSignals():  # between its start and the note that it is there
                self._spawn(worker)
        except WhilstError as error:
            self._queued.append(WorkerFailed(worker, error))
        except (OSError, MemoryError) as error:
            from whilst.running.worker.parent.machine_limits import machine_limit

            self._queued.append(WorkerFailed(worker, machine_limit(error)))
        except RuntimeError as error:
            self._queued.append(WorkerFailed(worker, InterpreterEndingError.of("A worker process", error)))

    def send(self, worker: int, batch: Batch) -> None:
        target = self._workers.get(worker)
        if target is None:
            self._add_to_death(worker, batch)
            return
        if target.has_ended:
            # It is about to be said what has become of its calls: of these too.
            self._channel.hold(target.in_flight, batch)
            return
        self._queued += self._channel.send(target.in_flight, target.writer, batch)
        self._watch_writing(target)

    def _add_to_death(self, worker: int, batch: Batch) -> None:
        """It has died, and the one who sends has not seen the event yet: these have not begun either."""
        self._channel.note_taken_back(batch.ids)
        add_to_death(self._queued, worker, batch.ids)

    def stop_worker(self, worker: int, *, kill: bool = False) -> None:
        target = self._workers.get(worker)
        if target is None:
            return
        target.is_stopping = True
        if kill:
            target.starter.kill(worker)
        else:
            self._say_stop(target)

    def running(self, worker: int) -> Sequence[tuple[int, int]]:
        target = self._workers.get(worker)
        return () if target is None else target.in_flight.running()

    def recall(self, worker: int) -> Sequence[int]:
        target = self._workers.get(worker)
        if target is None:
            return ()
        recalled, over = target.in_flight.recall_waiting()
        self._queued += [Finished(worker, batch.number, [], [], 0, 0) for batch in over]
        back = [*target.in_flight.recall(), *recalled]
        self._channel.note_taken_back(back)
        return back

    def events(self, timeout_s: float | None) -> Sequence[Event]:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        is_woken = False
        while True:
            left_s = 0.0 if self._queued else None if deadline is None else max(0.0, deadline - time.monotonic())
            is_woken = self._look(left_s) or is_woken
            self._channel.replay_output(worker.in_flight for worker in self._workers.values())
            if self._queued or is_woken or (left_s is not None and left_s <= 0):
                return self._take_events()

    def _take_events(self) -> list[Event]:
        """All there are, up to an end of a worker; that comes alone.

        Whoever handles what stands before it may send to that worker still: those calls are added to its death, and
        have to be when it is handled.
        """
        ends = (index for index, event in enumerate(self._queued) if type(event) in {WorkerDied, WorkerStopped})
        first = next(ends, len(self._queued))
        events, self._queued = self._queued[: first or 1], self._queued[first or 1 :]
        return events

    def _look(self, timeout_s: float | None) -> bool:
        """Wait for something to read or write, and do that; True if it was `wake`."""
        is_woken = False
        ready = self._poll.poll(None if timeout_s is None else timeout_s * 1000)
        self._tracker.forward()
        for fd, what in ready:
            if fd == self._woken:
                self._drain_wakes()
                is_woken = True
            elif (worker := self._by_fd.get(fd)) is not None:
                if what & select.POLLOUT:
                    worker.writer.flush()
                    self._watch_writing(worker)
                if what & ~select.POLLOUT:
                    self._hear_worker(worker)
            else:
                with DeferredSignals():  # who is not reaped now never is
                    self._hear_starters(fd)
        return is_woken

    def wake(self) -> None:
        # Full: it will wake anyway. Closed: nobody waits.
        with contextlib.suppress(OSError):
            os.write(self._wakes, b"w")

    def close(self, *, kill: bool) -> None:
        if not self._is_open:
            return
        if self._owner != os.getpid():
            # In a fork that the user has made: the workers are the parent's.
            if self._served is not None:
                self._served.abandon()
            self._tracker.drop()
            self._let_go()
            return
        try:
            self._end_workers(kill=kill)
        finally:
            with DeferredSignals():
                self._forks.close()
                if self._served is not None:
                    self._served.close()
                self._tracker.close()
                self._let_go()
            self._channel.close()  # writes what calls have printed, which may take its time

    def _let_go(self) -> None:
        """Close what is open here."""
        self._is_open = False
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()
        self._by_fd.clear()
        os.close(self._woken)
        os.close(self._wakes)
        self._wakes = -1  # for `wake`: the number may be another's file soon

    def _spawn(self, number: int) -> None:
        starter = self._starter()
        with contextlib.ExitStack() as undo:
            ours, theirs = socketpair()
            undo.callback(theirs.close)
            undo.callback(ours.close)
            page, page_fd = StatusPage.create(self.slots)
            undo.callback(os.close, page_fd)
            undo.callback(page.close)
            stderr_fd = anonymous_file("whilst-stderr", 0, is_appended=True)
            undo.pop_all()
        worker = _Worker(number, ours, page, stderr_fd, starter)
        try:
            self._launch(worker, (theirs.detach(), page_fd, os.dup(stderr_fd)))
        except BaseException:
            worker.close()
            raise
        self._workers[number] = worker
        self._by_fd[ours.fileno()] = worker
        self._poll.register(ours.fileno(), select.POLLIN)

    def _starter(self) -> Forks | Served:
        """Who starts the next worker. Asked first: a descriptor opened for it would count as a reason not to fork."""
        if self._is_forked:
            # Never a clean one beside those: it would not have what the program has set.
            fork.wait_for_rest()
            return self._forks
        if self._served is None:
            from whilst.running.worker.parent.fork_server_client import Served

            self._served = Served(self._poll)
        return self._served

    def _launch(self, worker: _Worker, fds: tuple[int, int, int]) -> None:
        """Start a worker on its ends of the socket, the page and stderr, which are its to close."""
        spawn = Spawn(worker.number, self._style, self.slots, self._memory_limit_bytes)
        if self._is_forked and self._channel.inherited is not None:
            spawn = spawn._replace(items=self._channel.inherited.items)
            worker.in_flight.has_items = True
        worker.starter.start(spawn, (*fds, standard_output(), self._tracker.writing_end()))

    def _watch_writing(self, worker: _Worker) -> None:
        if not worker.has_ended:
            mask = select.POLLIN | select.POLLOUT if worker.writer.is_behind else select.POLLIN
            self._poll.modify(worker.sock.fileno(), mask)

    def _drain_wakes(self) -> None:
        try:
            while os.read(self._woken, 4096):
                pass
        except BlockingIOError:
            pass

    def _hear_worker(self, worker: _Worker) -> bool:
        """Read what it has to say; False if there is nothing more."""
        try:
            is_alive = worker.reader.fill(MSG_DONTWAIT)
        except BlockingIOError:
            return False
        if not is_alive:
            # How it ended, the server will say.
            self._unwatch(worker)
            return False
        for frame in worker.reader.frames():
            self._take(worker, frame)
        return True

    def _take(self, worker: _Worker, frame: Frame) -> None:
        if frame.kind == messages.READY:
            worker.is_ready = True
            self._queued.append(WorkerReady(worker.number, frame.envelope[0]))
        elif frame.kind == messages.ANSWER:
            self._queued += self._channel.receive(worker.in_flight, worker.writer, frame)
            if worker.is_stopping:
                self._say_stop(worker)
            self._watch_writing(worker)
        elif frame.kind == messages.LAST_OUTPUT:
            self._channel.hold_last_output(frame.envelope[0])

    def _say_stop(self, worker: _Worker) -> None:
        """It ends when it comes to this, so it must be the last thing that is sent."""
        if not worker.in_flight.waiting and not worker.is_told_to_stop:
            worker.is_told_to_stop = True
            worker.writer.write(encode(messages.STOP, None))
            self._watch_writing(worker)

    def _unwatch(self, worker: _Worker) -> None:
        if self._by_fd.pop(worker.sock.fileno(), None) is not None:
            self._poll.unregister(worker.sock.fileno())
        worker.has_ended = True

    def _hear_starters(self, fd: int) -> None:
        """Somebody's end is told of."""
        for starter in (self._forks, self._served):
            for number, exit_code, reason in (starter.hear(fd) or ()) if starter is not None else ():
                worker = self._workers.get(number)
                if worker is not None:
                    self._bury(worker, exit_code, reason)

    def _bury(self, worker: _Worker, exit_code: int | None, reason: str) -> None:
        """It has ended: hear what it had to say before, then say what has become of its calls."""
        while not worker.has_ended and self._hear_worker(worker):
            pass
        self._unwatch(worker)
        del self._workers[worker.number]
        tail = stderr_tail(worker.page, worker.stderr_fd)
        in_flight = worker.in_flight
        if not worker.is_ready and not in_flight.is_holding and not worker.is_stopping:
            message = f"A worker process could not be started: {reason}"
            self._queued.append(WorkerFailed(worker.number, WhilstError(f"{message}\n{tail}" if tail else message)))
        elif not in_flight.is_holding and not exit_code and (worker.is_stopping or in_flight.is_retired):
            self._queued.append(WorkerStopped(worker.number))
        else:
            self._queued += self._channel.recover(in_flight)
            fates = in_flight.sort_by_fate()
            self._channel.suspect(fates.suspects)
            self._channel.note_taken_back(fates.not_begun)
            if in_flight.is_retired and exit_code == 0:
                reason = "over its memory limit"
            elif exit_code is not None:
                reason = ""
            self._queued.append(
                WorkerDied(worker.number, fates.running, fates.not_begun, fates.lost, exit_code, tail, reason),
            )
        worker.close()

    def _end_workers(self, *, kill: bool) -> None:
        """Have all end, and wait until they have; those that don't in time are killed."""
        for is_killing in (True,) if kill else (False, True):
            for number in list(self._workers):
                self.stop_worker(number, kill=is_killing)
            deadline = time.monotonic() + _PATIENCE_S
            while self._workers and (left := deadline - time.monotonic()) > 0:
                self._queued.clear()
                self._look(left)


def _poll() -> select.poll:
    """A new one, also where eventlet's patches have taken it out of the module (its `select` serves no other use)."""
    if hasattr(select, "poll"):
        return select.poll()
    from importlib.util import find_spec, module_from_spec

    spec = find_spec("select")
    assert spec is not None
    assert spec.loader is not None
    unpatched = module_from_spec(spec)
    spec.loader.exec_module(unpatched)
    poll: select.poll = unpatched.poll()
    return poll
