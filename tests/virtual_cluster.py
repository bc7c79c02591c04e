"""A back end in virtual time: the real driver, pool and policy run on it, and nobody waits for anything.

Seats make calls one after the other; each batch costs the scheduler, and takes half a round trip either way. What it
tells of the time is that of its own clock, which jumps from event to event.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import count
from types import SimpleNamespace
from typing import Any

from whilst.running.backends.base import Backend, BackendConfig
from whilst.running.core.driver import Driver
from whilst.running.core.inputs import Source
from whilst.running.core.outputs import ListSink
from whilst.running.core.policy import Policy
from whilst.running.core.recorder import Recorder
from whilst.running.jobs import Batch, Event, Finished, Job, Limits, WorkerReady, WorkerStopped, next_job_id
from whilst.running.policies.caveats import Caveats
from whilst.running.policies.fixed import FixedPolicy
from whilst.running.policies.places.cluster import ClusterPolicy


class VirtualSeats:
    """See the module's text.

    Args:
        call_s: seconds of the call of an item.
        start_s: before the first call on each seat.
        batch_s: of the one who hands batches on, for each.
        limit_s: of a batch, after which no further call of it begins.
    """

    name, slots, can_kill, overlaps, takes_early = "virtual", 1, False, False, False

    def __init__(
        self,
        call_s: Callable[[Any], float],
        *,
        start_s: float,
        round_trip_s: float,
        batch_s: float,
        limit_s: float = math.inf,
    ) -> None:
        self.now_s = 0.0
        self._limit_s = limit_s
        self.batches = 0
        self._call_s, self._start_s, self._half_s, self._batch_s = call_s, start_s, round_trip_s / 2, batch_s
        self._free_s: dict[int, float] = {}
        """When a seat has done what it holds."""
        self._handed_on_s = 0.0
        self._later: list[tuple[float, int, Event]] = []
        self._numbers = count()

    def start_worker(self, worker: int) -> None:
        self._free_s[worker] = self._start_s
        self._tell(self.now_s, WorkerReady(worker))

    def send(self, worker: int, batch: Batch) -> None:
        self.batches += 1
        self._handed_on_s = max(self._handed_on_s, self.now_s + self._half_s) + self._batch_s
        begins_s = max(self._handed_on_s, self._free_s[worker])
        ends_s, made = begins_s, 0
        for item in batch.items:
            if ends_s - begins_s > self._limit_s:
                break
            ends_s, made = ends_s + self._call_s(item), made + 1
        self._free_s[worker] = ends_s
        self._tell(
            ends_s + self._half_s,
            Finished(
                worker, batch.number, batch.ids[:made], batch.items[:made], round(begins_s * 1e9), round(ends_s * 1e9),
                cpu_ns=round((ends_s - begins_s) * 1e9),
            ),
        )  # fmt: skip

    def stop_worker(self, worker: int, *, kill: bool = False) -> None:
        del kill
        self._tell(max(self.now_s, self._free_s[worker]), WorkerStopped(worker))

    def running(self, worker: int) -> Sequence[tuple[int, int]]:
        del worker
        return ()

    def recall(self, worker: int) -> Sequence[int]:
        del worker
        return ()

    def events(self, timeout_s: float | None) -> Sequence[Event]:
        if not self._later or (timeout_s == 0 and self._later[0][0] > self.now_s):
            return ()
        self.now_s, _, event = heappop(self._later)
        return [event]

    def wake(self) -> None: ...

    def inherit(self, *_: object) -> None: ...

    def close(self, *, kill: bool) -> None: ...

    def _tell(self, at_s: float, event: Event) -> None:
        heappush(self._later, (at_s, next(self._numbers), event))


def _nothing(item: Any) -> Any:
    return item


def makespan_s(policy: Callable[[Job, Source], Policy], items: Sequence[Any], seats: VirtualSeats) -> float:
    """Have all calls made in virtual time; return when the last answer is there."""
    job, source, sink = Job(next_job_id(), _nothing), Source(items, is_lazy=False), ListSink([])
    source.results = sink.values

    def open_seats(_: BackendConfig) -> Backend:
        return seats  # type: ignore[return-value]

    driver = Driver(job, source, policy(job, source), sink, Limits(), Recorder("virtual", 0, is_lazy=False), open_seats)
    driver.run()
    assert list(sink.values) == list(items)
    return seats.now_s


def on_cluster(count: int) -> Callable[[Job, Source], Policy]:
    """The policy of a cluster of so many seats."""
    cluster: Any = SimpleNamespace(seats=count, description="", close=lambda: None)

    def policy(job: Job, source: Source) -> Policy:
        return ClusterPolicy(
            cluster, None, is_batched=True, is_lazy=False, caveats=Caveats(job, "dask", source, "elsewhere")
        )

    return policy


def on_this_machine(cores: int) -> Callable[[Job, Source], Policy]:
    """The policy of so many worker processes here."""
    return lambda _, __: FixedPolicy(BackendConfig("processes"), cores, "", is_batched=True, is_lazy=False)
