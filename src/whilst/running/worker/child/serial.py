"""Calls one after the other, in the worker's main thread: the style of plain process workers.

The loop over short calls is a `for` loop that notes every few dozen calls in the shared page how far it is: that is
how the parent knows, without a message per call, what has not begun. Long calls are timed one by one, and what has
ended is sent every few milliseconds, so that a lazy reader need not wait, and kept in the page until then, so that a
worker that dies takes no result with it.
"""

from __future__ import annotations

import os
from _contextvars import Context
from time import perf_counter_ns, thread_time_ns
from types import CoroutineType

from whilst.running import process_role as share
from whilst.running.calls.one_argument import Awaiter, close_thread, in_copies, one_argument
from whilst.running.worker.child.styles import EndedCalls, Style
from whilst.running.worker.transport.serialization import dumps_short
from whilst.running.worker.transport.status_page import (
    AT_CALLS,
    BEGUN,
    DOING,
    FIRST_SLOT,
    NOTHING,
    SKIP_FROM,
    SKIP_TO,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from whilst.running.worker.child.styles import Channel, LoadedBatch
    from whilst.running.worker.transport.status_page import StatusPage

_SEND_EVERY_NS = 20_000_000
_FEW = 64
_FEW_FUTURES = 8
_LONG_NS = 50_000
"""A call that takes so long is not short."""
_TOGETHER_NS, _MOST_TOGETHER = 20_000, 32
"""Of short calls that take so long together, and of so many, nobody knows which one is running: those can't be taken
back, should they turn out to be long."""
_START = FIRST_SLOT + 1


class _HeldClock:
    """How long this thread has been ready without a core, ever, as far as the kernel says; else always 0.

    As `measuring.clocks.queued_ns`, from a file that stays open: that costs a twentieth, and loads nothing.
    """

    def __init__(self) -> None:
        try:
            self._file = os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._file = -1

    def read_ns(self) -> int:
        if self._file < 0:
            return 0
        try:
            return int(os.pread(self._file, 96, 0).split()[1])
        except (OSError, ValueError, IndexError):  # closed by a call, say
            self._file = -1
            return 0


class Serial(Style):
    """One call at a time."""

    def __init__(self, worker: Channel) -> None:
        self._worker = worker
        self._words = words = worker.page.words
        self._await = Awaiter()
        self._held = _HeldClock()
        worker.output.serial_here = lambda: words[BEGUN]

    def run(self, receive: Callable[[], bool]) -> None:
        while receive():
            pass

    def close(self) -> None:
        self._await.close()
        close_thread()

    def perform(self, work: LoadedBatch) -> None:
        words, head, job = self._words, work.head, work.job
        words[_START] = perf_counter_ns()
        words[DOING] = AT_CALLS
        # Few calls: what it takes to keep the result of each does not matter, even if they are short.
        is_timed = head.is_timed or head.size <= _FEW
        call = one_argument(job.fn, job.head, head.ids or (), self._await)
        if is_timed:
            self._make_timed(work, in_copies(call, job.context, self._await), 0)
        else:
            self._make_untimed(work, call)
        words[FIRST_SLOT] = NOTHING

    def _make_untimed(self, work: LoadedBatch, call: Callable[[Any], Any]) -> None:
        """Short calls: the clock is read around many of them. Those that turn out to be long are timed after all."""
        head, job, made = work.head, work.job, EndedCalls()
        made.awaits = self._await
        cpu_ns, held_ns = thread_time_ns(), self._held.read_ns()
        made.start_ns = perf_counter_ns()
        apart = in_copies(call, job.context, self._await)
        # A context for each call would cost more than a short call itself.
        one, here = (apart, Context) if len(job.context) else (call, job.context.copy)
        are_short = True
        while not made.is_last and (are_short or made.errors):
            are_short = self._make_some(here(), one, work, made)
            made.is_last = (
                made.is_last or len(made.values) == head.size or bool(made.errors and job.head.stops_at_error)
            )
        made.end_ns = perf_counter_ns()
        made.cpu_ns, made.held_ns = thread_time_ns() - cpu_ns, self._held.read_ns() - held_ns
        made.positions = (0, len(made.values))
        if made.is_last:
            work.items.clear()
        self._worker.answer(head, made)
        if not made.is_last:
            self._make_timed(work, apart, made.positions[1])

    def _make_some(self, here: Context, call: Callable[[Any], Any], work: LoadedBatch, made: EndedCalls) -> bool:
        """Make calls in one empty context until one of them sets something in it, which the next must not see.

        Or until the rest is taken back: then what was made is the last of it. False if the calls are not short.
        """
        words, values, items = self._words, made.values, work.items
        first, end = work.head.first_serial, work.head.size

        def make() -> bool:
            at, size, began, was_long = len(values), 1, perf_counter_ns(), False
            while at < end:
                if share.tasks_left is not None:
                    size = 1
                stop = min(at + size, end)
                words[BEGUN] = first + stop - 1
                if share.tasks_left == 0 or (words[SKIP_FROM] < first + stop and first + at < words[SKIP_TO]):
                    made.is_last = True
                    return True
                for item in items[at:stop]:
                    values.append(call(item))
                    if here:
                        if type(values[-1]) is CoroutineType:
                            values.append(self._await(values.pop()))
                        return True
                at, before, began = stop, began, perf_counter_ns()
                if began - before < _TOGETHER_NS:
                    size = min(2 * size, _MOST_TOGETHER)
                    was_long = False
                elif began - before > _LONG_NS * size:
                    if size == 1 and was_long:
                        return False
                    size, was_long = 1, True  # a closer look: perhaps the process had no core for a while
                elif size > 1:
                    size //= 2
            return True

        try:
            return here.run(make)
        except BaseException as error:
            made.errors[len(values)] = error
            values.append(None)
            return True

    def _make_timed(self, work: LoadedBatch, call: Callable[[Any], Any], first: int) -> None:
        """Make calls from the first position on, reading the clock around each."""
        words, head, page = self._words, work.head, self._worker.page
        stops_at_error = work.job.head.stops_at_error
        # A future is awaited by itself, and should not wait for the next call; of many, each would cost an answer.
        is_awaited = work.job.head.how == "call" and head.size <= _FEW_FUTURES
        made, cpu_ns, held_ns, sent_ns = self._begin(), thread_time_ns(), self._held.read_ns(), perf_counter_ns()
        items, last = work.items, head.size - 1
        for position in range(first, head.size):
            serial = head.first_serial + position
            words[BEGUN] = serial
            if words[SKIP_FROM] <= serial < words[SKIP_TO] or share.tasks_left == 0:
                break
            words[FIRST_SLOT] = serial
            item, items[position] = items[position], None
            words[_START] = begun = perf_counter_ns()
            try:
                made.values.append(call(item))
            except BaseException as error:
                made.errors[len(made.values)] = error
                made.values.append(None)
            ended = perf_counter_ns()
            item = None
            made.starts.append(begun)  # type: ignore[union-attr]
            made.ends.append(ended)  # type: ignore[union-attr]
            if position == last or (made.errors and stops_at_error):
                break
            is_kept = not (made.errors or is_awaited) and ended - sent_ns < _SEND_EVERY_NS and _keep(page, serial, made)
            if not is_kept:
                made.positions = (first, len(made.values))
                self._send(work, made, thread_time_ns() - cpu_ns, self._held.read_ns() - held_ns)
                first, sent_ns = position + 1, ended
                made, cpu_ns, held_ns = self._begin(), thread_time_ns(), self._held.read_ns()
        made.positions = (first, len(made.values))
        made.is_last = True
        self._send(work, made, thread_time_ns() - cpu_ns, self._held.read_ns() - held_ns)
        words[FIRST_SLOT] = NOTHING

    def _begin(self) -> EndedCalls:
        made = EndedCalls()
        made.starts, made.ends, made.pickled, made.awaits = [], [], [], self._await
        return made

    def _send(self, work: LoadedBatch, made: EndedCalls, cpu_ns: int, held_ns: int) -> None:
        if made.starts and made.ends:
            made.start_ns, made.end_ns = made.starts[0], made.ends[-1]
        made.cpu_ns, made.held_ns = cpu_ns, held_ns
        self._worker.answer(work.head, made)
        self._worker.page.forget()


def _keep(page: StatusPage, serial: int, made: EndedCalls) -> bool:
    """Put the last value where it outlives this process; False if it has to be sent now instead."""
    data = dumps_short(made.values[-1])
    if data is None or not page.keep(serial, data):
        return False
    made.pickled.append(data)  # type: ignore[union-attr]
    return True
