"""A worker's life from fork to exit: what surrounds the calls, whichever way they are made.

Reads frames, loads jobs and arguments, has a *style* (serial, threaded, looped) make the calls, and sends their
columns back. Whatever a user's object does while it is loaded or pickled is the failure of one call.
"""

from __future__ import annotations

import array
import os
import sys
import time
from _contextvars import Context
from _socket import socket
from _thread import RLock
from types import CoroutineType

from whilst.running import process_role
from whilst.running.calls.bare import light_import
from whilst.running.worker.captured_output import OutputCapture
from whilst.running.worker.child import environment, warning_filters
from whilst.running.worker.child.serial import Serial
from whilst.running.worker.child.styles import EndedCalls, LoadedBatch, LoadedJob, Style
from whilst.running.worker.transport import messages, serialization
from whilst.running.worker.transport.messages import Answer, BatchHead, JobHead
from whilst.running.worker.transport.shared_memory import SegmentOwner, SegmentReader, Unshared
from whilst.running.worker.transport.status_page import (
    AT_LOADING,
    AT_REST,
    DOING,
    RETIRED,
    SKIP_FROM,
    SKIP_TO,
    StatusPage,
)
from whilst.running.worker.transport.wire import FrameReader, encode, send_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from whilst.running.worker.transport.wire import Frame

_FAILED_EXIT = 70
_RSS_EVERY_NS = 50_000_000


class Worker:
    """The channel to the parent and what hangs on it."""

    def __init__(
        self,
        sock: socket,
        page: StatusPage,
        output: OutputCapture,
        memory_limit_bytes: int | None,
        *,
        items: Sequence[Any] = (),
        is_far: bool = False,
    ) -> None:
        self.sock = sock
        self.page = page
        self.output = output
        self.style: Style
        self.pid = os.getpid()
        # A fork of a big program is as big from the start, and shares nearly all of that.
        self._limit_bytes = None if memory_limit_bytes is None else _resident_bytes() + memory_limit_bytes
        self._items = items
        """Those that it was forked with."""
        self._looked_ns = 0
        self._reader = FrameReader(sock)
        self._jobs: dict[int, LoadedJob] = {}
        self._raw_jobs: dict[int, tuple[JobHead, Any]] = {}
        self._current: LoadedJob | None = None
        self._segments_in = SegmentReader()
        self._segments_out = Unshared() if is_far else SegmentOwner()
        self._is_over = False
        self._lock = RLock()

    def receive(self, flags: int = 0) -> bool:
        """Wait for frames and handle them; False once there is nothing more to come."""
        if self._is_over:
            return False
        if not self._reader.fill(flags):
            self._is_over = True
            return False
        return self.handle_frames()

    def handle_frames(self) -> bool:
        for frame in self._reader.frames():
            if frame.kind == messages.BATCH:
                self._take_batch(frame)
                if process_role.tasks_left == 0 or self.is_over_its_limit():
                    self.page.words[RETIRED] = 1
                    self._is_over = True
                    return False
            elif frame.kind == messages.JOB:
                self._take_job(frame)
            elif frame.kind == messages.STOP:
                self._is_over = True
                return False
        return True

    def is_over_its_limit(self) -> bool:
        """Looked at now and then, between two batches."""
        if self._limit_bytes is None:
            return False
        now = time.perf_counter_ns()
        if now - self._looked_ns < _RSS_EVERY_NS:
            return False
        self._looked_ns = now
        return _resident_bytes() > self._limit_bytes

    def _take_job(self, frame: Frame) -> None:
        head = JobHead(*frame.envelope)
        for number in head.forgotten:
            self._jobs.pop(number, None)
            self._raw_jobs.pop(number, None)
        self._jobs.pop(head.id, None)
        with self._lock:
            stream, buffers = serialization.opened(head.place, frame, self._segments_in)
        if head.place is None:
            stream = memoryview(bytes(stream))
        # Loaded by the first batch, in its surroundings: what goes wrong there is an error of that batch's calls.
        self._raw_jobs[head.id] = (head, (stream, buffers))

    def _job(self, number: int) -> LoadedJob:
        job = self._jobs.get(number)
        if job is None:
            head, (stream, buffers) = self._raw_jobs.pop(number)
            context = self._settle(head)
            error = None
            program = environment.program_of(head.surroundings)
            if program is not None:
                state: Any = light_import("whilst.running.worker.child.program_state")
                try:
                    context.run(state.install, program)
                except BaseException as failed:
                    error = failed
            # Copied: a function is kept, the segment is wanted back.
            values, failures = context.run(serialization.unpack, head.shape, stream, buffers, is_copying=True)
            if program is not None:
                state.share_definitions(values[0])
            job = self._jobs[number] = LoadedJob(head, context, values[0], failures.get(0, error))
            self._current = job
        elif job is not self._current:
            self._settle(job.head)
            self._current = job
        return job

    def _settle(self, head: JobHead) -> Context:
        context = environment.settle(head.surroundings, head.native_threads)
        self.output.settle(*environment.log_settings(head.surroundings))
        return context

    def _take_batch(self, frame: Frame) -> None:
        head = BatchHead(*frame.envelope)
        with self._lock:
            self._segments_out.take_back(head.given_back)
            self._segments_in.drop(head.dropped)
        words = self.page.words
        if words[SKIP_FROM] <= head.first_serial and head.first_serial + head.size <= words[SKIP_TO]:
            self._skip(head, frame)
            return
        words[DOING] = AT_LOADING
        job = self._job(head.job)
        with self._lock:
            stream, buffers = serialization.opened(head.place, frame, self._segments_in)
        failures: dict[int, BaseException] = {}
        if head.inherited is None:
            loading = job.context.copy()
            items, failures = loading.run(serialization.unpack, head.shape, stream, buffers, is_copying=False)
        elif isinstance(head.inherited, tuple):
            items = list(self._items[slice(*head.inherited)])
        else:
            items = [self._items[number] for number in head.inherited]
        del stream, buffers
        warning_filters.settle_again()
        self.output.watch_logging()
        if job.load_error is not None:
            failures = dict.fromkeys(range(head.size), job.load_error)
        if failures:
            self._refuse(head, failures)
            good = [position for position in range(head.size) if position not in failures]
            for position in good:
                part = head._replace(
                    first_serial=head.first_serial + position,
                    size=1,
                    ids=None if head.ids is None else [head.ids[position]],
                )
                self.style.perform(LoadedBatch(part, job, [items[position]]))
        else:
            self.style.perform(LoadedBatch(head, job, items))
        self.page.words[DOING] = AT_REST

    def _skip(self, head: BatchHead, frame: Frame) -> None:
        """All of it was taken back: the arguments are not even loaded, lest that does something."""
        with self._lock:
            serialization.opened(head.place, frame, self._segments_in)
        made = EndedCalls()
        made.is_last = True
        self.answer(head, made)

    def _refuse(self, head: BatchHead, failures: dict[int, BaseException]) -> None:
        """Answer for the calls whose arguments can't be rebuilt here: they have not begun."""
        made = EndedCalls()
        made.positions = sorted(failures)
        made.values = [None] * len(failures)
        made.start_ns = made.end_ns = time.perf_counter_ns()
        from whilst.running.worker.transport.exceptions import describe

        errors = [
            (index, messages.LOST_IN_LOADING, describe(failures[position]))
            for index, position in enumerate(made.positions)
        ]
        self.answer(head, made, errors)

    def answer(self, head: BatchHead, made: EndedCalls, errors: list[tuple[int, int, Any]] | None = None) -> None:
        """Send calls that have ended."""
        if os.getpid() != self.pid:
            # A fork made by the user's function has come back here: in a worker there is no rest of the program.
            leave(0)
        with self._lock:
            self._answer(head, made, errors)

    def _answer(self, head: BatchHead, made: EndedCalls, errors: list[tuple[int, int, Any]] | None) -> None:
        if made.pickled is not None and len(made.pickled) == len(made.values):
            shape = list(map(len, made.pickled)), [0] * len(made.pickled)
            packed = serialization.Packed(shape, made.pickled, [], {})
        else:
            packed = serialization.pack(made.values, shares_main=process_role.has_parents_main())
            if packed.failures and made.awaits is not None and _await_all(made, made.awaits):
                packed = serialization.pack(made.values, shares_main=process_role.has_parents_main())
        told = [*errors] if errors else []
        if made.errors or packed.failures:
            told += self._errors_of(made, packed)
        parcel = serialization.parcel(packed, self._segments_out)
        made.values.clear()
        dropped, self._segments_out.dropped = self._segments_out.dropped, []
        envelope = (
            head.first_serial,
            made.positions,
            made.is_last,
            packed.shape,
            None if parcel.place is None else tuple(parcel.place),
            made.start_ns,
            made.end_ns,
            _column(made.starts),
            _column(made.ends),
            made.cpu_ns,
            made.held_ns,
            told or None,
            self.output.take(),
            self._segments_in.given_back(),
            dropped,
            made.lane,
        )
        assert len(envelope) == len(Answer._fields)
        data = encode(messages.ANSWER, envelope, parcel.payload, int(parcel.fd >= 0))
        if parcel.fd >= 0:
            send_all(self.sock, data, (parcel.fd,))
            os.close(parcel.fd)
        else:
            send_all(self.sock, data)

    def say_last(self) -> None:
        """No more calls are made: send what was said as what they shared was closed."""
        said = self.output.take()
        if said is not None:
            send_all(self.sock, encode(messages.LAST_OUTPUT, (said,)))

    def _errors_of(self, made: EndedCalls, packed: serialization.Packed) -> list[tuple[int, int, Any]]:
        from whilst.running.worker.transport.exceptions import describe

        told: list[tuple[int, int, Any]] = []
        for index, error in made.errors.items():
            told.append((index, messages.RAISED, describe(error)))
        for index, error in packed.failures.items():
            from whilst.running.worker.transport.pickle_errors import find_culprit

            told.append((index, messages.UNPICKLABLE, (*find_culprit(made.values[index]), describe(error))))
        return told


def _await_all(made: EndedCalls, awaits: Callable[[Any], Any]) -> bool:
    """Await the coroutines among values that nobody took for such. True if there were any."""
    found = [index for index, value in enumerate(made.values) if type(value) is CoroutineType]
    for index in found:
        try:
            made.values[index] = Context().run(awaits, made.values[index])
        except BaseException as error:
            made.values[index] = None
            made.errors[index] = error
    return bool(found)


def _column(times_ns: list[int] | None) -> bytes | None:
    if times_ns is None:
        return None
    return array.array("q", times_ns).tobytes()


def _resident_bytes() -> int:
    try:
        # Not a file object: its machinery is more memory for a young fork to touch than all that comes before it.
        fd = os.open("/proc/self/statm", os.O_RDONLY)
        try:
            return int(os.read(fd, 256).split()[1]) * os.sysconf("SC_PAGE_SIZE")
        finally:
            os.close(fd)
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def enter(spawn: messages.Spawn, sock: socket, page_fd: int, stderr_fd: int) -> None:
    """Be a worker until the parent has had enough. Does not return."""
    code = _FAILED_EXIT
    try:
        page = StatusPage(page_fd, spawn.slots)
        os.close(page_fd)
        output = OutputCapture(page, stderr_fd)
        worker = Worker(sock, page, output, spawn.memory_limit_bytes, items=spawn.items, is_far=spawn.is_far)
        worker.style = _style(spawn, worker)
        output.install()
        process_role.is_worker = True
        send_all(sock, encode(messages.READY, (worker.pid,)))
        worker.style.run(worker.receive)
        worker.style.close()
        worker.say_last()
        code = 0
    except (BrokenPipeError, ConnectionResetError):
        code = 0
    except BaseException:
        import traceback

        os.write(stderr_fd, traceback.format_exc().encode())
    leave(code)


def _style(spawn: messages.Spawn, worker: Worker) -> Style:
    if spawn.style == "threads":
        from whilst.running.worker.child.threaded import Threaded

        return Threaded(worker, spawn.slots)
    if spawn.style == "loop":
        from whilst.running.worker.child.looped import Looped

        return Looped(worker)
    return Serial(worker)


def leave(code: int) -> None:
    """End this process as Python would, without waiting for daemon threads."""
    try:
        threading: Any = sys.modules.get("threading")
        if threading is not None:
            threading._shutdown()
        atexit: Any = sys.modules.get("atexit")
        if atexit is not None:
            atexit._run_exitfuncs()
    except BaseException:  # noqa: S110 - the user's own exit handlers; nobody is left to be told
        pass
    finally:
        os._exit(code)
