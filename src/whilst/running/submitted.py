"""Calls that come one by one, and their futures: the input and the sink of an Executor's run."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextvars import Context, copy_context
from typing import Any

from whilst.running.backends.base import Job
from whilst.running.mapping import next_job_id
from whilst.running.source import Source

__all__ = ["Call", "FutureSink", "OpenInput"]

Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]
_KNOWN_CONTEXTS = 8


class OpenInput(Source):
    """An input that is put into from any thread, and may be empty without being over."""

    __slots__ = ("_jobs", "_queue", "futures", "is_asleep", "is_closed", "news")

    def __init__(self) -> None:
        super().__init__(())
        self._items = None
        self._length = None
        self._queue: deque[tuple[Future[Any], Call, Context]] = deque()
        self._jobs: deque[Job] = deque(maxlen=_KNOWN_CONTEXTS)
        """One for each context in which calls were submitted, the last one last."""
        self.futures: dict[int, Future[Any]] = {}
        """Of the calls that were taken and are not answered."""
        self.is_closed = False
        self.is_asleep = False
        """The taker waits for news, and wants to be woken."""
        self.news = threading.Event()

    @property
    def left(self) -> int:
        return len(self._queue)

    @property
    def is_exhausted(self) -> bool:
        return self.is_closed and not self._queue

    def put(self, future: Future[Any], call: Call) -> None:
        self._queue.append((future, call, copy_context()))

    def job_of_next(self, job: Job) -> Job:
        """Calls that were submitted in the same context are of one job."""
        try:
            context = self._queue[0][2]
        except IndexError:
            return job
        for each in reversed(self._jobs):
            if _are_alike(context, each.context):
                return each
        self._jobs.append(job.in_context(next_job_id(), context))
        return self._jobs[-1]

    def take(self, count: int) -> Sequence[object]:
        taken: list[object] = []
        context: Context | None = None
        while len(taken) < count:
            try:
                future, call, own = self._queue[0]
                context = own if context is None else context
                if own is not context and not _are_alike(own, context):
                    break
                self._queue.popleft()
            except IndexError:
                break
            if future.set_running_or_notify_cancel():
                self.futures[self.next_id + len(taken)] = future
                taken.append(call)
        self.next_id += len(taken)
        return taken

    def pull(self, count: int) -> Iterable[object]:
        taken = self.take(count)
        self.next_id -= len(taken)
        return taken

    def pulled(self, used: int, *, is_over: bool, error: Exception | None = None) -> None:  # noqa: ARG002
        self.next_id += used

    def wait(self) -> None:
        self.news.wait()
        self.news.clear()

    def cancel_all(self) -> None:
        while True:
            try:
                future = self._queue.popleft()[0]
            except IndexError:
                return
            if future.cancel():
                future.set_running_or_notify_cancel()


def _are_alike(one: Context, other: Context | None) -> bool:
    """Whether both have the same variables, with the very same values: to compare those could do anything."""
    if other is None or len(one) != len(other):
        return False
    return all(other.get(variable, _are_alike) is value for variable, value in one.items())


class FutureSink:
    """Answers go to futures."""

    can_skip = False

    def skip(self, count: int) -> None:  # noqa: ARG002 - never to be called
        raise AssertionError("every value has its future")

    def __init__(self, futures: dict[int, Future[Any]]) -> None:
        self.undelivered = 0
        self._futures = futures

    def deliver(self, ids: Sequence[int], values: Sequence[object], errors: Mapping[int, BaseException]) -> None:
        for number, value in zip(ids, values, strict=True):
            future = self._futures.pop(number)
            if number in errors:
                future.set_exception(errors[number])
            else:
                future.set_result(value)

    def fail_all(self, error: BaseException) -> None:
        for future in list(self._futures.values()):
            future.set_exception(error)
        self._futures.clear()
