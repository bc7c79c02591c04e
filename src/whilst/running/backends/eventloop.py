"""Coroutine functions on one event loop: thousands of calls in flight in one thread.

The loop runs in the caller's thread, inside `events`, if the caller has no loop of its own: nothing is started
then. It runs in a thread where one is running already, and where calls are to go on while the caller does
something else (lazy runs, Executor). Where the caller awaits the run, its own loop is used, from another thread.
"""

from __future__ import annotations

import _thread
import asyncio
import os
from collections import Counter, deque
from collections.abc import Awaitable, Sequence
from queue import SimpleQueue
from time import monotonic

from whilst.running.backends.base import take_events
from whilst.running.calls.coroutines import CoroutineRunner
from whilst.running.calls.one_argument import per_worker_function
from whilst.running.calls.ordered_output import OrderedOutput
from whilst.running.calls.raw_threads import forget_this_thread
from whilst.running.jobs import Batch, Event, WorkerReady, WorkerStopped
from whilst.running.nesting import is_in_worker, leave_worker

_PATIENCE_S = 0.5
"""How long a killing `close` waits for coroutines that don't end when they are cancelled."""


class EventLoopBackend:
    """One worker is one loop."""

    name = "eventloop"
    slots = 4096
    can_kill = False
    overlaps = True
    takes_early = False

    def __init__(
        self,
        *,
        in_thread: bool | None = None,
        keeps_order_of_output: bool = False,
        caller_loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._in_thread = in_thread
        self._caller_loop = caller_loop
        self._hosts: dict[int, _Here | _InThread | _OnCallerLoop] = {}
        self._outbox: SimpleQueue[Event | None] = SimpleQueue()
        self._output = OrderedOutput() if keeps_order_of_output else None

    def start_worker(self, worker: int) -> None:
        host: _Here | _InThread | _OnCallerLoop
        if self._caller_loop is not None:
            host = _OnCallerLoop(worker, self._caller_loop, self._outbox, self._output)
        elif self._in_thread or self._hosts or _is_loop_running():
            host = _InThread(worker, self._outbox, self._output)
        else:
            host = _Here(worker, self._output)
        self._hosts[worker] = host

    def send(self, worker: int, batch: Batch) -> None:
        if self._output is not None:
            self._output.install()
        self._hosts[worker].send(batch)

    def stop_worker(self, worker: int, *, kill: bool = False) -> None:
        host = self._hosts.get(worker)
        if host is not None:
            host.stop(kill=kill)

    def running(self, worker: int) -> Sequence[tuple[int, int]]:  # noqa: ARG002
        # A call that is over its time is ended by the loop itself: nobody else need look.
        return ()

    def recall(self, worker: int) -> Sequence[int]:  # noqa: ARG002
        return ()  # whatever was sent has begun

    def events(self, timeout_s: float | None) -> Sequence[Event]:
        here = next((host for host in self._hosts.values() if isinstance(host, _Here)), None)
        found = here.events(timeout_s) if here is not None else take_events(self._outbox, timeout_s)
        for event in found:
            if type(event) is WorkerStopped:
                self._hosts.pop(event.worker, None)
        return found

    def wake(self) -> None:
        self._outbox.put(None)
        for host in list(self._hosts.values()):
            if isinstance(host, _Here):
                host.wake()

    def close(self, *, kill: bool) -> None:
        try:
            for host in list(self._hosts.values()):
                if isinstance(host, _Here):
                    host.close(kill=kill)
                    self._hosts.pop(host.worker, None)
                else:
                    host.stop(kill=kill)
            deadline = monotonic() + _PATIENCE_S
            while self._hosts and (not kill or monotonic() < deadline):
                self.events(0.1)
            self._hosts.clear()
        finally:
            if self._output is not None:
                self._output.end()


def _is_loop_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class _Here:
    """A loop in the caller's thread, which runs while the caller waits for events."""

    def __init__(self, worker: int, output: OrderedOutput | None) -> None:
        self.worker = worker
        self._runner = asyncio.Runner()
        self._loop = self._runner.get_loop()
        self._found: deque[Event] = deque([WorkerReady(worker, os.getpid())])
        self._has_news = asyncio.Event()
        self._coroutines = CoroutineRunner(self._loop, worker, self._take, output)
        self._is_stopping = False

    def _take(self, event: Event) -> None:
        self._found.append(event)
        self._has_news.set()

    def send(self, batch: Batch) -> None:
        self._loop.call_soon(self._coroutines.begin, batch)

    def stop(self, *, kill: bool) -> None:
        self._is_stopping = True
        if kill:
            self._loop.call_soon(lambda: self._loop.create_task(self._coroutines.cancel()))

    def events(self, timeout_s: float | None) -> list[Event]:
        if not self._found:
            was_in_worker = is_in_worker()
            self._coroutines.resume()
            self._loop.run_until_complete(self._news(timeout_s))
            # What the coroutines set for this thread holds for their calls, not for the caller.
            if not was_in_worker:
                leave_worker()
        found = list(self._found)
        self._found.clear()
        self._has_news.clear()
        if self._is_stopping and not self._coroutines.in_flight:
            self.close(kill=False)
            found.append(WorkerStopped(self.worker))
        return found

    async def _news(self, timeout_s: float | None) -> None:
        if timeout_s == 0:
            await asyncio.sleep(0)
            return
        alarm = None if timeout_s is None else self._loop.call_later(timeout_s, self._has_news.set)
        await self._has_news.wait()
        if alarm is not None:
            alarm.cancel()

    def wake(self) -> None:
        self._loop.call_soon_threadsafe(self._has_news.set)

    def close(self, *, kill: bool) -> None:
        if self._loop.is_closed():
            return
        while self._coroutines.in_flight and not kill:
            self.events(None)
        close_loop = per_worker_function("close_loop")
        if close_loop is not None:
            self._runner.run(_cancel_and_close(self._coroutines, close_loop(self._loop)))
        # The runner cancels what is left, gives it its turn, and closes the loop.
        self._runner.close()


class _InThread:
    """A loop in a thread of its own."""

    def __init__(self, worker: int, outbox: SimpleQueue[Event | None], output: OrderedOutput | None) -> None:
        self.worker = worker
        self._outbox = outbox
        self._loop = asyncio.new_event_loop()
        self._coroutines = CoroutineRunner(self._loop, worker, outbox.put, output)
        self._stop = asyncio.Event()
        self._is_killing = False
        _thread.start_new_thread(self._run, ())

    def send(self, batch: Batch) -> None:
        self._loop.call_soon_threadsafe(self._coroutines.begin, batch)

    def stop(self, *, kill: bool) -> None:
        self._is_killing = self._is_killing or kill
        try:
            self._loop.call_soon_threadsafe(self._stop.set)
        except RuntimeError:  # the loop is closed: it has stopped
            return

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        finally:
            forget_this_thread()
            self._outbox.put(WorkerStopped(self.worker))

    async def _serve(self) -> None:
        self._coroutines.resume()
        self._outbox.put(WorkerReady(self.worker, os.getpid()))
        await self._stop.wait()
        while self._coroutines.in_flight:
            if self._is_killing:
                await self._coroutines.cancel()
            else:
                await asyncio.sleep(0.001)
        await asyncio.sleep(0)  # the last answers
        close_loop = per_worker_function("close_loop")
        if close_loop is not None:
            await close_loop(self._loop)


async def _cancel_and_close(coroutines: CoroutineRunner, closing: Awaitable[None]) -> None:
    await coroutines.cancel()
    await closing


_runs_on_loop: Counter[int] = Counter()
"""Of awaited runs, by the identity of their loop: they share what their calls have opened there."""


class _OnCallerLoop:
    """The loop that somebody else runs, and on which the run is awaited. Used from another thread than the loop's."""

    def __init__(
        self,
        worker: int,
        loop: asyncio.AbstractEventLoop,
        outbox: SimpleQueue[Event | None],
        output: OrderedOutput | None,
    ) -> None:
        self.worker = worker
        self._loop = loop
        self._outbox = outbox
        self._coroutines = CoroutineRunner(loop, worker, outbox.put, output, is_shared=True)
        self._end: asyncio.Task[None] | None = None
        loop.call_soon_threadsafe(_runs_on_loop.update, (id(loop),))  # counted in the loop's thread alone
        outbox.put(WorkerReady(worker, os.getpid()))

    def send(self, batch: Batch) -> None:
        self._loop.call_soon_threadsafe(self._coroutines.begin, batch)

    def stop(self, *, kill: bool) -> None:
        try:
            self._loop.call_soon_threadsafe(self._begin_end, kill)
        except RuntimeError:  # the loop is closed, and everything on it has ended
            self._outbox.put(WorkerStopped(self.worker))

    def _begin_end(self, kill: bool) -> None:
        if kill and self._end is not None:
            self._end.cancel()
        self._end = self._loop.create_task(self._stop(kill=kill))

    async def _stop(self, *, kill: bool) -> None:
        while self._coroutines.in_flight:
            if kill:
                await self._coroutines.cancel()
            else:
                await asyncio.sleep(0.001)
        await asyncio.sleep(0)  # the last answers
        _runs_on_loop[id(self._loop)] -= 1
        if not _runs_on_loop[id(self._loop)]:
            del _runs_on_loop[id(self._loop)]
            close_loop = per_worker_function("close_loop")
            if close_loop is not None:
                await close_loop(self._loop)
        self._outbox.put(WorkerStopped(self.worker))
