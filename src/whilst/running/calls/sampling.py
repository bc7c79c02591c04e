"""Measures calls where they are made: in the caller's thread, on threads or a loop, and inside workers of any kind.

A `Sampled` function goes in the place of the user's. Its results, each a `Sample`, travel as all results do, so the
back ends and workers that make the calls are the real ones and know nothing of being measured. While calls
are made, a thread of each process reads the CPU clocks of those that make them.
"""

from __future__ import annotations

import os
import threading
import time
from time import perf_counter_ns, thread_time_ns
from types import CoroutineType

from whilst._light import Record
from whilst.measuring.clocks import queued_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

_SAMPLE_EVERY_S = 0.005
_NOTICEABLE_NS = 20_000
"""Two steps of a coroutine that are closer than this are drawn as one."""


class Sample(Record):
    """One call, in nanoseconds of `time.perf_counter_ns` and of the CPU clock of the thread that made it."""

    value: Any
    error: tuple[str, str] | None
    """Type and message of what it raised."""
    start_ns: int
    end_ns: int
    cpu_ns: int
    cpu_start_ns: int
    queued_ns: int
    """How long its thread was ready without getting a core; 0 where the kernel doesn't say."""
    steps: list[tuple[int, int]] | None
    """When a coroutine had the loop's thread; None for a function."""
    place: tuple[int, int]
    """Process and thread."""
    readings: list[tuple[int, int]]
    """(time, CPU time) of that thread since its last call."""
    peak_bytes: int | None
    """The most resident memory of that worker process so far, less what it shares with the program; None if unknown."""

    @property
    def off_ns(self) -> int:
        """Time that its thread was not on a core."""
        return max(0, self.end_ns - self.start_ns - self.cpu_ns)

    @property
    def wait_ns(self) -> int:
        """Time that its thread was neither on a core nor in the queue for one."""
        return max(0, self.off_ns - self.queued_ns)

    def __stands_for__(self) -> object:
        """What an error is to speak of, should this not be picklable."""
        return self.value


class Sampled:
    """The function, with samples for results. What it raises is a result too; Ctrl-C is not.

    Args:
        func: a function of one argument.
        is_coroutine: each of its calls gives an awaitable.
    """

    def __init__(self, func: Callable[[Any], Any], *, is_coroutine: bool) -> None:
        self.func = func
        self.is_coroutine = is_coroutine
        self._program = os.getpid()

    def __call__(self, item: Any) -> Any:
        """Make the call; gives a `Sample`, or a coroutine that will."""
        if self.is_coroutine:
            return _awaited(lambda: self.func(item), self._program)
        readings = _readings_here()
        queued = queued_ns()
        cpu, start = thread_time_ns(), perf_counter_ns()
        value, failure = None, None
        try:
            value = self.func(item)
            if type(value) is CoroutineType:
                coroutine = value
                return _awaited(lambda: coroutine, self._program)
        except (Exception, SystemExit) as error:
            failure = describe_error(error)
        end, cpu_end = perf_counter_ns(), thread_time_ns()
        waited = 0 if queued is None else (queued_ns() or queued) - queued
        taken = readings[:]
        del readings[: len(taken)]
        peak = _own_peak_bytes(self._program)
        return Sample(value, failure, start, end, cpu_end - cpu, cpu, waited, None, _place(), taken, peak)

    def __stands_for__(self) -> object:
        """As of a `Sample`."""
        return self.func


async def _awaited(begin: Callable[[], Any], program: int) -> Any:
    """Await what this gives, and note each stretch in which it had the loop's thread."""
    start = perf_counter_ns()
    steps: list[tuple[int, int]] = []
    cpu = [0]
    value, failure = None, None
    try:
        value = await _Stepped(begin(), steps, cpu)
    except (Exception, SystemExit) as error:
        failure = describe_error(error)
    end, peak = perf_counter_ns(), _own_peak_bytes(program)
    return Sample(value, failure, start, end, cpu[0], 0, 0, steps, _place(), [], peak)


class _Stepped:
    """An awaitable that passes every step on to the coroutine and measures it."""

    def __init__(self, inner: Any, steps: list[tuple[int, int]], cpu: list[int]) -> None:
        self._inner: Generator[Any, Any, object] = inner.__await__()
        self._steps, self._cpu = steps, cpu

    def __await__(self) -> Generator[Any, Any, object]:
        step: Callable[[Any], object] = self._inner.send
        given: object = None
        while True:
            try:
                wanted = self._measured(step, given)
            except StopIteration as stop:
                return stop.value
            try:
                step, given = self._inner.send, (yield wanted)
            except GeneratorExit:
                self._inner.close()
                raise
            except BaseException as error:
                step, given = self._inner.throw, error

    def _measured(self, step: Callable[[Any], object], given: object) -> object:
        cpu, start = thread_time_ns(), perf_counter_ns()
        try:
            return step(given)
        finally:
            end = perf_counter_ns()
            self._cpu[0] += thread_time_ns() - cpu
            if self._steps and start - self._steps[-1][1] < _NOTICEABLE_NS:
                start = self._steps.pop()[0]
            self._steps.append((start, end))


def describe_error(error: BaseException) -> tuple[str, str]:
    """Type and message of an exception, whatever its `__str__` does."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    try:
        return name, str(error)
    except Exception as further:
        return name, f"(its message can't be read: {type(further).__name__})"


def peak_memory_bytes() -> int | None:
    """The most resident memory this process had since the last reset, else since it started; None if unknown."""
    try:
        fd = os.open("/proc/self/status", os.O_RDONLY)
    except OSError:
        return None
    try:
        return int(os.read(fd, 4096).partition(b"VmHWM:")[2].split(maxsplit=1)[0]) * 1024
    except (OSError, IndexError, ValueError):
        return None
    finally:
        os.close(fd)


# The sampler of this process. A fork of it starts anew: the thread that reads the clocks is not in it.
_here = threading.local()
_lock = threading.Lock()
_sampler: _Sampler | None = None
_inherited_bytes = 0


class _Sampler:
    """A thread that reads the CPU clocks of the threads that make calls."""

    def __init__(self) -> None:
        self._clocks: list[tuple[int, list[tuple[int, int]]]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="whilst sampler", daemon=True)
        self._thread.start()

    def register(self, readings: list[tuple[int, int]]) -> None:
        """Called in the thread that is to be read: its clock stays harmless when it is gone."""
        if hasattr(time, "pthread_getcpuclockid"):
            readings.append((perf_counter_ns(), thread_time_ns()))
            self._clocks.append((time.pthread_getcpuclockid(threading.get_ident()), readings))

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_SAMPLE_EVERY_S):
            for each in list(self._clocks):
                try:
                    reading = perf_counter_ns(), time.clock_gettime_ns(each[0])
                except OSError:  # the thread has ended
                    self._clocks.remove(each)
                    continue
                each[1].append(reading)


def _readings_here() -> list[tuple[int, int]]:
    """The readings of this thread's CPU clock: one now, and one every 5 ms where there are such clocks."""
    global _sampler
    with _lock:
        if _sampler is None:
            _sampler = _Sampler()
        sampler = _sampler
    readings: list[tuple[int, int]]
    known, readings = getattr(_here, "readings", (None, []))
    if known is not sampler:
        _here.readings = sampler, readings = sampler, []
        sampler.register(readings)
    return readings


def stop_sampling() -> None:
    """End this process's sampler; the next call starts another."""
    global _sampler
    with _lock:
        sampler, _sampler = _sampler, None
    if sampler is not None:
        sampler.stop()


def _place() -> tuple[int, int]:
    return os.getpid(), threading.get_ident()


def _own_peak_bytes(program: int) -> int | None:
    if os.getpid() == program:  # measured once, from outside: to read it after each call would take longer than many
        return None
    peak = peak_memory_bytes()
    return None if peak is None else max(0, peak - _inherited_bytes)


def _begin_anew() -> None:
    """In a fork of the program: the sampler is not here, and the memory that it shares is not its own."""
    global _sampler, _lock, _inherited_bytes
    _sampler, _lock = None, threading.Lock()
    _inherited_bytes = peak_memory_bytes() or 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
