"""Coroutines in flight on one event loop: the half of an event loop back end that lives in the loop's thread.

Used by `backends.eventloop`; worker processes that have a loop make their calls in `worker.child.looped`. Whatever is
begun is in flight at once; the pool decides how much that is.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine
from time import perf_counter_ns, thread_time_ns
from typing import Any

from whilst.errors import TimeoutExceededError
from whilst.running.call_names import note_item, without_own_frames
from whilst.running.calls.one_argument import awaited, of_item, with_own_draws
from whilst.running.calls.ordered_output import OrderedOutput
from whilst.running.jobs import Batch, Finished, Job
from whilst.running.nesting import enter_worker


class _Landed:
    """What of one batch has ended and was not answered yet, in columns."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.left = len(batch.ids)
        self.clear()

    def clear(self) -> None:
        self.ids: list[int] = []
        self.values: list[object] = []
        self.starts_ns: list[int] = []
        self.ends_ns: list[int] = []
        self.errors: dict[int, BaseException] = {}


class CoroutineRunner:
    """Begins batches and answers for what has ended, at most once per turn of the loop and batch.

    Args:
        loop: the running loop; everything here is called in its thread.
        worker: the number to answer under.
        answer: takes each `Finished`.
        output: keeps what calls say in the order of their items; None where somebody else does.
        is_shared: the loop and its thread are the caller's, and do other things, too.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        worker: int,
        answer: Callable[[Finished], object],
        output: OrderedOutput | None = None,
        *,
        is_shared: bool = False,
    ) -> None:
        self._output = output
        self._is_shared = is_shared
        self._loop = loop
        self._worker = worker
        self._answer = answer
        self._tasks: dict[int, tuple[asyncio.Task[None], int]] = {}
        self._landed: dict[int, _Landed] = {}
        self._is_answering = False
        self._cpu_ns = 0

    def resume(self) -> None:
        """The loop runs from here on: what its thread did before was no work of these calls."""
        self._cpu_ns = thread_time_ns()

    @property
    def in_flight(self) -> int:
        return len(self._tasks)

    def running(self) -> tuple[tuple[int, int], ...]:
        """(call id, start_ns) of what is in flight. Safe to call from other threads."""
        return tuple((number, start) for number, (_, start) in list(self._tasks.items()))

    def begin(self, batch: Batch) -> None:
        """Begin all calls of a batch."""
        job, landed = batch.job, _Landed(batch)
        if not self._is_shared:
            enter_worker()
        elif not self._tasks:
            self.resume()
        if not batch.ids:
            self._answer(Finished(self._worker, batch.number, (), (), 0, 0))
            return
        create, now_ns = self._loop.create_task, perf_counter_ns()
        if self._output is not None:
            self._output.open_each(batch.ids)
        for number, item in zip(batch.ids, batch.items, strict=True):
            context = None if job.context is None else job.context.copy()
            task = create(self._fly(job, number, item, landed), context=context)
            self._tasks[number] = (task, now_ns)

    async def cancel(self) -> None:
        """Cancel whatever is in flight and wait until it has ended."""
        tasks = [task for task, _ in self._tasks.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        # One that was cancelled before it had begun has run nothing, not even its own end.
        self._tasks = {number: flight for number, flight in self._tasks.items() if not flight[0].done()}

    async def _fly(self, job: Job, number: int, item: Any, landed: _Landed) -> None:
        value: object = None
        if self._output is not None:
            self._output.enter_task(number)
        start_ns = perf_counter_ns()
        try:
            coroutine = of_item(job.fn, job.how)(item)
            if type(coroutine) is not types.CoroutineType:
                coroutine = awaited(coroutine)
            coroutine = with_own_draws(coroutine, job.seed, number)
            if job.timeout_s is None:
                value = await coroutine
            else:
                value = await _limited(coroutine, job.timeout_s)
        except BaseException as error:
            note_item(error, job, number, item)
            landed.errors[number] = without_own_frames(error)
        landed.ends_ns.append(perf_counter_ns())
        if self._output is not None:
            has_failed = landed.errors and number in landed.errors and job.stops_at_error
            self._output.close(number, (number,) if has_failed else ())
        del self._tasks[number]
        if not landed.ids:
            self._landed[landed.batch.number] = landed
        landed.ids.append(number)
        landed.values.append(value)
        landed.starts_ns.append(start_ns)
        landed.left -= 1
        if not self._is_answering:
            self._is_answering = True
            self._loop.call_soon(self._answer_all)

    def _answer_all(self) -> None:
        self._is_answering = False
        done, self._landed = self._landed, {}
        before, self._cpu_ns = self._cpu_ns, thread_time_ns()
        each_ns = (self._cpu_ns - before) / max(1, sum(len(landed.ids) for landed in done.values()))
        for number, landed in done.items():
            self._answer(
                Finished(
                    self._worker,
                    number,
                    landed.ids,
                    landed.values,
                    min(landed.starts_ns),
                    max(landed.ends_ns),
                    landed.errors,
                    landed.starts_ns,
                    landed.ends_ns,
                    int(each_ns * len(landed.ids)),
                    0,
                    landed.left == 0,
                )
            )
            landed.clear()


async def _limited(coroutine: Coroutine[Any, Any, object], timeout_s: float) -> object:
    try:
        async with asyncio.timeout(timeout_s) as limit:
            return await coroutine
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise TimeoutExceededError(
            f"A call ran longer than timeout_s={timeout_s:g}; its coroutine was cancelled."
        ) from error
