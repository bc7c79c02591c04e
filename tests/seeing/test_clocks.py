"""The kernel's records, and its counters, as switches."""

from __future__ import annotations

import struct
from collections import deque

import pytest

from whilst.seeing.events import BLOCKED, IN, PREEMPTED, Switches
from whilst.seeing.explaining.intervals import intervals
from whilst.seeing.recording import perf as perf_module
from whilst.seeing.recording.perf import PerfClock
from whilst.seeing.recording.schedstat import SchedstatClock

OUT, OUT_PREEMPTED = 1 << 13, (1 << 13) | (1 << 14)


class Ring:
    def __init__(self, records: list[tuple[int, int, bytes]]) -> None:
        self.data = b"".join(struct.pack("<IHH", kind, misc, 8 + len(body)) + body for kind, misc, body in records)

    def take(self) -> bytes:
        data, self.data = self.data, b""
        return data

    def close(self) -> None:
        pass


def switch(time: int, tid: int, misc: int = 0) -> tuple[int, int, bytes]:
    return 14, misc, struct.pack("<IIQII", 1, tid, time, 0, 0)


def task(kind: int, time: int, tid: int) -> tuple[int, int, bytes]:
    return kind, 0, struct.pack("<IIIIQ", 1, 1, tid, 1, time) + struct.pack("<IIQII", 1, tid, time, 0, 0)


def clock(*rings: list[tuple[int, int, bytes]]) -> PerfClock:
    made = PerfClock.__new__(PerfClock)
    made.threads, made.gone, made.lost = {}, [], 0
    made._taken, made._taken_bytes = deque(), 0
    made._rings = [Ring(records) for records in rings]  # type: ignore[misc]
    return made


def test_records_of_several_cores_are_put_in_order() -> None:
    perf = clock([switch(30, 5), switch(40, 5, OUT_PREEMPTED)], [switch(10, 5), switch(20, 5, OUT)])
    perf.poll()
    thread = perf.threads[5]
    assert list(thread.at_ns) == [10, 20, 30, 40]
    assert list(thread.what) == [IN, BLOCKED, IN, PREEMPTED]
    thread.start_ns = 0
    assert list(intervals(thread, 50)) == [
        (0, 10, PREEMPTED), (10, 20, IN), (20, 30, BLOCKED), (30, 40, IN), (40, 50, PREEMPTED),
    ]  # fmt: skip


def test_a_number_that_is_given_again_is_another_thread() -> None:
    perf = clock([task(7, 1, 5), switch(2, 5), task(4, 9, 5), task(7, 20, 5), switch(21, 5)])
    perf.poll()
    assert [(each.start_ns, each.end_ns) for each in perf.gone] == [(1, 9)]
    assert perf.threads[5].start_ns == 20


def test_what_comes_too_fast_is_read_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perf_module, "_BUSY_BYTES", 60)
    perf = clock([switch(10, 5), switch(20, 5, OUT)])
    perf.poll()
    perf._rings[0].data = Ring([switch(30, 5), switch(40, 5, OUT)]).data  # type: ignore[attr-defined]
    perf.poll()
    assert not perf.threads
    perf.close()
    assert list(perf.threads[5].at_ns) == [10, 20, 30, 40]


def test_what_waits_to_be_read_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perf_module, "_BUSY_BYTES", 0)
    monkeypatch.setattr(perf_module, "_MOST_TAKEN_BYTES", 60)
    perf = clock([switch(10, 5), switch(20, 5, OUT)])
    perf.poll()
    assert list(perf.threads[5].at_ns) == [10, 20]
    assert perf._taken_bytes == 0


def test_lost_records_are_counted() -> None:
    perf = clock([(2, 0, struct.pack("<QQ", 0, 17) + struct.pack("<IIQII", 1, 1, 5, 0, 0))])
    perf.poll()
    assert perf.lost == 17


def test_counters_become_stretches_that_add_up() -> None:
    thread = Switches(1, 1, 0)
    thread.at_ns.append(0)
    thread.what.append(BLOCKED)
    SchedstatClock._note(thread, 1_000_000, 6_000_000, 2_000_000, 1_000_000)
    SchedstatClock._note(thread, 6_000_000, 11_000_000, 5_000_000, 0)
    lengths = [0, 0, 0]
    for start, end, what in intervals(thread, 11_000_000):
        lengths[what] += end - start
    assert (lengths[IN], lengths[PREEMPTED], lengths[BLOCKED]) == (7_000_000, 1_000_000, 3_000_000)
