"""Has calls made by the driver, back ends and workers that `map(mode=…)` runs on, measured where they are made."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

from whilst._light import has_gil
from whilst.comparing.recording import CallRecord, Run
from whilst.measuring.machine import worker_memory_bytes
from whilst.model import Mode
from whilst.running.backends import open_backend, traits_of
from whilst.running.backends.base import BackendConfig
from whilst.running.call_names import name_of
from whilst.running.calls.sampling import Sample, Sampled, stop_sampling
from whilst.running.core.driver import Driver
from whilst.running.core.inputs import Source
from whilst.running.core.outputs import ListSink
from whilst.running.core.recorder import Recorder
from whilst.running.jobs import Job, Limits, next_job_id
from whilst.running.policies.caveats import Caveats
from whilst.running.policies.choosing import gives_coroutines, usual_backend, why_not_forked_for
from whilst.running.policies.fixed import FixedPolicy, InlinePolicy


def drive(
    fn: Callable[[Any], Any],
    items: Sequence[Any],
    config: BackendConfig,
    workers: int,
    *,
    is_coroutine: bool = False,
    is_together: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> tuple[list[Any], int]:
    """Make all calls on that many workers of a back end; return their results, and when the last one was here.

    Args:
        is_together: the calls wait for each other, so the first error ends them all.

    Raises:
        NotPicklableError, WorkerDiedError, or what a call raised: the first of the items that has an error.
    """
    start_ns = perf_counter_ns()
    context = copy_context()
    job = Job(next_job_id(), fn, is_coroutine=is_coroutine, context=context, stops_at_error=True)
    values: list[Any] = []
    source = Source(items)
    policy: InlinePolicy | FixedPolicy
    if not traits_of(config.backend).module:
        policy = InlinePolicy("compared", is_lazy=False)
    else:
        caveats = Caveats(job, config.backend, source)
        policy = FixedPolicy(config, workers, "compared", is_batched=True, is_lazy=False, caveats=caveats)
    recorder = Recorder(name_of(fn), start_ns, is_lazy=False)
    driver = Driver(job, source, policy, ListSink(values), Limits(), recorder, open_backend)
    driver.on_progress = on_progress
    try:
        while is_together and not driver.is_over and driver.failed_id is None:
            driver.advance()
        if driver.failed_id is None:
            driver.run()
        else:
            driver.close(kill=True)
    except BaseException:
        driver.close(kill=True)
        raise
    finally:
        policy.close()
    if driver.error is not None:
        raise driver.error
    return values, recorder.end_ns


def sample_calls(
    fn: Callable[[Any], Any],
    items: Sequence[Any],
    mode: Mode,
    workers: int,
    overlap: int,
    on_progress: Callable[[int], None],
) -> Run:
    """Make all calls in a mode and measure each of them.

    Args:
        workers: processes, in parallel and combined mode.
        overlap: calls in progress at once, in concurrent mode and in each process in combined mode.
    """
    start_ns = perf_counter_ns()
    is_coroutine = gives_coroutines(fn)
    backend = usual_backend(mode, is_coroutine=is_coroutine)
    count = min(workers, len(items)) if mode.uses_several_executors else 1
    at_once = min(overlap, -(-len(items) // count)) if mode.overlaps_waits else 1
    if mode.uses_several_executors:
        memory = worker_memory_bytes(count)
        config = BackendConfig(backend, slots=at_once, memory_limit_bytes=memory, is_forked=not why_not_forked_for(fn))
        threads = count
    else:
        config = BackendConfig(backend, slots=at_once if is_coroutine else 1)
        threads = 1 if is_coroutine else at_once
    sampled = Sampled(fn, is_coroutine=is_coroutine)
    try:
        values, end_ns = drive(sampled, items, config, threads, is_coroutine=is_coroutine, on_progress=on_progress)
    finally:
        stop_sampling()
    return _run(_Shape(mode, is_coroutine, count, at_once), values, start_ns, end_ns)


@dataclass(frozen=True, slots=True)
class _Shape:
    mode: Mode
    is_coroutine: bool
    processes: int
    at_once: int

    @property
    def who(self) -> str:
        if self.mode is Mode.SEQUENTIAL:
            return "this thread"
        if not self.mode.uses_several_executors:
            if self.is_coroutine:
                return f"1 event loop of {self.at_once:,} calls at once"
            return f"{self.at_once:,} thread{'s' if self.at_once != 1 else ''}"
        processes = f"{self.processes} process{'es' if self.processes != 1 else ''}"
        calls = "calls" if self.is_coroutine else "threads"
        return processes if self.at_once == 1 else f"{processes} of {self.at_once} {calls}"

    @property
    def has_threads(self) -> bool:
        return self.mode.overlaps_waits and not self.is_coroutine and self.at_once > 1

    @property
    def shares_a_gil(self) -> bool:
        return self.has_threads and has_gil()


def _run(shape: _Shape, samples: Sequence[Sample], start_ns: int, end_ns: int) -> Run:
    """The calls by lanes, which are numbered in the order in which they began to work."""
    processes: dict[int, str] = {}
    lanes: dict[tuple[int, int], str] = {}
    readings: dict[str, list[tuple[int, int]]] = {}
    calls: list[CallRecord] = []
    peaks: dict[int, int | None] = {}
    for number, sample in sorted(enumerate(samples), key=lambda each: each[1].start_ns):
        pid = sample.place[0]
        process = processes.setdefault(pid, f"process {len(processes) + 1}")
        if sample.place not in lanes:
            lanes[sample.place] = _lane(shape, process, 1 + sum(place[0] == pid for place in lanes))
        lane = lanes[sample.place]
        readings.setdefault(lane, []).extend(sample.readings)
        if pid != os.getpid():
            known = peaks.get(pid, 0)
            peaks[pid] = None if sample.peak_bytes is None or known is None else max(known, sample.peak_bytes)
        calls.append(CallRecord(number, lane, sample))
    for own in readings.values():
        own.sort()
    shared = {lane: processes[place[0]] for place, lane in lanes.items()} if shape.shares_a_gil else {}
    return Run(shape.who, calls, start_ns, end_ns, readings, shared, list(peaks.values()))


def _lane(shape: _Shape, process: str, thread: int) -> str:
    if shape.mode is Mode.SEQUENTIAL:
        return "caller"
    if not shape.mode.uses_several_executors:
        return "event loop" if shape.is_coroutine else f"thread {thread}"
    return f"{process}, thread {thread}" if shape.has_threads else process
