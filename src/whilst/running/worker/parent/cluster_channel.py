"""The parent's side of jobs and answers where worker processes are a cluster's: see `task_channel`."""

from __future__ import annotations

from whilst.running.jobs import Event, Finished
from whilst.running.worker.parent import elsewhere
from whilst.running.worker.parent.task_channel import TaskChannel
from whilst.running.worker.transport import messages, serialization
from whilst.running.worker.transport.wire import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from whilst.running.worker.parent.in_flight import InFlight, SentCalls
    from whilst.running.worker.parent.pickled_job import PickledJob

    Future = Any

_KNOWN_JOBS = 32
_SMALL_BYTES = 1 << 16
"""A job of no more is sent to each Dask worker, which is sooner than from one of them to the next."""


class SentJob:
    """A job that is data of the cluster: of each Dask worker that needs it, or of all that there is if it is large."""

    def __init__(self, number: int, data: bytes) -> None:
        self.number, self.data = number, data
        self.is_small = len(data) <= _SMALL_BYTES
        self.futures: dict[str, Future] = {}
        """By address; the one of all by "". Sent with the first calls."""

    def release(self) -> None:
        for future in self.futures.values():
            future.release()


class ClusterChannel(TaskChannel):
    """Jobs are data of the cluster, rather than sent to each worker. What was not begun there is anybody's again."""

    def __init__(self) -> None:
        super().__init__(None)
        self._sent: dict[tuple[int, bool], SentJob] = {}
        self._count = 0

    def _introduce(self, in_flight: InFlight, writer: Any, state: PickledJob) -> None:
        key = (state.key, state.cares(False))
        sent = self._sent.get(key)
        if sent is None:
            while len(self._sent) >= _KNOWN_JOBS:
                self._sent.pop(next(iter(self._sent))).release()
            parcel = serialization.parcel(state.packed(False)[0], in_flight.segments_out)
            surroundings = elsewhere.for_elsewhere(state.surroundings_for(False))
            head = self._job_head(state, parcel, surroundings, in_flight)
            self._count += 1
            sent = self._sent[key] = SentJob(self._count, encode(messages.JOB, head, parcel.payload))
        writer.job = sent

    def _settle_rest(self, in_flight: InFlight, writer: Any, unit: SentCalls, positions: Sequence[int]) -> list[Event]:
        del in_flight, writer
        unit.taken.update(positions)
        self.note_taken_back([unit.ids[each] for each in positions])
        return []

    def settle_unanswered(self, in_flight: InFlight, serial: int) -> list[Event]:
        """The frame of this serial is over: what it was not answered for has not begun."""
        unit = in_flight.find_unit(serial)
        if unit is None or unit.first_serial != serial:
            return []
        self._settle_rest(in_flight, None, unit, unit.open_positions())
        in_flight.units.remove(unit)
        unit.open_batch.units_left -= 1
        is_last = unit.open_batch.units_left == 0
        return [Finished(in_flight.worker, unit.open_batch.batch.number, [], [], 0, 0, is_last=True)] * is_last

    def release(self) -> None:
        """Let go of all jobs."""
        for sent in self._sent.values():
            sent.release()
        self._sent.clear()
