"""A rate, kept by a clock that the test turns."""

from __future__ import annotations

import itertools
from bisect import bisect_left

import pytest

from whilst.running.core.pacing.pace import rate_in_words, useful_at_once
from whilst.running.core.pacing.rate_limit import RateLimit

SECOND = 1_000_000_000


def begins(limit: RateLimit, count: int, *, late_ns: int = 0, start_ns: int = 5 * SECOND) -> list[int]:
    """When calls begin whose maker waits as long as it is told, and wakes a little late."""
    now_ns, found = start_ns, []
    for _ in range(count):
        if wait_ns := limit.wait_ns(now_ns):
            now_ns += wait_ns + late_ns
        assert not limit.wait_ns(now_ns)
        limit.begin(now_ns)
        found.append(now_ns)
    return found


def most_in_a_second(times: list[int]) -> int:
    return max(bisect_left(times, time + SECOND) - index for index, time in enumerate(times))


@pytest.mark.parametrize("per_s", [0.5, 1, 3, 10, 100])
def test_calls_begin_evenly(per_s: float) -> None:
    times = begins(RateLimit(per_s), 30)
    gaps = {after - before for before, after in itertools.pairwise(times)}
    assert max(gaps) - min(gaps) <= 1
    assert min(gaps) >= SECOND / per_s - 1


@pytest.mark.parametrize("per_s", [7, 100])
def test_no_second_has_more_calls_however_late_one_comes(per_s: int) -> None:
    limit = RateLimit(per_s)
    times = begins(limit, 3 * per_s, late_ns=SECOND // per_s // 3)
    times += begins(limit, 3 * per_s, start_ns=times[-1] + 10 * SECOND)  # a pause saves up nothing
    assert most_in_a_second(times) <= per_s


def test_who_is_woken_late_catches_up_a_hundredth_and_no_more() -> None:
    times = begins(RateLimit(1000), 5000, late_ns=80_000)
    assert (times[-1] - times[0]) / SECOND == pytest.approx(5.0, rel=0.02)
    assert most_in_a_second(times) <= 1010


def test_calls_begun_together_are_paid_for_afterwards() -> None:
    limit = RateLimit(10)
    limit.begin(SECOND, 4)
    assert limit.wait_ns(SECOND) == pytest.approx(0.4 * SECOND, rel=1e-6)


@pytest.mark.parametrize(("call_s", "at_once"), [(0.001, 1), (0.1, 1), (0.3, 3), (0.31, 4)])
def test_more_at_once_than_rate_times_length_gain_nothing(call_s: float, at_once: int) -> None:
    assert useful_at_once(10, call_s) == at_once
    assert f"more than {at_once} at once would gain nothing" in rate_in_words(10, call_s)[3]
