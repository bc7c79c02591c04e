"""Calls on several threads of one worker: for calls that both work and wait, or that release the GIL.

The main thread receives; a call that ends is answered by the thread that made it, together with all others that
have ended while the last answer was being sent.
"""

from __future__ import annotations

import threading
from _queue import SimpleQueue
from time import perf_counter_ns, thread_time_ns

from whilst.running.calls.one_argument import (
    Awaiter,
    close_thread,
    drawing,
    in_copies,
    one_argument,
    per_worker_function,
)
from whilst.running.worker.child.styles import EndedCalls, Style, vital
from whilst.running.worker.transport.serialization import dumps_short
from whilst.running.worker.transport.status_page import BEGUN, FIRST_SLOT, NOTHING, SKIP_FROM, SKIP_TO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from whilst.running.worker.child.styles import Channel, LoadedBatch

_SHORT_NS = 200_000
_FEW = 64
_SEND_EVERY_NS = 2_000_000


class Collected:
    """Calls of one unit that have ended, and how many have not."""

    def __init__(self, work: LoadedBatch) -> None:
        self.work = work
        self.left = work.head.size
        self.has_failed = False
        """A call of these has raised. Those after it need not begin; earlier ones, in other units, must."""
        self.made = self._nothing()

    def add(
        self, position: int, value: Any, error: BaseException | None, start_ns: int, end_ns: int, cpu_ns: int = 0
    ) -> None:
        made = self.made
        made.cpu_ns += cpu_ns
        if error is not None:
            made.errors[len(made.values)] = error
        made.positions.append(position)  # type: ignore[union-attr]
        made.values.append(value)
        made.starts.append(start_ns)  # type: ignore[union-attr]
        made.ends.append(end_ns)  # type: ignore[union-attr]
        self.left -= 1

    def take(self) -> EndedCalls:
        made, self.made = self.made, self._nothing()
        made.is_last = self.left == 0
        if made.starts and made.ends:
            made.start_ns, made.end_ns = min(made.starts), max(made.ends)
        return made

    @staticmethod
    def _nothing() -> EndedCalls:
        made = EndedCalls()
        made.positions = []
        made.starts, made.ends = [], []
        return made


class Threaded(Style):
    """As many calls at once as there are slots."""

    def __init__(self, worker: Channel, slots: int) -> None:
        self._worker = worker
        self._words = worker.page.words
        self._queue: SimpleQueue[tuple[Collected, int, Any] | None] = SimpleQueue()
        self._here = threading.local()
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._ended: list[Collected] = []
        self._open = 0
        self._is_short = False
        self._sent_ns = 0
        self._is_idle = threading.Condition(self._lock)
        worker.output.serial_here = lambda: getattr(self._here, "serial", -1)
        self._threads = [
            threading.Thread(target=self._work, args=(slot,), name=f"whilst-{slot}", daemon=True)
            for slot in range(slots)
        ]
        for thread in self._threads:
            thread.start()

    def run(self, receive: Callable[[], bool]) -> None:
        while receive():
            pass

    def close(self) -> None:
        with self._is_idle:
            while self._open or self._ended:
                self._is_idle.wait()
        # An answer may still be on its way.
        with self._sending:
            pass
        if per_worker_function("close_thread") is not None:
            for _ in self._threads:
                self._queue.put(None)
            for thread in self._threads:
                thread.join()

    def perform(self, work: LoadedBatch) -> None:
        collected = Collected(work)
        with self._lock:
            self._open += work.head.size
        for position, item in enumerate(work.items):
            self._queue.put((collected, position, item))
        work.items.clear()

    def _work(self, slot: int) -> None:
        with vital:
            self._serve(slot)
        close_thread()

    def _serve(self, slot: int) -> None:
        at = FIRST_SLOT + 2 * slot
        words, here, awaits, page = self._words, self._here, Awaiter(), self._worker.page
        while (entry := self._queue.get()) is not None:
            collected, position, item = entry
            work = collected.work
            many = work.head.size > _FEW
            here.serial = serial = work.head.first_serial + position
            with self._lock:
                words[BEGUN] = max(words[BEGUN], serial)
                words[at] = serial
                is_taken = words[SKIP_FROM] <= serial < words[SKIP_TO]
                is_over = is_taken or (work.job.head.stops_at_error and collected.has_failed)
            if is_over:
                self._skip(collected, at)
            else:
                value, error = None, None
                ids = work.head.ids
                call = one_argument(work.job.fn, work.job.head, () if ids is None else (ids[position],), awaits)
                call = in_copies(call, work.job.context, awaits)
                cpu_ns = thread_time_ns()
                words[at + 1] = begun = perf_counter_ns()
                try:
                    with drawing(work.job.fn, work.job.head.seed):
                        value = call(item)
                except BaseException as raised:
                    error = raised
                    collected.has_failed = True
                ended = perf_counter_ns()
                cpu_ns = thread_time_ns() - cpu_ns
                data = None if error is not None else dumps_short(value)
                with self._lock:
                    if data is not None:
                        page.keep(serial, data)
                    words[at] = NOTHING
                    collected.add(position, value, error, begun, ended, cpu_ns)
                    if collected not in self._ended:
                        self._ended.append(collected)
                    self._is_short = ended - begun < _SHORT_NS
            entry = collected = item = value = error = work = call = None  # type: ignore[assignment]
            # Where calls are short, an answer for each would cost more than the call: the next one sends this too.
            may_wait = many and self._is_short and not self._queue.empty()
            if not (may_wait and perf_counter_ns() - self._sent_ns < _SEND_EVERY_NS):
                self._send()
            with self._is_idle:
                self._open -= 1
                if not self._open:
                    self._is_idle.notify_all()
        awaits.close()

    def _skip(self, collected: Collected, at: int) -> None:
        with self._lock:
            self._words[at] = NOTHING
            collected.left -= 1
            if collected.left == 0 and collected not in self._ended:
                self._ended.append(collected)

    def _send(self) -> None:
        """Send what has ended, unless a thread is at it: that one will send this too."""
        while self._ended and self._sending.acquire(blocking=False):
            page = self._worker.page
            try:
                self._sent_ns = perf_counter_ns()
                while True:
                    with self._lock:
                        if not self._ended:
                            page.forget()
                            break
                        collected = self._ended.pop(0)
                        made = collected.take()
                    self._worker.answer(collected.work.head, made)
            finally:
                self._sending.release()
