"""Work is work in a run's timeline, whatever made the calls."""

from __future__ import annotations

import time

import pytest

import whilst

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
def test_the_work_of_calls_is_in_the_timeline(fn, backend):
    results = whilst.map(fn, range(4), backend=backend, workers=2)
    assert list(results) == [0, 1, 2, 3]
    assert results.timeline.work_s >= 4 * CALL_S
