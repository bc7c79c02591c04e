"""Work is work in a run's timeline, whatever made the calls."""

from __future__ import annotations

import time

import pytest

import whilst
from whilst.model import Kind
from whilst.running.core import recorder
from whilst.running.core.recorder import Recorder
from whilst.running.jobs import Finished

CALL_S = 0.002


def spin(x: int) -> int:
    end = time.thread_time() + CALL_S
    while time.thread_time() < end:
        pass
    return x


async def aspin(x: int) -> int:
    return spin(x)


@pytest.mark.parametrize(
    ("fn", "backend"),
    [
        (spin, "inline"),
        (spin, "threads"),
        (spin, "processes"),
        (spin, "processes*threads"),
        (aspin, "eventloop"),
        (aspin, "processes*eventloop"),
    ],
)
def test_the_work_of_calls_is_in_the_timeline(fn, backend, monkeypatch):
    monkeypatch.setattr(recorder, "_NOTHING", 0.0)  # on a busy machine they have a core for a small share of their time
    results = whilst.map(fn, range(4), backend=backend, workers=2)
    assert list(results) == [0, 1, 2, 3]
    assert results.timeline.work_s >= 4 * CALL_S


PAUSE_S = 0.05


def pause(x: int) -> int:
    time.sleep(PAUSE_S)
    return x


def test_what_a_worker_process_waits_for_is_told_from_its_want_of_a_core():
    waited = whilst.map(pause, range(4), backend="processes", workers=2).timeline
    assert waited.wait_s >= 4 * PAUSE_S / 2  # a sleep is no want of a core, however busy the machine is
    held = Recorder("call", 0)
    held.name_workers("processes")
    held.add(Finished(0, 0, [0], [None], 0, 100, cpu_ns=40, held_ns=50))
    line = held.timeline("calls")
    assert [(span.kind, span.start_ns, span.end_ns) for span in line] == [
        (Kind.WORK, 0, 40), (Kind.WAIT, 40, 50), (Kind.HELD, 50, 100),
    ]  # fmt: skip
