"""Coroutines in flight on one event loop per worker: thousands of waits next to the work on several cores."""

from __future__ import annotations

import asyncio
from _socket import MSG_DONTWAIT
from collections import deque
from time import perf_counter_ns, thread_time_ns

from whilst.running.calls.one_argument import awaited, of_item, per_worker_function, with_own_draws
from whilst.running.worker.child.styles import Style, vital
from whilst.running.worker.child.threaded import Collected
from whilst.running.worker.transport.serialization import dumps_short
from whilst.running.worker.transport.status_page import BEGUN, FIRST_SLOT, NOTHING, SKIP_FROM, SKIP_TO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import ContextVar
    from typing import Any

    from whilst.running.worker.child.styles import Channel, LoadedBatch

_SEND_EVERY_S = 0.002


class Looped(Style):
    """As many coroutines in flight as there are slots; further calls wait for a slot."""

    def __init__(self, worker: Channel) -> None:
        from contextvars import ContextVar

        self._worker = worker
        self._words = worker.page.words
        self._free = deque(range(worker.page.slots))
        self._waiting: deque[tuple[Collected, int, Any]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: list[Collected] = []
        self._serial: ContextVar[int] = ContextVar("serial", default=-1)
        self._is_over = False
        self._sent_s = 0.0
        self._cpu_ns = thread_time_ns()
        self._loop: asyncio.AbstractEventLoop
        self._done: asyncio.Future[None]
        worker.output.serial_here = self._serial.get

    def run(self, receive: Callable[[], bool]) -> None:
        del receive  # the loop waits instead

        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            self._done = self._loop.create_future()
            self._loop.add_reader(self._worker.sock.fileno(), self._hear)
            await self._done
            close_loop = per_worker_function("close_loop")
            if close_loop is not None:
                await close_loop(self._loop)

        with asyncio.Runner() as runner:
            runner.run(serve())

    def close(self) -> None:
        """Nothing is left: `run` ends when all is done."""

    def perform(self, work: LoadedBatch) -> None:
        collected = Collected(work)
        self._waiting.extend((collected, position, item) for position, item in enumerate(work.items))
        work.items.clear()
        self._begin()

    def _hear(self) -> None:
        with vital:
            try:
                more = self._worker.receive(MSG_DONTWAIT)
            except BlockingIOError:
                return
            if not more:
                self._is_over = True
                self._loop.remove_reader(self._worker.sock.fileno())
                self._finish()

    def _begin(self) -> None:
        while self._waiting and self._free:
            collected, position, item = self._waiting.popleft()
            head, job = collected.work.head, collected.work.job
            serial = head.first_serial + position
            words = self._words
            words[BEGUN] = max(words[BEGUN], serial)
            is_taken = words[SKIP_FROM] <= serial < words[SKIP_TO]
            if is_taken or (job.head.stops_at_error and collected.has_failed):
                collected.left -= 1
                if collected.left == 0:
                    self._report(collected)
                continue
            slot = self._free.popleft()
            words[FIRST_SLOT + 2 * slot] = serial
            context = job.context.copy()
            context.run(self._serial.set, serial)
            task = self._loop.create_task(self._call(collected, position, item, slot), context=context)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _call(self, collected: Collected, position: int, item: Any, slot: int) -> None:
        work, at = collected.work, FIRST_SLOT + 2 * slot
        value, error = None, None
        self._words[at + 1] = begun = perf_counter_ns()
        try:
            given = awaited(of_item(work.job.fn, work.job.head.how)(item))
            if work.head.ids is not None:
                given = with_own_draws(given, work.job.head.seed, work.head.ids[position])
            value = await given
        except BaseException as raised:
            value, error = None, raised
            collected.has_failed = True
        ended = perf_counter_ns()
        with vital:
            data = None if error is not None else dumps_short(value)
            if data is not None:
                self._worker.page.keep(work.head.first_serial + position, data)
            self._words[at] = NOTHING
            self._free.append(slot)
            collected.add(position, value, error, begun, ended)
            self._report(collected)
            self._begin()

    def _report(self, collected: Collected) -> None:
        """Answer in the loop's next turn, with whatever else ends in this one; a little later if it just has."""
        if not self._ended:
            if self._waiting and self._loop.time() - self._sent_s < _SEND_EVERY_S:
                self._loop.call_later(_SEND_EVERY_S, self._send)
            else:
                self._loop.call_soon(self._send)
        if collected not in self._ended:
            self._ended.append(collected)

    def _send(self) -> None:
        with vital:
            self._sent_s = self._loop.time()
            ended, self._ended = self._ended, []
            made = [collected.take() for collected in ended]
            before, self._cpu_ns = self._cpu_ns, thread_time_ns()
            each_ns = (self._cpu_ns - before) / max(1, sum(len(part.values) for part in made))
            for collected, part in zip(ended, made, strict=True):
                part.cpu_ns = int(each_ns * len(part.values))
                self._worker.answer(collected.work.head, part)
            self._worker.page.forget()
            self._finish()

    def _finish(self) -> None:
        is_busy = self._ended or self._waiting or len(self._free) < self._worker.page.slots
        if self._is_over and not is_busy and not self._done.done():
            self._done.set_result(None)
