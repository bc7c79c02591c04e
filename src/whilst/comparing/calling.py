"""Makes one call and measures it where it happens; used by every pool, on this side and in worker processes."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

from whilst.comparing.days.clocks import queued_ns
from whilst.comparing.outcomes import Failure, Outcome
from whilst.comparing.recording import CallRecord

__all__ = ["Sampler", "make_call", "make_coroutine_call"]

_SAMPLE_EVERY_S: Final = 0.005
_NOTICEABLE_NS: Final = 20_000
"""Two steps of a coroutine that are closer than this are drawn as one."""


def make_call(fn: Callable[[object], object], item: object, number: int, lane: str) -> CallRecord:
    """Call fn(item) in this thread. Its exceptions are outcomes; Ctrl-C is not."""
    queued = queued_ns()
    cpu, start = time.thread_time_ns(), time.perf_counter_ns()
    try:
        value = fn(item)
        if inspect.iscoroutine(value):
            import asyncio

            value = asyncio.run(value)
        outcome = Outcome(value)
    except (Exception, SystemExit) as error:
        outcome = Outcome(failure=Failure.of(error))
    end, cpu_end = time.perf_counter_ns(), time.thread_time_ns()
    queued = None if queued is None else (queued_ns() or queued) - queued
    return CallRecord(number, lane, outcome, start, end, cpu_end - cpu, cpu, queued or 0)


async def make_coroutine_call(
    fn: Callable[[object], Awaitable[object]], item: object, number: int, lane: str
) -> CallRecord:
    """Await fn(item) in this loop, and note each stretch that it had the loop's thread."""
    start = time.perf_counter_ns()
    stretches: list[tuple[int, int]] = []
    cpu = [0]
    try:
        outcome = Outcome(await _Stepped(fn(item), stretches, cpu))
    except (Exception, SystemExit) as error:
        outcome = Outcome(failure=Failure.of(error))
    return CallRecord(number, lane, outcome, start, time.perf_counter_ns(), cpu[0], stretches=stretches)


class _Stepped:
    """An awaitable that passes every step on to the coroutine and measures it."""

    def __init__(self, inner: Awaitable[object], stretches: list[tuple[int, int]], cpu: list[int]) -> None:
        self._steps: Generator[Any, Any, object] = inner.__await__()
        self._stretches, self._cpu = stretches, cpu

    def __await__(self) -> Generator[Any, Any, object]:
        step: Callable[[Any], object] = self._steps.send
        given: object = None
        while True:
            try:
                wanted = self._measured(step, given)
            except StopIteration as stop:
                return stop.value
            try:
                step, given = self._steps.send, (yield wanted)
            except GeneratorExit:
                self._steps.close()
                raise
            except BaseException as error:
                step, given = self._steps.throw, error

    def _measured(self, step: Callable[[Any], object], given: object) -> object:
        cpu, start = time.thread_time_ns(), time.perf_counter_ns()
        try:
            return step(given)
        finally:
            end = time.perf_counter_ns()
            self._cpu[0] += time.thread_time_ns() - cpu
            if self._stretches and start - self._stretches[-1][1] < _NOTICEABLE_NS:
                start = self._stretches.pop()[0]
            self._stretches.append((start, end))


@dataclass(slots=True)
class Sampler:
    """A thread that reads the CPU clocks of registered threads every 5 ms; empty where the system has no such clocks.

    The thread's clock is asked for by the thread itself: the clock's number stays harmless when the thread is gone,
    while asking for a dead thread's number would not be.
    """

    samples: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    _clocks: dict[str, int] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="whilst sampler", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def register(self, lane: str) -> None:
        """Called in the thread that is the lane."""
        if hasattr(time, "pthread_getcpuclockid"):
            self.samples[lane] = [(time.perf_counter_ns(), time.thread_time_ns())]
            self._clocks[lane] = time.pthread_getcpuclockid(threading.get_ident())

    def _run(self) -> None:
        while not self._stop.wait(_SAMPLE_EVERY_S):
            for lane, clock in list(self._clocks.items()):
                try:
                    reading = time.perf_counter_ns(), time.clock_gettime_ns(clock)
                except OSError:  # the thread has ended
                    self._clocks.pop(lane, None)
                    continue
                self.samples[lane].append(reading)
