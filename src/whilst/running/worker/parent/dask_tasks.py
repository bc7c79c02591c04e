"""What runs on a worker of a Dask cluster: the calls of one frame, made by a process of whilst's own on that machine.

A Dask worker is one process for many threads, users and runs, so the calls are not made in it: each of its threads that
makes calls for a run has a worker process beside it (`worker.child`), with the run's directory, environment, output and
context. It is started by the first frame, kept for the next, and ended when the run lets go of its last job, however
that comes about: then Dask drops the job's data here.

To Dask a job, a frame and an answer are opaque bytes. Nothing of the user's is loaded in the Dask worker itself.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import threading
import time
import weakref
from _pickle import dumps
from _socket import MSG_DONTWAIT, socketpair
from collections import deque

from whilst._light import Record
from whilst.running.worker.parent import elsewhere, fork
from whilst.running.worker.parent.fork_server_client import Lease, Served, lease
from whilst.running.worker.parent.resource_tracker import TrackerPipe
from whilst.running.worker.parent.standard_streams import standard_output, stderr_tail
from whilst.running.worker.transport import messages
from whilst.running.worker.transport.messages import Answer, BatchHead, JobHead, Spawn
from whilst.running.worker.transport.status_page import (
    BEGUN,
    FIRST_SLOT,
    NOTHING,
    SKIP_FROM,
    SKIP_TO,
    StatusPage,
    anonymous_file,
)
from whilst.running.worker.transport.wire import FrameReader, FrameWriter, decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from whilst.running.worker.transport.wire import Frame

_LOOK_EVERY_S = 0.02
"""A task of which its run wants nothing more is noticed within this time, and a frame that is over its own."""
_LINGERS_S = 20.0
"""The process that forks others, and the thread that looks, wait so long for the next run."""
_PATIENCE_S = 2.0
"""How long an idle process may take to end by itself, and to close what its calls have opened: as on this machine."""
_KNOWN_JOBS = 16
_REMEMBERED = 256
_FAR = (1 << 63) - 1


class Death(Record):
    """Of a process that was making calls, or that never came to it: what its status page said in the end."""

    words: list[int]
    kept: list[tuple[int, bytes]]
    """Results that it had not sent: (serial, pickled)."""
    exit_code: int | None = None
    tail: str = ""
    reason: str = ""


def version() -> str:
    """Of whilst on this machine."""
    found: str = sys.modules["whilst"].__version__
    return found


def introduce(dask_worker: Any) -> tuple[str, int, tuple[int, int], str]:
    """What each Dask worker is asked before anything is sent to it: its id and threads, and which Python and whilst."""
    return dask_worker.id, dask_worker.state.nthreads, sys.version_info[:2], version()


class FarJob:
    """A job's frame, as data of a Dask worker. While one of a run is here, the run's processes are kept."""

    def __init__(self, run: str, number: int, frame: bytes) -> None:
        self.run, self.number, self.frame = run, number, frame
        self._surroundings: bytes | None = None
        with _lock:
            processes = _runs.setdefault(run, _Processes())
            processes.jobs += 1
        weakref.finalize(self, _let_go, run).atexit = False
        # Calls follow: a process starts while they are on their way.
        threading.Thread(target=processes.prepare, daemon=True, name="whilst-starting").start()

    def __reduce__(self) -> tuple[Any, ...]:
        return FarJob, (self.run, self.number, self.frame)

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + len(self.frame)

    def frame_for(self, forgotten: list[int]) -> bytes:
        """The frame for a process of this machine."""
        frame = decode(self.frame)
        head = JobHead(*frame.envelope)
        if self._surroundings is None:
            self._surroundings = elsewhere.as_here(head.surroundings)
        head = head._replace(surroundings=self._surroundings, forgotten=forgotten)
        return encode(messages.JOB, tuple(head), (frame.payload,))


def make_calls(job: FarJob, worker_id: str, seat: int, topic: str | None, limit_s: float, data: bytes) -> bytes:
    """Make the calls of one frame; the task that Dask is given.

    Args:
        job: of the calls.
        worker_id: the very Dask worker that this is meant for, since another may come to have its address.
        seat: the run's number for who makes the calls.
        topic: where to say that the calls begin; None if nobody listens.
        limit_s: when the first call began so long ago, no further one begins: they go back, for whoever is free.
        data: the frame.
    Returns:
        Pickled (frames of answers, offset of this machine's clock in ns, which of the run's processes here made the
        calls, `Death` or None).
    """
    from distributed import get_worker

    worker: Any = get_worker()
    head = BatchHead(*decode(data).envelope)
    if worker.id != worker_id:
        return _refused(NOTHING, "the Dask worker that these calls were sent to has been replaced")
    with _lock:
        processes = _runs[job.run]
        is_new = processes.note_begun(seat, head.first_serial)
    if not is_new:
        return _refused(_FAR, "Dask wanted these calls made a second time")
    watch = _Watch(worker, head, limit_s, None if topic is None else (topic, seat))
    try:
        process = processes.take()
    except Exception as error:
        return _refused(NOTHING, f"no worker process can be started there: {error}")
    try:
        frames, death = process.make(job, head, data, watch)
    except BaseException:
        process.close()
        raise
    processes.give_back(process)
    return dumps((frames, time.time_ns() - time.perf_counter_ns(), process.number, death), 5)


def _refused(begun: int, reason: str) -> bytes:
    words = [NOTHING] * 16
    words[BEGUN] = begun
    return dumps(([], 0, 0, Death(words, [], reason=reason)), 5)


class _Processes:
    """Of one run, in this Dask worker."""

    def __init__(self) -> None:
        self.jobs = 0
        self._making = threading.Lock()
        self._idle: list[_Process] = []
        self._unused: list[int] = []
        """Numbers of processes that are gone."""
        self._most = 0
        self._begun: dict[int, deque[int]] = {}
        self._is_over = False

    def note_begun(self, seat: int, serial: int) -> bool:
        """Whether these calls have not begun here before."""
        begun = self._begun.setdefault(seat, deque(maxlen=_REMEMBERED))
        if serial in begun:
            return False
        begun.append(serial)
        return True

    def prepare(self) -> None:
        """Have one process that waits for calls."""
        try:
            self.give_back(self.take())
        except Exception:  # whoever has calls for it will say so
            return

    def take(self) -> _Process:
        """One that nobody uses, or a new one."""
        with self._making:
            with _lock:
                if self._idle:
                    return self._idle.pop()
                if not self._unused:
                    self._unused.append(self._most)
                    self._most += 1
                number = self._unused.pop()
            return _Process(number)

    def give_back(self, process: _Process) -> None:
        with _lock:
            if process.is_usable and not self._is_over:
                self._idle.append(process)
                return
            self._unused.append(process.number)
        process.close()

    def end(self) -> None:
        with _lock:
            self._is_over = True
            idle, self._idle = self._idle, []
        for process in idle:
            process.end()


_lock = threading.Lock()
_runs: dict[str, _Processes] = {}


def _let_go(run: str) -> None:
    """A job's data is gone; called by the garbage collector, wherever that happens to be: so it waits for nothing."""
    threading.Thread(target=_note_gone, args=(run,), daemon=True, name="whilst-ending").start()


def _note_gone(run: str) -> None:
    with _lock:
        processes = _runs[run]
        processes.jobs -= 1
        if processes.jobs:
            return
        del _runs[run]
    processes.end()


class _Watch:
    """A frame whose calls are being made, as seen by the one thread that looks after all of them (`_look_after`)."""

    def __init__(self, worker: Any, head: BatchHead, limit_s: float, topic: tuple[str, int] | None) -> None:
        self._worker, self._head, self._limit_s, self._topic = worker, head, limit_s, topic
        self._key = worker.get_current_task()
        self._begun_s: float | None = None
        self.process: _Process | None = None
        self.is_unwanted = False

    def look(self, now_s: float) -> None:
        """End the process of what nobody wants; say what has begun; take back what has waited for too long."""
        process, head = self.process, self._head
        if process is None or self.is_unwanted:
            return
        task = self._worker.state.tasks.get(self._key)
        if task is None or task.state != "executing":
            self.is_unwanted = True
            process.kill()
            return
        if self._topic is not None and process.is_in_call:
            (topic, seat), self._topic = self._topic, None
            self._worker.log_event(topic, (seat, head.first_serial))
        if self._begun_s is None:
            self._begun_s = now_s if process.has_begun else None
        elif now_s - self._begun_s > self._limit_s:
            self._limit_s = float("inf")
            process.take_back(head.first_serial + head.size)

    def __enter__(self) -> None:
        global _looks
        with _watching:
            _watches.append(self)
            if not _looks:
                _looks = True
                threading.Thread(target=_look_after, daemon=True, name="whilst-watching").start()
            _watching.notify()

    def __exit__(self, *_: object) -> None:
        with _watching:
            _watches.remove(self)


_watching = threading.Condition()
_watches: list[_Watch] = []
_looks = False
"""There is a thread for it."""


def _look_after() -> None:
    """A thread for each seat that woke up so often would leave a Dask worker of many threads no time for its own."""
    global _looks
    try:
        kept: Lease | None = lease()
    except Exception:  # whoever has calls to make will say so
        kept = None
    with _watching:
        while _watches or _watching.wait(_LINGERS_S):
            _watching.release()
            time.sleep(_LOOK_EVERY_S)
            now_s = time.monotonic()
            _watching.acquire()
            for watch in _watches:
                with contextlib.suppress(Exception):  # of a Dask worker that is closing
                    watch.look(now_s)
        _looks = False
    if kept is not None:
        kept.close()


class _Process:
    """One worker process, and this side's end of it. Used by one thread at a time."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._poll = select.poll()
        self._served = Served(self._poll)
        self._tracker = TrackerPipe(self._poll)
        self._sock, theirs = socketpair()
        fork.private.add(self._sock.fileno())
        self._page, page_fd = StatusPage.create(1)
        self._stderr_fd = anonymous_file("whilst-stderr", 0, is_appended=True)
        self._reader, self._writer = FrameReader(self._sock), FrameWriter(self._sock)
        self._jobs: dict[int, int] = {}
        """The jobs that it knows, by the number that frames have for them: which `FarJob` that was."""
        self._is_open, self._has_ended = True, False
        self._death: tuple[int | None, str] | None = None
        """Exit code and, without one, why it has ended."""
        self._poll.register(self._sock.fileno(), select.POLLIN)
        fds = (theirs.detach(), page_fd, os.dup(self._stderr_fd), standard_output(), self._tracker.writing_end())
        try:
            self._served.start(Spawn(0, "serial", 1, None, is_far=True), fds)
        except BaseException:
            self.close()
            raise

    @property
    def is_usable(self) -> bool:
        return self._is_open and not self._has_ended

    def make(
        self, job: FarJob, head: BatchHead, data: bytes, watch: _Watch
    ) -> tuple[list[tuple[int, Any, bytes]], Death | None]:
        """Send the frame and collect what is answered, until all of it is, the process dies, or nobody wants it."""
        words = self._page.words
        # Serials are the seat's, and a process serves whichever comes. It is at rest: nobody else writes there.
        words[BEGUN], words[SKIP_FROM], words[SKIP_TO] = NOTHING, _FAR, _FAR
        watch.process = self
        with watch:
            frames, death = self._make(job, head, data)
        if watch.is_unwanted:
            self.close()
        return frames, death

    def _make(self, job: FarJob, head: BatchHead, data: bytes) -> tuple[list[tuple[int, Any, bytes]], Death | None]:
        if self._jobs.get(head.job) != job.number:
            self._jobs.pop(head.job, None)
            forgotten = []
            while len(self._jobs) >= _KNOWN_JOBS:
                forgotten.append(next(iter(self._jobs)))
                del self._jobs[forgotten[-1]]
            self._writer.write(job.frame_for(forgotten))
            self._jobs[head.job] = job.number
        self._writer.write(data)
        answered, stops_at_error = _Answered(head.size), JobHead(*decode(job.frame).envelope).stops_at_error
        frames: list[tuple[int, Any, bytes]] = []
        while not answered.is_over:
            for frame in self._look():
                if frame.kind == messages.ANSWER:
                    answered.note(Answer(*frame.envelope), stops_at_error=stops_at_error)
                    frames.append((frame.kind, frame.envelope, bytes(frame.payload)))
            death = None if answered.is_over else self._told_death()
            if death is not None:
                return frames, death
        return frames, None

    @property
    def has_begun(self) -> bool:
        """Whether a call of the frame in hand has."""
        return self._page.words[BEGUN] != NOTHING

    @property
    def is_in_call(self) -> bool:
        """Whether one that is timed is going on."""
        return self._page.words[FIRST_SLOT] != NOTHING

    def take_back(self, end: int) -> None:
        """Have no further call of the frame in hand begin. `end`: the serial after its last."""
        words = self._page.words
        words[SKIP_TO] = end
        words[SKIP_FROM] = words[BEGUN] + 1

    def kill(self) -> None:
        """End the process: whoever waits for it hears of its death."""
        self._served.kill(0)

    def _told_death(self) -> Death | None:
        if self._death is None:
            return None
        exit_code, reason = self._death
        tail = stderr_tail(self._page, self._stderr_fd)
        return Death(list(self._page.words), list(self._page.kept()), exit_code, tail, reason)

    def _look(self, wait_s: float | None = None) -> list[Frame]:
        """Wait for something to read or write, and do that."""
        found: list[Frame] = []
        mask = select.POLLIN | select.POLLOUT if self._writer.is_behind else select.POLLIN
        if not self._has_ended:
            self._poll.modify(self._sock.fileno(), mask)
        for fd, what in self._poll.poll(None if wait_s is None else wait_s * 1000):
            if fd == self._sock.fileno():
                if what & select.POLLOUT:
                    self._writer.flush()
                if what & ~select.POLLOUT:
                    found += self._hear()
                continue
            for _, exit_code, reason in self._served.hear(fd) or ():
                while not self._has_ended and (more := self._hear()):
                    found += more
                self._end_hearing()
                self._death = exit_code, "" if exit_code is not None else reason
        self._tracker.forward()
        return found

    def _hear(self) -> list[Frame]:
        try:
            is_alive = self._reader.fill(MSG_DONTWAIT)
        except BlockingIOError:
            return []
        if not is_alive:
            self._end_hearing()
            return []
        # A frame's payload is to be used before more is read.
        return [frame._replace(payload=memoryview(bytes(frame.payload))) for frame in self._reader.frames()]

    def _end_hearing(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._poll.unregister(self._sock.fileno())

    def end(self) -> None:
        """Have it end by itself, which it may take a moment for."""
        self._writer.write(encode(messages.STOP, None))
        deadline = time.monotonic() + _PATIENCE_S
        while self._death is None and time.monotonic() < deadline:
            self._look(_LOOK_EVERY_S)
        self.close()

    def close(self) -> None:
        """End the process now, with whatever it is doing."""
        if not self._is_open:
            return
        self._is_open = False
        self._end_hearing()
        self._served.close()
        self._tracker.close()
        self._writer.drop()
        self._reader.close()
        fork.private.discard(self._sock.fileno())
        self._sock.close()
        self._page.close()
        os.close(self._stderr_fd)


class _Answered:
    """How much of a frame's calls has been answered; as `TaskChannel` will see it, too."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._is_split = False
        self.is_over = False

    def note(self, answer: Answer, *, stops_at_error: bool) -> None:
        count = len(answer.positions) if isinstance(answer.positions, list) else answer.positions[1]
        # Where some could not be loaded each of the others is answered alone, if only with its being taken back.
        self._left -= count or (answer.is_last and self._is_split)
        kinds = [kind for _, kind, _ in answer.errors or ()]
        self._is_split = self._is_split or messages.LOST_IN_LOADING in kinds
        has_failed = stops_at_error and any(kind != messages.LOST_IN_LOADING for kind in kinds)
        self.is_over = self._left <= 0 or (answer.is_last and (has_failed or not self._is_split))
