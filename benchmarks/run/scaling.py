"""How a run in parallel scales beyond the cores of this machine: by simulation, on a virtual clock.

What decides is real: the driver, the pool, the policy and their batches run as they do in `whilst.map`, and the clock
they read goes on by the CPU time that they themselves take. What is simulated are the worker processes, k of them,
each on a core of its own: a batch of b calls takes there `fixed + b * (call + bookkeeping)`, and sending it and taking
in its answer takes the caller `fixed + b * each`. Those costs, and how long workers take to start, are measured first,
on real workers of this machine. The floor is the design's bound for n like calls, max(n w / k, w).

Usage: python benchmarks/run/scaling.py
"""

from __future__ import annotations

import heapq
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import whilst.running.core.driver as driver_module
from whilst.running.backends.base import BackendConfig
from whilst.running.backends.processes import ProcessBackend
from whilst.running.core.inputs import Source
from whilst.running.core.outputs import ListSink
from whilst.running.core.recorder import Recorder
from whilst.running.jobs import Batch, Event, Finished, Job, Limits, WorkerReady, WorkerStopped
from whilst.running.policies.fixed import FixedPolicy

RUNS = 5
WORKERS = (1, 2, 4, 8, 16, 32, 64, 128)
CALLS = ((100_000, 10e-6), (100_000, 100e-6), (50_000, 1e-3), (10_000, 10e-3), (2_000, 100e-3))
SMALL, LARGE = 1, 2_000


def nothing(item: int) -> int:
    return item


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds, as measured on real workers."""

    first_start: float
    """Until the first worker is ready."""
    next_start: float
    """Each further one, which the same server forks after it."""
    caller_batch: float
    caller_call: float
    worker_batch: float
    worker_call: float


class VirtualClock:
    """Stands still while the caller waits; goes on by the CPU time it takes, and by what is simulated."""

    def __init__(self) -> None:
        self._skipped_ns = 0
        self._begin_ns = time.thread_time_ns()

    def now_ns(self) -> int:
        return time.thread_time_ns() - self._begin_ns + self._skipped_ns

    def go_on(self, seconds: float) -> None:
        self._skipped_ns += int(seconds * 1e9)

    def go_to(self, ns: int) -> None:
        self._skipped_ns += max(0, ns - self.now_ns())


class SimulatedProcesses:
    """As many workers as one likes, each alone on its core; the protocol of `running.backends.base`."""

    name, slots, can_kill, overlaps, takes_early = "processes", 1, True, False, False

    def __init__(self, clock: VirtualClock, costs: Costs, lengths: Sequence[float]) -> None:
        self._clock, self._costs, self._lengths = clock, costs, lengths
        self._free_ns: dict[int, int] = {}
        self._heap: list[tuple[int, int, Event]] = []
        self._pushed = 0
        self._last_start_ns = 0

    def start_worker(self, worker: int) -> None:
        wait = self._costs.next_start if self._last_start_ns else self._costs.first_start
        self._last_start_ns = max(self._last_start_ns, self._clock.now_ns()) + int(wait * 1e9)
        self._push(self._last_start_ns, WorkerReady(worker))

    def send(self, worker: int, batch: Batch) -> None:
        costs, count = self._costs, len(batch.ids)
        self._clock.go_on(costs.caller_batch + count * costs.caller_call)
        begin = max(self._clock.now_ns(), self._free_ns.get(worker, 0))
        work = sum(self._lengths[number] for number in batch.ids)
        end = begin + int((costs.worker_batch + count * costs.worker_call + work) * 1e9)
        self._free_ns[worker] = end
        self._push(end, Finished(worker, batch.number, batch.ids, batch.items, begin, end))

    def stop_worker(self, worker: int, *, kill: bool = False) -> None:  # noqa: ARG002 - the protocol's
        self._push(max(self._clock.now_ns(), self._free_ns.get(worker, 0)), WorkerStopped(worker))

    def running(self, worker: int) -> Sequence[tuple[int, int]]:  # noqa: ARG002 - the protocol's
        return ()

    def recall(self, worker: int) -> Sequence[int]:
        """Batches that have not begun are taken back, as a real worker's are."""
        now, kept, back = self._clock.now_ns(), [], []
        for entry in self._heap:
            event = entry[2]
            if isinstance(event, Finished) and event.worker == worker and event.start_ns > now:
                back += event.ids
                entry = (now, entry[1], Finished(worker, event.number, (), (), now, now))
            kept.append(entry)
        self._heap = kept
        heapq.heapify(self._heap)
        ends = [e.end_ns for _, _, e in kept if isinstance(e, Finished) and e.worker == worker]
        self._free_ns[worker] = max(ends, default=now)
        return back

    def events(self, timeout_s: float | None) -> Sequence[Event]:
        if timeout_s != 0 and self._heap:
            limit = self._heap[0][0]
            if timeout_s is not None:
                limit = min(limit, self._clock.now_ns() + int(timeout_s * 1e9))
            self._clock.go_to(limit)
        now, found = self._clock.now_ns(), []
        while self._heap and self._heap[0][0] <= now:
            found.append(heapq.heappop(self._heap)[2])
        return found

    def wake(self) -> None:
        """Nobody else is there who could."""

    def close(self, *, kill: bool) -> None:
        """Nothing was started."""

    def _push(self, at_ns: int, event: Event) -> None:
        self._pushed += 1
        heapq.heappush(self._heap, (at_ns, self._pushed, event))


def measure_costs() -> Costs:
    """Of two real workers: how long they take to start, and what a batch costs on both sides."""
    rounds = [_measure_once() for _ in range(RUNS)]
    return Costs(*(statistics.median(each) for each in zip(*rounds, strict=True)))


def _measure_once() -> tuple[float, ...]:
    backend = ProcessBackend()
    try:
        begin = time.perf_counter()
        backend.start_worker(0)
        _wait_for(backend, WorkerReady)
        first = time.perf_counter() - begin
        begin = time.perf_counter()
        for worker in (1, 2):
            backend.start_worker(worker)
        _wait_for(backend, WorkerReady, 2)
        following = (time.perf_counter() - begin) / 2
        job = Job(0, nothing)
        _batches(backend, job, 0, 20, SMALL)  # warm
        caller_small, worker_small = _batches(backend, job, 100, 200, SMALL)
        caller_large, worker_large = _batches(backend, job, 1000, 20, LARGE)
    finally:
        backend.close(kill=True)
    caller_call = max(caller_large - caller_small, 0.0) / (LARGE - SMALL)
    worker_call = max(worker_large - worker_small, 0.0) / (LARGE - SMALL)
    return first, following, caller_small - caller_call, caller_call, worker_small - worker_call, worker_call


def _batches(backend: ProcessBackend, job: Job, number: int, count: int, size: int) -> tuple[float, float]:
    """CPU seconds a batch takes the caller, and seconds from there until its answer is back."""
    cpu = elapsed = 0.0
    for each in range(number, number + count):
        begin, begin_cpu = time.perf_counter(), time.thread_time()
        backend.send(0, Batch(each, job, range(size), range(size), is_timed=False))
        _wait_for(backend, Finished)
        cpu += time.thread_time() - begin_cpu
        elapsed += time.perf_counter() - begin
    return cpu / count, max(elapsed - cpu, 0.0) / count


def _wait_for(backend: ProcessBackend, kind: type, count: int = 1) -> None:
    while count > 0:
        count -= sum(isinstance(event, kind) for event in backend.events(1.0))


def simulate(lengths: Sequence[float], workers: int, costs: Costs) -> float:
    """Seconds that a parallel map of calls of these lengths takes on so many workers."""
    clock = VirtualClock()
    real, driver_module.perf_counter_ns = driver_module.perf_counter_ns, clock.now_ns
    try:
        config = BackendConfig("processes")
        policy = FixedPolicy(config, workers, "simulated", is_batched=True)
        recorder = Recorder("nothing", clock.now_ns())
        driver = driver_module.Driver(
            Job(0, nothing),
            Source(range(len(lengths))),
            policy,
            ListSink([]),
            Limits(),
            recorder,
            lambda _: SimulatedProcesses(clock, costs, lengths),
        )
        driver.run()
    finally:
        driver_module.perf_counter_ns = real
    return clock.now_ns() / 1e9


def report(title: str, lengths: Sequence[float], costs: Costs) -> None:
    work, longest = sum(lengths), max(lengths)
    print(f"\n{title}: {work:.2f} s of work")
    print(f"{'workers':>8} {'seconds':>10}  {'spread':>20}  {'floor':>9}  {'of the floor':>12}  {'speed-up':>8}")
    for workers in WORKERS:
        seconds = sorted(simulate(lengths, workers, costs) for _ in range(RUNS))
        median, floor = statistics.median(seconds), max(work / workers, longest)
        spread = f"{seconds[0]:.4f} to {seconds[-1]:.4f}"
        ratios = f"{median / floor:>11.2f}x  {work / median:>7.1f}x"
        print(f"{workers:>8} {median:>10.4f}  {spread:>20}  {floor:>9.4f}  {ratios}")


def main() -> None:
    costs = measure_costs()
    print(f"measured on this machine ({os.cpu_count()} cores), medians of {RUNS}:")
    first, following = costs.first_start * 1e3, costs.next_start * 1e3
    print(f"  workers: the first is ready after {first:.1f} ms, each further one {following:.1f} ms later")
    print(f"  the caller: {costs.caller_batch * 1e6:.0f} µs a batch and {costs.caller_call * 1e6:.2f} µs a call")
    print(f"  a worker: {costs.worker_batch * 1e6:.0f} µs a batch and {costs.worker_call * 1e6:.2f} µs a call")
    print("\nsimulated: worker processes, one on each core; real: driver, pool and policy")
    for count, length in CALLS:
        report(f"{count:,} calls of {length * 1e6:,.0f} µs", [length] * count, costs)
    report("999 calls of 10 ms, and one of 1 s at the end", [0.01] * 999 + [1.0], costs)
    skewed = [0.002 * (1 + number % 50) for number in range(4_000)]
    report("4,000 calls of 2 to 100 ms", skewed, costs)


if __name__ == "__main__":
    main()
